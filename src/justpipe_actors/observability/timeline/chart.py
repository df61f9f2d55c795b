"""The data of a timeline chart, independent of the output format; pure."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from ...events import NodeKind
from ..spans import Span, SpanStatus


@attrs.frozen(eq=False)
class Chart:
    """Spans in a window of time."""

    name: str
    """Name of the pipe."""
    start: float
    """Start of the window, in seconds since the epoch."""
    end: float
    """End of the window, in seconds since the epoch."""
    spans: tuple[Span, ...]
    """The spans, ordered by their starts."""
    longest: Span | None
    """The span that took longest, of those that are not made of others."""
    dropped: int = 0
    """Spans that were too many to be kept."""

    @property
    def total(self) -> float:
        """Seconds in the window."""
        return self.end - self.start

    def seconds(self, span: Span) -> float:
        """Return how long a span took, or has taken until the window ends."""
        return (self.end if span.end is None else span.end) - span.start

    def fraction(self, span: Span) -> tuple[float, float]:
        """Return where a span begins and how long it is, as parts of the window."""
        if not self.total:
            return 0.0, 1.0
        return (span.start - self.start) / self.total, self.seconds(span) / self.total

    def statuses(self) -> tuple[SpanStatus, ...]:
        """Return the statuses that occur, DONE excepted, in the order of their definition."""
        occurring = {span.status for span in self.spans}
        return tuple(
            s for s in SpanStatus if s in occurring and s is not SpanStatus.DONE
        )


def build_chart(
    name: str,
    spans: Iterable[Span],
    run_start: float | None = None,
    end: float | None = None,
    dropped: int = 0,
) -> Chart:
    """Find the window that holds a run and all of its spans.

    Args:
        name: the pipe.
        spans: the run's.
        run_start: when the run began, if known.
        end: when it ended, if it has.
        dropped: how many of its spans were not kept.
    """
    all_spans = tuple(spans)
    starts = [
        t for t in (run_start, *(span.start for span in all_spans)) if t is not None
    ]
    start = min(starts, default=0.0)
    ends = [t for t in (end, *(span.end for span in all_spans)) if t is not None]
    last = max([*ends, *(span.start for span in all_spans)], default=start)
    last = max(last, start)
    leaves = _leaves(all_spans) or all_spans
    return Chart(
        name=name,
        start=start,
        end=last,
        spans=all_spans,
        longest=max(
            leaves,
            key=lambda s: (last if s.end is None else s.end) - s.start,
            default=None,
        ),
        dropped=dropped,
    )


def _leaves(spans: tuple[Span, ...]) -> list[Span]:
    """Return the spans without child spans in the chart.

    A map counts as a leaf if its items were dropped.
    """
    containers = {s.owner for s in spans if s.owner != s.invocation_id}
    is_nested = [s for s in spans if s.kind in (NodeKind.MAP, NodeKind.SUB)]
    without_id = {id(s) for s in is_nested if s.invocation_id is None}
    return [
        s
        for s in spans
        if (s.invocation_id is None and id(s) not in without_id)
        or (s.invocation_id is not None and s.invocation_id not in containers)
    ]
