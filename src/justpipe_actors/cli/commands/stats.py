"""``stats``: figures over the stored runs of the last days."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import click
from rich.text import Text

from ...records import RunQuery
from ...storage.registry import AnnotatedRun, PipelineRegistry
from ..formatting import (
    Canvas,
    canvas_for,
    count_text,
    format_duration,
    open_console,
    printable,
    status_text,
)
from ..options import json_option, pipeline_option, storage_option
from ..reports import (
    Durations,
    RunStatistics,
    error_text_of,
    statistics_to_json,
    summarize_runs,
)


MAX_PIPELINES = 5
"""Pipelines that are named."""


@click.command("stats")
@pipeline_option
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=7,
    show_default=True,
    help="Number of days to look back.",
)
@storage_option
@json_option
def command(
    pipeline: str | None, days: int, registry: PipelineRegistry, *, is_json: bool
) -> None:
    """Count the stored runs of the last days: how they ended, how long they took."""
    now = datetime.now(UTC)
    since = now - timedelta(days=days)
    runs = registry.query_runs(RunQuery(since=since), pipeline)
    statistics = summarize_runs(runs, days, now)
    if is_json:
        sys.stdout.write(json.dumps(statistics_to_json(statistics), indent=2) + "\n")
    elif not runs:
        sys.stdout.write(f"No runs found in the last {count_text(days, 'day')}\n")
    else:
        console = open_console(sys.stdout)
        for line in _statistics_lines(statistics, registry, canvas_for(console), now):
            console.print(line)


def _statistics_lines(
    statistics: RunStatistics,
    registry: PipelineRegistry,
    canvas: Canvas,
    now: datetime,
) -> Iterator[Text]:
    yield Text(
        f"Total Runs  {statistics.total:,} in {count_text(statistics.days, 'day')}"
    )
    rate = statistics.rate
    yield Text(
        f"Success     {'-' if rate is None else f'{rate:.1f}%'} of those that ended"
    )
    yield Text()
    for label, number in statistics.counts.items():
        yield Text.assemble(
            _padded(status_text(label, canvas), 16),
            f"{number:>7,}  {100 * number / statistics.total:5.1f}%",
        )
    if statistics.durations is not None:
        yield Text()
        yield from _duration_lines(statistics.durations)
    if len(statistics.pipelines) > 1:
        yield Text()
        for name, number in list(statistics.pipelines.items())[:MAX_PIPELINES]:
            yield Text(f"{number:>7,}  {printable(name)}")
    yield Text()
    yield from _day_lines(statistics.daily, canvas, now.astimezone().date())
    if statistics.failures:
        yield Text()
        for annotated in statistics.failures:
            text = error_text_of(registry, annotated) or annotated.run.label
            yield _failure_line(annotated, text, canvas, now)
    for warning in statistics.warnings():
        yield Text(f"\n{warning}", "yellow")


def _padded(text: Text, width: int) -> Text:
    text.pad_right(max(0, width - text.cell_len))
    return text


def _duration_lines(duration: Durations) -> Iterator[Text]:
    for name, seconds in (
        ("average", duration.average),
        ("shortest", duration.shortest),
        ("longest", duration.longest),
        ("together", duration.total),
    ):
        yield Text(f"{name:<10}{format_duration(seconds):>8}")


def _day_lines(daily: dict[date, int], canvas: Canvas, today: date) -> Iterator[Text]:
    busiest = max(daily.values(), default=0)
    width = min(40, canvas.width - 20)
    block = "#" if canvas.has_only_ascii else "█"
    for day, number in daily.items():
        days_ago = (today - day).days
        name = ("Today", "Yesterday")[days_ago] if days_ago < 2 else str(day)
        # One block per two runs, as long as the busiest day has room for that.
        length = (
            -(-number // 2) if busiest <= 2 * width else -(-number * width // busiest)
        )
        line = Text.assemble(f"{name:<10}{number:>7,}  ", (block * length, "cyan"))
        line.rstrip()
        yield line


def _failure_line(
    annotated: AnnotatedRun, error: str, canvas: Canvas, now: datetime
) -> Text:
    age = format_duration((now - annotated.run.start_time).total_seconds())
    message = printable(error)
    line = Text.assemble(
        status_text(annotated.run.label, canvas),
        f"  {annotated.run.run_id[:8]}  {printable(annotated.pipeline_name)}, {age} ago: {message}",
    )
    line.truncate(canvas.width, overflow="ellipsis")
    return line
