"""A timeline in the trace format that Chrome and Perfetto open; pure.

In that format the spans of one thread must be nested, and invocations are not.  So each
span goes to the first lane that is free when it starts.
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import Final
from unicodedata import east_asian_width

from ..._util.text import escape_controls, format_duration
from ..spans import Span, SpanStatus
from .chart import Chart


STATUS_TAGS: Final = {
    SpanStatus.DONE: "done, ",
    SpanStatus.FAILED: "crit, ",
    SpanStatus.CANCELLED: "crit, ",
    SpanStatus.RETRIED: "crit, done, ",
    SpanStatus.INTERRUPTED: "crit, done, ",
    SpanStatus.UNFINISHED: "active, ",
}
"""How Mermaid colours a span."""

MILLISECOND_AXIS_UP_TO = 10.0
"""Seconds up to which the axis counts milliseconds."""


def render_gantt(chart: Chart) -> str:
    """Draw a chart in Mermaid's language."""
    axis = "%Q ms" if chart.total <= MILLISECOND_AXIS_UP_TO else "%s s"
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
    """Draw an empty chart."""
    return f"gantt\n    title {_escaped(name)}"


def _task(chart: Chart, span: Span) -> str:
    start = round((span.start - chart.start) * 1000)
    # Mermaid does not draw a task of length zero.
    end = max(start + 1, start + round(chart.seconds(span) * 1000))
    return f"    {_task_name(span.label)}: {STATUS_TAGS[span.status]}{start}, {end}"


def _escaped(text: str) -> str:
    return re.sub(r"[\x00-\x1f:;#%<>]", "_", text)


def _task_name(text: str) -> str:
    """Convert a name to one word that is not a Mermaid keyword."""
    return re.sub(r"\s", "_", _escaped(text)) or "_"


AXIS_PARTS = 5
"""Parts the axis is divided into."""

STYLE = """
:root { color-scheme: light dark;
  --ink: #1c2330; --dim: #667085; --line: #e4e7ec; --paper: #fff; --stripe: #f8f9fb;
  --done: #3b82c4; --longest: #e08a1e; --failed: #d0433b; --open: #98a2b3; }
@media (prefers-color-scheme: dark) { :root {
  --ink: #e6e9ef; --dim: #98a2b3; --line: #2c3442; --paper: #12161d; --stripe: #181d26;
  --done: #5aa2e0; --longest: #f0a848; --failed: #ef6b63; --open: #5d6879; } }
body { margin: 2rem; background: var(--paper); color: var(--ink);
  font: 14px/1.4 system-ui, sans-serif; }
h1 { font-size: 1.25rem; font-weight: 600; margin: 0 0 1rem; }
h1 small { color: var(--dim); font-weight: 400; }
ol { list-style: none; margin: 0; padding: 0; border-top: 1px solid var(--line); }
li { display: grid; grid-template-columns: 16rem 1fr 5rem; align-items: center;
  gap: .75rem; padding: .2rem .5rem; }
li:nth-child(even) { background: var(--stripe); }
.name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.name small { color: var(--dim); }
.lane { position: relative; height: 1.1rem; background-image: linear-gradient(
  to right, var(--line) 1px, transparent 1px); background-size: 20% 100%; }
.bar { position: absolute; top: 0; bottom: 0; min-width: 2px; border-radius: 3px;
  background: var(--done); }
.bottleneck .bar { background: var(--longest); }
.failed .bar, .cancelled .bar { background: var(--failed); }
.retried .bar, .interrupted .bar, .unfinished .bar { background: repeating-linear-gradient(45deg,
  var(--open) 0 6px, transparent 6px 10px); outline: 1px solid var(--open); }
.time { text-align: right; color: var(--dim); font-variant-numeric: tabular-nums; }
.bottleneck .time { color: var(--longest); font-weight: 600; }
.failed .time, .cancelled .time { color: var(--failed); }
.axis { display: grid; grid-template-columns: 16rem 1fr 5rem; gap: .75rem;
  padding: .25rem .5rem; color: var(--dim); font-size: 12px;
  border-top: 1px solid var(--line); }
.ticks { grid-column: 2; position: relative; height: 1.4em; }
.ticks span { position: absolute; transform: translateX(-50%); }
footer { margin-top: 1rem; color: var(--dim); font-size: 12px; }
"""


def render_page(chart: Chart) -> str:
    """Draw a chart as a page."""
    name, total = escape(chart.name), format_duration(chart.total)
    rows = "\n".join(_page_row(chart, span) for span in chart.spans)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{name} ({total})</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{name} <small>{total}</small></h1>
