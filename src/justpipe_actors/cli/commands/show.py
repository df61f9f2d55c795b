"""``show``: one stored run."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..._supervisor.journaled_history import JournalLookup
from ...errors import StoreError
from ...outcomes import PipelineEndData
from ...records import RunRecord
from ...storage.registry import AnnotatedRun, PipelineRegistry
from ..commit_table import show_commits
from ..durable_facts import (
    DurableFacts,
    fact_rows,
    facts_to_json,
    read_facts,
    show_journaled,
)
from ..errors import CommandFailed, InvalidInput
from ..formatting import (
    Canvas,
    canvas_for,
    count_text,
    draw,
    format_duration,
    format_time,
    open_console,
    print_table,
    printable,
    status_text,
)
from ..journal_options import find_stored, journal_option, opened
from ..options import find_run, json_option, run_argument, storage_option
from ..progress import Progress, replay_progress
from ..reports import parse_json_or_text, run_to_json


MAX_FAILURES_SHOWN = 3
"""Number of failures that are shown in full."""


@click.command("show")
@run_argument()
@click.option(
    "--commits",
    "has_commits",
    is_flag=True,
    help="Show the commits of a durable run, for fork --at.",
)
@journal_option
@storage_option
@json_option
def command(
    run_id: str,
    journal: str,
    registry: PipelineRegistry,
    *,
    has_commits: bool,
    is_json: bool,
) -> None:
    """Show a stored run: its status, its steps and its failures.

    RUN_ID is an id, the beginning of one, or last (last~1 is the run before).
    """
    if has_commits:
        show_commits(run_id, journal, is_json=is_json)
        return
    try:
        annotated, store = find_run(registry, run_id)
    except CommandFailed:
        if not _is_in_journal(run_id, journal):
            raise
        show_journaled(run_id, journal, is_json=is_json)
        return
    facts = _facts_of(annotated.run)
    counts = store.count_events(annotated.run.run_id)
    progress = replay_progress(
        store, annotated.run, registry.describe_pipeline(annotated.pipeline_hash)
    )
    if is_json:
        document = {
            **run_to_json(annotated),
            **_end_to_json(annotated, progress.end),
            **_progress_to_json(counts, progress),
            **({} if facts is None else facts_to_json(facts)),
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        _show(open_console(sys.stdout), annotated, counts, progress, facts)


def _is_in_journal(run_id: str, journal: str) -> bool:
    """Return whether the journal has a run with an id, or that begins so."""
    try:
        with opened(journal) as store:
            find_stored(store, run_id)
    except (CommandFailed, InvalidInput):
        return False
    return True


def _facts_of(run: RunRecord) -> DurableFacts | None:
    """Return the facts about a durable run from its journal, if it can be read."""
    lookup = JournalLookup()
    try:
        store = lookup.journal_of(run)
        row = None if store is None else store.find(run.run_id)
        return None if store is None or row is None else read_facts(store, row)
    except (OSError, sqlite3.Error, StoreError):
        return None
    finally:
        lookup.close()


def _end_to_json(
    annotated: AnnotatedRun, end: PipelineEndData | None
) -> dict[str, Any]:
    run = annotated.run
    return {
        "error_text": (end and end.error_text) or run.error_message,
        "steps_at_work": [] if end is None else end.steps_at_work,
        "waits_for": run.reason if run.is_suspended else None,
    }


def _progress_to_json(counts: dict[str, int], progress: Progress) -> dict[str, Any]:
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
            {
                "step": failure.step,
                "invocation": failure.label,
                "item": failure.item,
                "error": failure.error,
                "place": failure.location,
            }
            for failure in progress.failures
        ],
    }


def _show(
    console: Console,
    annotated: AnnotatedRun,
    counts: dict[str, int],
    progress: Progress,
    facts: DurableFacts | None,
) -> None:
    canvas = canvas_for(console)
    table = Table.grid(padding=(0, 2, 0, 0))
    rows = _fact_rows(annotated, counts, canvas, progress.end)
    for name, value in (*rows, *(() if facts is None else fact_rows(facts))):
        table.add_row(Text(name, "dim"), value)
    print_table(console, table)
    if progress.rows:
        console.print()
        unlimited = Canvas(canvas.width, len(progress.rows), canvas.has_only_ascii)
        for line in draw(progress, unlimited, progress.latest):
            console.print(line)
    for line in _failure_lines(progress):
        console.print(line, soft_wrap=True)


def _failure_lines(progress: Progress) -> Iterator[Text]:
    for failure in progress.failures[:MAX_FAILURES_SHOWN]:
        yield Text(f"\n{printable(failure.step)} failed", "red")
        item = [failure.item_text] if failure.item_text else []
        location = [f"at {failure.location}"] if failure.location else []
        for text in [*failure.error.splitlines(), *item, *location]:
            yield Text(f"  {printable(text)}")
    failed = sum(row.failed for row in progress.rows.values())
    if failed > MAX_FAILURES_SHOWN:
        yield Text(
            f"\nand {count_text(failed - MAX_FAILURES_SHOWN, 'more failure')}", "red"
        )


def _fact_rows(
    annotated: AnnotatedRun,
    counts: dict[str, int],
    canvas: Canvas,
    end: PipelineEndData | None,
) -> Iterator[tuple[str, Text]]:
    run = annotated.run
    yield "Run", Text(printable(run.run_id))
    yield (
        "Pipeline",
        Text(f"{printable(annotated.pipeline_name)} ({annotated.pipeline_hash})"),
    )
    yield "Status", status_text(run.label, canvas)
    yield "Started", Text(format_time(run.start_time))
    if run.end_time:
        yield "Ended", Text(format_time(run.end_time))
    if run.duration:
        yield "Duration", Text(format_duration(run.duration.total_seconds()))
    if run.is_suspended:
        yield "Waits for", Text(printable(run.reason or "an answer"))
    if run.error_message:
        where = f" (in step {printable(run.error_step)})" if run.error_step else ""
        text = (end and end.error_text) or run.error_message
        yield "Error", Text(printable(text) + where)
    if end is not None and end.steps_at_work:
        yield "At work", Text(", ".join(map(printable, end.steps_at_work)))
    yield "Events", Text(_events_text(counts))
    if run.lost_events:
        yield (
            "Lost",
            Text(f"{count_text(run.lost_events, 'event')} could not be stored"),
        )
    yield from _meta_rows(run.run_meta)


def _events_text(counts: dict[str, int]) -> str:
    by_count = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    type_counts = ", ".join(
        f"{count:,} {printable(event_type)}" for event_type, count in by_count
    )
    total = f"{sum(counts.values()):,}"
    return f"{total}: {type_counts}" if type_counts else total


def _meta_rows(text: str | None) -> Iterator[tuple[str, Text]]:
    meta = parse_json_or_text(text)
    if isinstance(meta, dict):
        lines = [f"{key}: {json.dumps(value)}" for key, value in meta.items()]
    else:
        lines = [str(meta)] if meta is not None else []
    for number, line in enumerate(lines):
        yield "" if number else "Metadata", Text(printable(line))
