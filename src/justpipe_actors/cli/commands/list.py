"""``list``: the newest stored runs."""

from __future__ import annotations

import json
import sys
from typing import Any

import attrs
import click

from ..._supervisor.journaled_history import OPEN_LABELS
from ...records import RunQuery
from ...storage.registry import AnnotatedRun
from ..formatting import (
    canvas_for,
    format_duration,
    format_time,
    new_table,
    open_console,
    print_table,
    printable,
    short_id,
    status_text,
    truncatable_text,
)
from ..options import (
    Selection,
    current_runs,
    json_option,
    pipeline_option,
    status_option,
    storage_option,
)
from ..reports import error_text_of, run_to_json


PREFIX_LENGTH = 8
"""Characters of an id that nearly always name one run."""


@attrs.frozen(kw_only=True)
class ListOptions(Selection):
    """What ``list`` was asked."""

    search: str
    """Text that the error or the notes of a run must contain."""
    limit: int
    """Maximum number of runs."""
    full: bool
    """Whether ids are shown whole."""


@click.command("list")
@pipeline_option
@status_option()
@click.option(
    "--search",
    metavar="TEXT",
    default="",
    help="Only runs with this text in the error, the step at fault or the metadata.",
)
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Maximum number of runs.",
)
@click.option("--full", is_flag=True, help="Show ids whole.")
@storage_option
@json_option
def command(**options: Any) -> None:
    """List stored runs, the newest first."""
    show(ListOptions(**options))


def show(options: ListOptions) -> None:
    """Write the runs that are asked for."""
    runs = _find(options)
    if options.is_json:
        documents = [
            {
                **run_to_json(annotated),
                "error_text": error_text_of(options.registry, annotated),
            }
            for annotated in runs
        ]
        sys.stdout.write(json.dumps(documents, indent=2) + "\n")
    elif not runs:
        sys.stdout.write("No runs found\n")
    else:
        _show_table(runs, options)


def _find(options: ListOptions) -> list[AnnotatedRun]:
    """Return the runs that are asked for, by the status that their journals have."""
    registry, statuses = options.registry, options.statuses
    if not statuses:
        query = RunQuery(text=options.search)
        found = registry.query_runs(query, options.pipeline, options.limit)
        return current_runs(registry, found)
    labels = tuple({*statuses, *OPEN_LABELS})
    query = RunQuery(labels=labels, text=options.search)
    found = registry.query_runs(query, options.pipeline)
    return [one for one in current_runs(registry, found) if one.run.label in statuses][
        : options.limit
    ]


def _show_table(runs: list[AnnotatedRun], options: ListOptions) -> None:
    console = open_console(sys.stdout)
    canvas = canvas_for(console)
    errors = [error_text_of(options.registry, annotated) for annotated in runs]
    titles = ["Run", "Pipeline", "Status", "Started", ">Duration"]
    if any(errors):
        table = new_table(*titles, "Error", flexible="Error")
    else:
        table = new_table(*titles, flexible="Pipeline")
    for annotated, error in zip(runs, errors, strict=True):
        run_id = annotated.run.run_id
        table.add_row(
            printable(short_id(run_id, options.full)),
            truncatable_text(annotated.pipeline_name),
            status_text(annotated.run.label, canvas),
            format_time(annotated.run.start_time),
            format_duration(
                annotated.run.duration.total_seconds()
                if annotated.run.duration
                else None
            ),
            *([truncatable_text(error or "")] if any(errors) else []),
        )
    print_table(console, table)
    more = ", and perhaps more: see --limit" if len(runs) == options.limit else ""
    console.print(f"\n{len(runs)} run(s){more}", style="dim")
    if console.is_terminal and not options.full:
        command_text = (
            f"justpipe-actors show {runs[0].run.run_id[:PREFIX_LENGTH]}, or: show last"
        )
        console.print(f"Look at one with: {command_text}", style="dim")
