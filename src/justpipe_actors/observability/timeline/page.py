"""A timeline as one HTML page without scripts; pure."""

from __future__ import annotations

from html import escape

from ..durations import duration_text
from ..spans import Span, SpanStatus
from .chart import Chart


TICKS = 5
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
.retried .bar, .unfinished .bar { background: repeating-linear-gradient(45deg,
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


def page_of(chart: Chart) -> str:
    """Draw a chart as a page."""
    name, total = escape(chart.name), duration_text(chart.total)
    rows = "\n".join(_row(chart, span) for span in chart.spans)
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
{_axis(chart)}
{_footer(chart)}
</body>
</html>"""


def _row(chart: Chart, span: Span) -> str:
    begin, share = chart.share(span)
    kinds = [span.status.value]
    if span is chart.longest:
        kinds.append("bottleneck")
    name, duration = escape(span.label), duration_text(chart.seconds(span))
    return (
        f'<li class="{" ".join(kinds)}">'
        f'<span class="name" style="padding-left:{min(span.depth, 8)}em" '
        f'title="{name}">{name}{_aside(chart, span)}</span>'
        f'<span class="lane"><span class="bar" '
        f'style="left: {begin * 100:.2f}%; width: {share * 100:.2f}%"></span></span>'
        f'<span class="time">{duration}</span></li>'
    )


def _aside(chart: Chart, span: Span) -> str:
    words = ["bottleneck"] if span is chart.longest else []
    words += [] if span.status is SpanStatus.DONE else [span.status.value]
    if span.attempt > 1:
        words.append(f"attempt {span.attempt}")
    return f" <small>{', '.join(words)}</small>" if words else ""


def _axis(chart: Chart) -> str:
    ticks = "".join(
        f'<span style="left:{100 * tick / TICKS:.2f}%">'
        f"{duration_text(chart.total * tick / TICKS)}</span>"
        for tick in range(TICKS + 1)
    )
    return f'<div class="axis"><span class="ticks">{ticks}</span></div>'


def _footer(chart: Chart) -> str:
    if not chart.dropped:
        return ""
    return f"<footer>{chart.dropped:,} earlier steps were not kept.</footer>"
