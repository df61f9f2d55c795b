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
    canvas_of,
    format_duration,
    printable,
    screen_for,
    status_text,
)
from ..options import json_option, pipeline_option, storage_option
from ..reports import Durations, Figures, stats_shape, sum_up


MOST_PIPELINES = 5
"""Pipelines that are named."""


@click.command("stats")
@pipeline_option
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=7,
    show_default=True,
    help="How far to look back.",
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
    figures = sum_up(runs, days, now)
    if is_json:
        sys.stdout.write(json.dumps(stats_shape(figures), indent=2) + "\n")
    elif not runs:
        sys.stdout.write(f"No runs found in the last {days} day(s)\n")
    else:
        screen = screen_for(sys.stdout)
        for line in _lines(figures, canvas_of(screen), now):
            screen.print(line)


def _lines(figures: Figures, canvas: Canvas, now: datetime) -> Iterator[Text]:
    yield Text(f"Total Runs  {figures.total:,} in {figures.days} day(s)")
    rate = figures.rate
    yield Text(
        f"Success     {'-' if rate is None else f'{rate:.1f}%'} of those that ended"
    )
    yield Text()
    for label, number in figures.counts.items():
        yield Text.assemble(
            _padded(status_text(label, canvas), 16),
            f"{number:>7,}  {100 * number / figures.total:5.1f}%",
        )
    if figures.durations is not None:
        yield Text()
        yield from _duration_lines(figures.durations)
    if len(figures.pipelines) > 1:
        yield Text()
        for name, number in list(figures.pipelines.items())[:MOST_PIPELINES]:
            yield Text(f"{number:>7,}  {printable(name)}")
    yield Text()
    yield from _day_lines(figures.daily, canvas, now.astimezone().date())
    if figures.failures:
        yield Text()
        yield from (_failure_line(one, canvas, now) for one in figures.failures)
    for warning in figures.warnings():
        yield Text(f"\n{warning}", "yellow")


def _padded(text: Text, width: int) -> Text:
    text.pad_right(max(0, width - text.cell_len))
    return text


def _duration_lines(took: Durations) -> Iterator[Text]:
    for name, seconds in (
        ("average", took.average),
        ("shortest", took.shortest),
        ("longest", took.longest),
        ("together", took.total),
    ):
        yield Text(f"{name:<10}{format_duration(seconds):>8}")


def _day_lines(daily: dict[date, int], canvas: Canvas, today: date) -> Iterator[Text]:
    most = max(daily.values(), default=0)
    room = min(40, canvas.width - 20)
    block = "#" if canvas.has_only_ascii else "█"
    for day, number in daily.items():
        back = (today - day).days
        name = ("Today", "Yesterday")[back] if back < 2 else str(day)
        # One block per two runs, as long as the busiest day has room for that.
        length = -(-number // 2) if most <= 2 * room else -(-number * room // most)
        line = Text.assemble(f"{name:<10}{number:>7,}  ", (block * length, "cyan"))
        line.rstrip()
        yield line


def _failure_line(one: AnnotatedRun, canvas: Canvas, now: datetime) -> Text:
    age = format_duration((now - one.run.start_time).total_seconds())
    message = printable(one.run.error_message or one.run.label)
    line = Text.assemble(
        status_text(one.run.label, canvas),
        f"  {one.run.run_id[:8]}  {printable(one.pipeline_name)}, {age} ago: {message}",
    )
    line.truncate(canvas.width, overflow="ellipsis")
    return line
