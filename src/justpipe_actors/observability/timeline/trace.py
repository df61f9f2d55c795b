"""A timeline in the trace format that Chrome and Perfetto open; pure.

In that format the spans of one thread must be nested, and invocations are not.  So each
span goes to the first lane that is free when it starts.
"""

from __future__ import annotations

import json

from ..spans import Span
from .chart import Chart


def trace_of(chart: Chart) -> str:
    """Write a chart as JSON of complete (``X``) events, in microseconds."""
    lanes = _lanes(chart)
    events: list[dict[str, object]] = [_title("process_name", 0, chart.name)]
    events += [
        _title("thread_name", lane, f"lane {lane}") for lane in sorted(set(lanes))
    ]
    events += [
        _complete(chart, span, lane)
        for span, lane in zip(chart.spans, lanes, strict=True)
    ]
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}, indent=1)


def _title(role: str, lane: int, name: str) -> dict[str, object]:
    return {"name": role, "ph": "M", "pid": 1, "tid": lane, "args": {"name": name}}


def _complete(chart: Chart, span: Span, lane: int) -> dict[str, object]:
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
    """Give each span the lowest lane whose last span is over."""
    ends: list[float] = []
    lanes: list[int] = []
    for span in chart.spans:
        end = chart.end if span.end is None else span.end
        lane = next((i for i, last in enumerate(ends) if last <= span.start), len(ends))
        ends[lane : lane + 1] = [end]
        lanes.append(lane + 1)
    return lanes