<ol>
{rows}
</ol>
{_page_axis(chart)}
{_footer(chart)}
</body>
</html>"""


def _page_row(chart: Chart, span: Span) -> str:
    left, width = chart.fraction(span)
    css_classes = [span.status.value]
    if span is chart.longest:
        css_classes.append("bottleneck")
    name, duration = escape(span.label), format_duration(chart.seconds(span))
    return (
        f'<li class="{" ".join(css_classes)}">'
        f'<span class="name" style="padding-left:{min(span.depth, 8)}em" '
        f'title="{name}">{name}{_annotations(chart, span)}</span>'
        f'<span class="lane"><span class="bar" '
        f'style="left: {left * 100:.2f}%; width: {width * 100:.2f}%"></span></span>'
        f'<span class="time">{duration}</span></li>'
    )


def _annotations(chart: Chart, span: Span) -> str:
    annotations = ["bottleneck"] if span is chart.longest else []
    annotations += [] if span.status is SpanStatus.DONE else [span.status.value]
    if span.attempt > 1:
        annotations.append(f"attempt {span.attempt}")
    return f" <small>{', '.join(annotations)}</small>" if annotations else ""


def _page_axis(chart: Chart) -> str:
    ticks = "".join(
        f'<span style="left:{100 * tick / AXIS_PARTS:.2f}%">'
        f"{format_duration(chart.total * tick / AXIS_PARTS)}</span>"
        for tick in range(AXIS_PARTS + 1)
    )
    return f'<div class="axis"><span class="ticks">{ticks}</span></div>'


def _footer(chart: Chart) -> str:
    if not chart.dropped:
        return ""
    return f"<footer>{chart.dropped:,} earlier steps were not kept.</footer>"


MIN_WIDTH, MAX_WIDTH = 60, 500
"""Widths that can be drawn; others are taken for the nearest one."""

NAME_COLUMNS, DURATION_COLUMNS, RESERVED_COLUMNS = 28, 6, 45
"""Columns of the name and of the duration; what the bars leave of the width."""

BAR_CHARACTERS: Final = {
    SpanStatus.DONE: "█",
    SpanStatus.FAILED: "▓",
    SpanStatus.CANCELLED: "▓",
    SpanStatus.RETRIED: "▒",
    SpanStatus.INTERRUPTED: "░",
    SpanStatus.UNFINISHED: "░",
}
"""The character that a bar consists of, by status."""

STATUS_MARKS: Final = {
    SpanStatus.DONE: " ",
    SpanStatus.FAILED: "✗",
    SpanStatus.CANCELLED: "⊘",
    SpanStatus.RETRIED: "↻",
    SpanStatus.INTERRUPTED: "!",
    SpanStatus.UNFINISHED: "…",
}
"""The mark between the name and the bar, by status."""


def render_rows(chart: Chart, width: int, max_spans: int) -> str:
    """Draw a chart as text.

    Args:
        chart: what to draw.
        width: columns in all.
        max_spans: spans to draw; only the number of the others is shown.
    """
    width = min(max(width, MIN_WIDTH), MAX_WIDTH)
    columns = width - RESERVED_COLUMNS
    lines = [_title(chart), "─" * width]
    lines += [_row(chart, span, columns) for span in chart.spans[: max(max_spans, 0)]]
    if (omitted := len(chart.spans) - max(max_spans, 0)) > 0:
        lines.append(f"... {omitted} more steps")
    lines.append(_axis(chart, columns))
    if legend := _legend(chart):
        lines.append(legend)
    return "\n".join(line.rstrip() for line in lines)


def _title(chart: Chart) -> str:
    earlier = f", {chart.dropped:,} earlier steps not kept" if chart.dropped else ""
    return f"Timeline of {escape_controls(chart.name)} ({format_duration(chart.total)}{earlier})"


def _row(chart: Chart, span: Span, columns: int) -> str:
    left, width = chart.fraction(span)
    length = min(max(1, round(width * columns)), columns)
    offset = min(int(left * columns), columns - length)
    bar = " " * offset + BAR_CHARACTERS[span.status] * length
    name = (
        _padded(_truncate(escape_controls(span.label)), NAME_COLUMNS - 2)
        + STATUS_MARKS[span.status]
        + " "
    )
    marker = " Bottleneck" if span is chart.longest else ""
    duration = format_duration(chart.seconds(span))
    return f"{name}{bar:<{columns}}{duration:>{DURATION_COLUMNS}}{marker}"


def _axis(chart: Chart, columns: int) -> str:
    total = format_duration(chart.total)
    return f"{'':{NAME_COLUMNS}}0{total:>{columns - 1}}"


def _legend(chart: Chart) -> str:
    return "   ".join(
        f"{STATUS_MARKS[status]} {status.value}" for status in chart.statuses()
    )


def _truncate(name: str) -> str:
    return name if len(name) <= 25 else f"{name[:22]}..."


def _padded(name: str, width: int) -> str:
    """Pad to columns of a terminal, where some characters take two."""
    cells = sum(2 if east_asian_width(c) in "WF" else 1 for c in name)
    return name + " " * max(0, width - cells)


def render_trace(chart: Chart) -> str:
    """Write a chart as JSON of complete (``X``) events, in microseconds."""
    lanes = _lanes(chart)
    events: list[dict[str, object]] = [_metadata_event("process_name", 0, chart.name)]
    events += [
        _metadata_event("thread_name", lane, f"lane {lane}")
        for lane in sorted(set(lanes))
    ]
    events += [
        _complete_event(chart, span, lane)
        for span, lane in zip(chart.spans, lanes, strict=True)
    ]
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}, indent=1)


def _metadata_event(event_name: str, lane: int, name: str) -> dict[str, object]:
    return {
        "name": event_name,
        "ph": "M",
        "pid": 1,
        "tid": lane,
        "args": {"name": name},
    }


def _complete_event(chart: Chart, span: Span, lane: int) -> dict[str, object]:
    return {
        "name": span.label,
        "cat": span.kind.value,
        "ph": "X",
        "pid": 1,
        "tid": lane,
        "ts": round((span.start - chart.start) * 1e6),
        "dur": max(1, round(chart.seconds(span) * 1e6)),
        "args": {
            "step": span.stage,
            "status": span.status.value,
            "attempt": span.attempt,
            "invocation": span.invocation_id,
        },
    }


def _lanes(chart: Chart) -> list[int]:
    """Assign each span to the lowest lane that is free at its start."""
    lane_ends: list[float] = []
    lanes: list[int] = []
    for span in chart.spans:
        end = chart.end if span.end is None else span.end
        lane = next(
            (i for i, last in enumerate(lane_ends) if last <= span.start),
            len(lane_ends),
        )
        lane_ends[lane : lane + 1] = [end]
        lanes.append(lane + 1)
    return lanes
