"""What every drawing of a timeline shows, before anybody draws it; pure."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from ...events import NodeKind
from ..spans import Span, SpanStatus


@attrs.frozen(eq=False)
class Chart:
    """Spans in a window of time."""

    name: str
    """The pipe."""
    start: float
    """Where the window begins, in seconds since the epoch."""
    end: float
    """Where it ends."""
    spans: tuple[Span, ...]
    """In order of their starts."""
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

    def share(self, span: Span) -> tuple[float, float]:
        """Return where a span begins and how long it is, as parts of the window."""
        if not self.total:
            return 0.0, 1.0
        return (span.start - self.start) / self.total, self.seconds(span) / self.total

    def statuses(self) -> tuple[SpanStatus, ...]:
        """Return the statuses that occur, DONE excepted, in the order of their definition."""
        found = {span.status for span in self.spans}
        return tuple(s for s in SpanStatus if s in found and s is not SpanStatus.DONE)


def chart_of(
    name: str,
    spans: Iterable[Span],
    begin: float | None = None,
    end: float | None = None,
    dropped: int = 0,
) -> Chart:
    """Find the window that holds a run and all of its spans.

    Args:
        name: the pipe.
        spans: the run's.
        begin: when the run began, if known.
        end: when it ended, if it has.
        dropped: how many of its spans were not kept.
    """
    drawn = tuple(spans)
    starts = [t for t in (begin, *(span.start for span in drawn)) if t is not None]
    start = min(starts, default=0.0)
    ends = [t for t in (end, *(span.end for span in drawn)) if t is not None]
    stop = max([*ends, *(span.start for span in drawn)], default=start)
    stop = max(stop, start)
    leaves = [s for s in drawn if s.kind not in (NodeKind.MAP, NodeKind.SUB)] or drawn
    return Chart(
        name=name,
        start=start,
        end=stop,
        spans=drawn,
        longest=max(
            leaves,
            key=lambda s: (stop if s.end is None else s.end) - s.start,
            default=None,
        ),
        dropped=dropped,
    )
