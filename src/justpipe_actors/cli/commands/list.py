"""``list``: the newest stored runs."""

from __future__ import annotations

import json
import sys
from typing import Any

import attrs
import click

from ...records import RunQuery
from ...storage.registry import AnnotatedRun
from ..formatting import (
    canvas_for,
    format_duration,
    format_time,
    new_table,
    open_console,
    print_table,
    status_text,
    truncatable_text,
)
from ..options import (
    Selection,
    json_option,
    pipeline_option,
    status_option,
    storage_option,
)
from ..reports import run_to_json


SHORT_ID_LENGTH = 12
"""Characters of an id that are shown."""
PREFIX_LENGTH = 8
"""Characters of an id that nearly always name one run."""


@attrs.frozen(kw_only=True)
class ListOptions(Selection):
    """What ``list`` was asked."""

    search: str
    """What their error or their notes say."""
    limit: int
    """How many."""
    full: bool
    """Whether ids are shown whole."""


@click.command("list")
@pipeline_option
@status_option()
@click.option(
    "--search",
    metavar="TEXT",
    default="",
    help="Only runs whose error, step at fault or metadata have this text.",
)
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="At most so many.",
)
@click.option("--full", is_flag=True, help="Show ids whole.")
@storage_option
@json_option
def command(**options: Any) -> None:
    """List stored runs, the newest first."""
    show(ListOptions(**options))


def show(options: ListOptions) -> None:
    """Write the runs that are asked for."""
    query = RunQuery(labels=options.statuses, text=options.search)
    runs = options.registry.query_runs(query, options.pipeline, options.limit)
    if options.is_json:
        sys.stdout.write(
            json.dumps([run_to_json(annotated) for annotated in runs], indent=2) + "\n"
        )
    elif not runs:
        sys.stdout.write("No runs found\n")
    else:
        _show_table(runs, options)


def _show_table(runs: list[AnnotatedRun], options: ListOptions) -> None:
    console = open_console(sys.stdout)
    canvas = canvas_for(console)
    table = new_table(
        "Run", "Pipeline", "Status", "Started", ">Duration", flexible="Pipeline"
    )
    for annotated in runs:
        run_id = annotated.run.run_id
        table.add_row(
            run_id
            if options.full or len(run_id) <= SHORT_ID_LENGTH
            else f"{run_id[:SHORT_ID_LENGTH]}...",
            truncatable_text(annotated.pipeline_name),
            status_text(annotated.run.label, canvas),
            format_time(annotated.run.start_time),
            format_duration(
                annotated.run.duration.total_seconds()
                if annotated.run.duration
                else None
            ),
        )
    print_table(console, table)
    more = ", and perhaps more: see --limit" if len(runs) == options.limit else ""
    console.print(f"\n{len(runs)} run(s){more}", style="dim")
    if console.is_terminal and not options.full:
        command_text = (
            f"justpipe-actors show {runs[0].run.run_id[:PREFIX_LENGTH]}, or: show last"
        )
        console.print(f"Look at one with: {command_text}", style="dim")
