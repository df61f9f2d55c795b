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
    canvas_of,
    flexible_text,
    format_duration,
    moment_text,
    put_table,
    screen_for,
    status_text,
    table_of,
)
from ..options import (
    Selection,
    json_option,
    pipeline_option,
    status_option,
    storage_option,
)
from ..reports import run_shape


SHORT = 12
"""Characters of an id that are shown."""
ENOUGH = 8
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
        sys.stdout.write(json.dumps([run_shape(one) for one in runs], indent=2) + "\n")
    elif not runs:
        sys.stdout.write("No runs found\n")
    else:
        _show_table(runs, options)


def _show_table(runs: list[AnnotatedRun], options: ListOptions) -> None:
    screen = screen_for(sys.stdout)
    canvas = canvas_of(screen)
    table = table_of(
        "Run", "Pipeline", "Status", "Started", ">Duration", flexible="Pipeline"
    )
    for one in runs:
        run_id = one.run.run_id
        table.add_row(
            run_id if options.full or len(run_id) <= SHORT else f"{run_id[:SHORT]}...",
            flexible_text(one.pipeline_name),
            status_text(one.run.label, canvas),
            moment_text(one.run.start_time),
            format_duration(
                one.run.duration.total_seconds() if one.run.duration else None
            ),
        )
    put_table(screen, table)
    more = ", and perhaps more: see --limit" if len(runs) == options.limit else ""
    screen.print(f"\n{len(runs)} run(s){more}", style="dim")
    if screen.is_terminal and not options.full:
        tip = f"justpipe-actors show {runs[0].run.run_id[:ENOUGH]}, or: show last"
        screen.print(f"Look at one with: {tip}", style="dim")
