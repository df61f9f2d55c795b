"""``asks``: the questions that wait for an answer."""

from __future__ import annotations

import json
import sys

import click

from ..answers import how_to_answer
from ..formatting import (
    format_time,
    new_table,
    open_console,
    print_table,
    printable,
    truncatable_text,
)
from ..journal_options import (
    ask_to_json,
    find_stored,
    journal_option,
    opened,
)
from ..options import json_option


@click.command("asks")
@click.argument("run_id", metavar="[RUN]", required=False)
@journal_option
@json_option
def command(run_id: str | None, journal: str, *, is_json: bool) -> None:
    """List the open questions of durable runs, the oldest first.

    RUN is the id of one run, or its beginning; without it, those of all runs are listed.
    """
    with opened(journal) as store:
        name = None if run_id is None else find_stored(store, run_id).run_id
        asks = store.asks(name)
    if is_json:
        sys.stdout.write(
            json.dumps([ask_to_json(one) for one in asks], indent=2) + "\n"
        )
        return
    if not asks:
        sys.stdout.write("No open questions\n")
        return
    console = open_console(sys.stdout)
    table = new_table("Question", "Asked", "Due", "Note", flexible="Note")
    for one in asks:
        note = one.note if one.problem is None else f"{one.note} ({one.problem})"
        table.add_row(
            printable(one.id),
            format_time(one.asked_at),
            format_time(one.due_at),
            truncatable_text(note),
        )
    print_table(console, table)
    console.print(
        f"\nAnswer with: {how_to_answer(asks[0].id, asks[0].form)}", style="dim"
    )
