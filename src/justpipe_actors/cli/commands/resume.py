"""``resume``: go on behind the step that suspended a durable run."""

from __future__ import annotations

import click

from ..._supervisor import stored_runs
from ..journal_options import find_stored, journal_option, opened, write_begun
from ..options import json_option


@click.command("resume")
@click.argument("run_id", metavar="RUN")
@click.option("--run-id", "new_id", metavar="ID", help="The new run's id.")
@journal_option
@json_option
def command(run_id: str, new_id: str | None, journal: str, *, is_json: bool) -> None:
    """Begin a run behind the step that suspended RUN, with its state.

    The next process with its pipe and this journal takes it up.
    """
    with opened(journal) as store:
        row = find_stored(store, run_id)
        made = stored_runs.resume(store, row.run_id, new_id)
    write_begun(row.run_id, "goes on as", made, is_json=is_json)
