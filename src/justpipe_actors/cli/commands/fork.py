"""``fork``: begin a run with what another one had stored at a commit."""

from __future__ import annotations

import click

from ..._supervisor import stored_runs
from ..journal_options import find_stored, journal_option, opened, write_begun
from ..options import json_option


@click.command("fork")
@click.argument("run_id", metavar="RUN")
@click.option(
    "--at",
    type=click.IntRange(min=1),
    metavar="N",
    help="The commit to go on from; the last one when not given.",
)
@click.option("--run-id", "new_id", metavar="ID", help="The new run's id.")
@journal_option
@json_option
def command(
    run_id: str, at: int | None, new_id: str | None, journal: str, *, is_json: bool
) -> None:
    """Begin a run that goes on from a commit of RUN; 'show RUN --commits' lists them.

    The next process with its pipe and this journal takes it up.
    """
    with opened(journal) as store:
        row = find_stored(store, run_id)
        made = stored_runs.fork(store, row.run_id, at=at, new_id=new_id)
    write_begun(row.run_id, "is forked as", made, is_json=is_json)
