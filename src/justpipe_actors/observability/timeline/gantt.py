"""A timeline as a Mermaid Gantt chart; pure.

Times are milliseconds from the beginning (``dateFormat x``).  The axis shows them as a
number of seconds or milliseconds and not as a time of day, which a viewer would shift
into its own time zone.
"""

from __future__ import annotations

import re
from typing import Final

from ..spans import Span, SpanStatus
from .chart import Chart


TAGS: Final = {
    SpanStatus.DONE: "done, ",
    SpanStatus.FAILED: "crit, ",
    SpanStatus.CANCELLED: "crit, ",
    SpanStatus.RETRIED: "crit, done, ",
    SpanStatus.UNFINISHED: "active, ",
}
"""How Mermaid colours a span."""

SHORT = 10.0
"""Seconds up to which the axis counts milliseconds."""


def gantt_of(chart: Chart) -> str:
    """Draw a chart in Mermaid's language."""
    axis = "%Q ms" if chart.total <= SHORT else "%s s"
    lines = [
        "gantt",
        f"    title {_escaped(chart.name)}",
        "    dateFormat x",
        f"    axisFormat {axis}",
    ]
    kinds = dict.fromkeys(span.kind for span in chart.spans)
    for kind in kinds:
        lines.append(f"    section Execution ({kind.value})")
        lines += [_task(chart, s) for s in chart.spans if s.kind is kind]
    return "\n".join(lines)


def empty_gantt(name: str) -> str:
    """Draw a chart of nothing."""
    return f"gantt\n    title {_escaped(name)}"


def _task(chart: Chart, span: Span) -> str:
    start = round((span.start - chart.start) * 1000)
    # A task of no length is not drawn at all.
    end = max(start + 1, start + round(chart.seconds(span) * 1000))
    return f"    {_word(span.label)}: {TAGS[span.status]}{start}, {end}"


def _escaped(text: str) -> str:
    return re.sub(r"[\x00-\x1f:;#%<>]", "_", text)


def _word(text: str) -> str:
    """Make one word of a name, so that it is none of Mermaid's own."""
    return re.sub(r"\s", "_", _escaped(text)) or "_"
