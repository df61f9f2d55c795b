"""``redrive``: let a stuck run go on."""

from __future__ import annotations

import click

from ..._supervisor import stored_runs
from ..journal_options import find_stored, journal_option, opened, write_begun
from ..options import json_option


@click.command("redrive")
@click.argument("run_id", metavar="RUN")
@journal_option
@json_option
def command(run_id: str, journal: str, *, is_json: bool) -> None:
    """Let a stuck run go on, after the cause was mended.

    The next process with its pipe and this journal takes it up.
    """
    with opened(journal) as store:
        row = find_stored(store, run_id)
        made = stored_runs.redrive(store, row.run_id)
    write_begun(row.run_id, "goes on as", made, is_json=is_json)
