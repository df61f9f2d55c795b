"""``show``: one stored run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...storage.registry import AnnotatedRun, PipelineRegistry
from ..formatting import (
    Canvas,
    canvas_of,
    counted,
    draw,
    format_duration,
    moment_text,
    printable,
    put_table,
    screen_for,
    status_text,
)
from ..options import find_run, json_option, run_argument, storage_option
from ..progress import Progress, told
from ..reports import parsed, run_shape


SHOWN = 3
"""Failures that are told in full."""


@click.command("show")
@run_argument()
@storage_option
@json_option
def command(run_id: str, registry: PipelineRegistry, *, is_json: bool) -> None:
    """Show a stored run: how it stands, what its steps did, what went wrong.

    RUN_ID is an id, how one begins, or last (last~1 is the run before).
    """
    one, store = find_run(registry, run_id)
    counts = store.count_events(one.run.run_id)
    progress = told(store, one.run, registry.describe_pipeline(one.pipeline_hash))
    if is_json:
        shape = {**run_shape(one), **_figures(counts, progress)}
        sys.stdout.write(json.dumps(shape, indent=2) + "\n")
    else:
        _show(screen_for(sys.stdout), one, counts, progress)


def _figures(counts: dict[str, int], progress: Progress) -> dict[str, Any]:
    is_over = progress.end is not None
    now = progress.latest
    return {
        "event_count": sum(counts.values()),
        "event_types": counts,
        "steps": [
            {
                "name": row.name,
                "status": row.mark(is_over=is_over).value,
                "started": row.started,
                "done": row.done,
                "failed": row.failed,
                "retried": row.retried,
                "duration_seconds": row.seconds(now),
            }
            for row in progress.rows.values()
        ],
        "failures": [
            {"step": one.step, "error": one.error, "place": one.place}
            for one in progress.troubles
        ],
    }


def _show(
    screen: Console, one: AnnotatedRun, counts: dict[str, int], progress: Progress
) -> None:
    canvas = canvas_of(screen)
    facts = Table.grid(padding=(0, 2, 0, 0))
    for name, value in _facts(one, counts, canvas):
        facts.add_row(Text(name, "dim"), value)
    put_table(screen, facts)
    if progress.rows:
        screen.print()
        everything = Canvas(canvas.width, len(progress.rows), canvas.has_only_ascii)
        for line in draw(progress, everything, progress.latest):
            screen.print(line)
    for line in _failure_lines(progress):
        screen.print(line, soft_wrap=True)


def _failure_lines(progress: Progress) -> Iterator[Text]:
    for trouble in progress.troubles[:SHOWN]:
        yield Text(f"\n{printable(trouble.step)} failed", "red")
        place = [f"at {trouble.place}"] if trouble.place else []
        for text in [*trouble.error.splitlines(), *place]:
            yield Text(f"  {printable(text)}")
    failed = sum(row.failed for row in progress.rows.values())
    if failed > SHOWN:
        yield Text(f"\nand {counted(failed - SHOWN, 'more failure')}", "red")


def _facts(
    one: AnnotatedRun, counts: dict[str, int], canvas: Canvas
) -> Iterator[tuple[str, Text]]:
    run = one.run
    yield "Run", Text(run.run_id)
    yield "Pipeline", Text(f"{printable(one.pipeline_name)} ({one.pipeline_hash})")
    yield "Status", status_text(run.label, canvas)
    yield "Started", Text(moment_text(run.start_time))
    if run.end_time:
        yield "Ended", Text(moment_text(run.end_time))
    if run.duration:
        yield "Duration", Text(format_duration(run.duration.total_seconds()))
    if run.error_message:
        where = f" (in step {printable(run.error_step)})" if run.error_step else ""
        yield "Error", Text(printable(run.error_message) + where)
    yield "Events", Text(_events_text(counts))
    if run.lost_events:
        yield "Lost", Text(f"{counted(run.lost_events, 'event')} could not be stored")
    yield from _meta_facts(run.run_meta)


def _events_text(counts: dict[str, int]) -> str:
    most_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kinds = ", ".join(f"{number:,} {printable(kind)}" for kind, number in most_first)
    total = f"{sum(counts.values()):,}"
    return f"{total}: {kinds}" if kinds else total


def _meta_facts(text: str | None) -> Iterator[tuple[str, Text]]:
    meta = parsed(text)
    if isinstance(meta, dict):
        lines = [f"{key}: {json.dumps(value)}" for key, value in meta.items()]
    else:
        lines = [str(meta)] if meta is not None else []
    for number, line in enumerate(lines):
        yield "" if number else "Metadata", Text(printable(line))
