"""A timeline as rows of text; pure.

::

    name (28)                   bar (width - 45)                    duration  marker
    fetch                       ████████████                           400ms
    w[1]                      ✗             ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓             500ms Bottleneck
"""

from __future__ import annotations

from typing import Final
from unicodedata import east_asian_width

from ..durations import duration_text
from ..showing import one_line
from ..spans import Span, SpanStatus
from .chart import Chart


NARROWEST, WIDEST = 60, 500
"""Widths that can be drawn; others are taken for the nearest one."""

NAME, DURATION, MARGIN = 28, 6, 45
"""Columns of the name and of the duration; what the bars leave of the width."""

BARS: Final = {
    SpanStatus.DONE: "█",
    SpanStatus.FAILED: "▓",
    SpanStatus.CANCELLED: "▓",
    SpanStatus.RETRIED: "▒",
    SpanStatus.UNFINISHED: "░",
}
"""What a bar is made of."""

MARKS: Final = {
    SpanStatus.DONE: " ",
    SpanStatus.FAILED: "✗",
    SpanStatus.CANCELLED: "⊘",
    SpanStatus.RETRIED: "↻",
    SpanStatus.UNFINISHED: "…",
}
"""What stands between the name and the bar."""


def rows_of(chart: Chart, width: int, most: int) -> str:
    """Draw a chart as text.

    Args:
        chart: what to draw.
        width: columns in all.
        most: spans to draw; of the others only the number is told.
    """
    width = min(max(width, NARROWEST), WIDEST)
    columns = width - MARGIN
    lines = [_title(chart), "─" * width]
    lines += [_row(chart, span, columns) for span in chart.spans[: max(most, 0)]]
    if (rest := len(chart.spans) - max(most, 0)) > 0:
        lines.append(f"... {rest} more steps")
    lines.append(_axis(chart, columns))
    if legend := _legend(chart):
        lines.append(legend)
    return "\n".join(line.rstrip() for line in lines)


def _title(chart: Chart) -> str:
    earlier = f", {chart.dropped:,} earlier steps not kept" if chart.dropped else ""
    return f"Timeline of {one_line(chart.name)} ({duration_text(chart.total)}{earlier})"


def _row(chart: Chart, span: Span, columns: int) -> str:
    begin, share = chart.share(span)
    length = min(max(1, round(share * columns)), columns)
    offset = min(int(begin * columns), columns - length)
    bar = " " * offset + BARS[span.status] * length
    name = _padded(_cut(one_line(span.label)), NAME - 2) + MARKS[span.status] + " "
    marker = " Bottleneck" if span is chart.longest else ""
    duration = duration_text(chart.seconds(span))
    return f"{name}{bar:<{columns}}{duration:>{DURATION}}{marker}"


def _axis(chart: Chart, columns: int) -> str:
    total = duration_text(chart.total)
    return f"{'':{NAME}}0{total:>{columns - 1}}"


def _legend(chart: Chart) -> str:
    return "   ".join(f"{MARKS[status]} {status.value}" for status in chart.statuses())


def _cut(name: str) -> str:
    return name if len(name) <= 25 else f"{name[:22]}..."


def _padded(name: str, width: int) -> str:
    """Pad to columns of a terminal, where some characters take two."""
    cells = sum(2 if east_asian_width(c) in "WF" else 1 for c in name)
    return name + " " * max(0, width - cells)
