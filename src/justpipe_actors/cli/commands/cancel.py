"""``cancel``: end a durable run, wherever it is."""

from __future__ import annotations

import json
import sys

import click

from ..errors import CommandFailed
from ..formatting import printable
from ..journal_options import find_stored, journal_option, opened
from ..options import json_option


@click.command("cancel")
@click.argument("run_id", metavar="RUN")
@click.option(
    "--reason",
    metavar="TEXT",
    default="Cancelled",
    show_default=True,
    help="What FINISH says.",
)
@journal_option
@json_option
def command(run_id: str, reason: str, journal: str, *, is_json: bool) -> None:
    """End a durable run, whichever process has it; its clean-up and hooks run.

    A run that no process has at work ends when the next one takes it up.
    """
    with opened(journal) as store:
        row = find_stored(store, run_id)
        if not store.cancel(row.run_id, reason):
            msg = f"Run '{printable(row.run_id)}' has ended: {row.status}."
            raise CommandFailed(msg)
    if is_json:
        sys.stdout.write(json.dumps({"run_id": row.run_id, "cancelled": True}) + "\n")
    else:
        sys.stdout.write(f"asked {printable(row.run_id)} to end\n")
