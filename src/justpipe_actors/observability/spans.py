"""Pair start and end events into spans; pure.

One invocation is one span.  Its events have its ``invocation_id``, so concurrent
invocations of one step are kept apart.  Events of older programs may have none; they
are paired within their stage, first start with first end.

A start may lack an end.  A retried attempt ends where the next attempt begins.  A span
that is open when its run finishes is closed there and marked as unfinished.  When
another process takes a durable run up (RECOVERED), the open spans are closed at the last
event before it and marked as interrupted: the process that ran them is gone, and what it
had begun begins again.

The number of spans is limited; the oldest ended spans are dropped first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from enum import Enum
from operator import attrgetter

import attrs

from .._util.text import invocation_label
from ..events import Event, EventType, NodeKind
from ..records import EventHeader


AnyEvent = Event | EventHeader
"""An event of a run, or a stored one without its payload."""


class SpanStatus(Enum):
    """The outcome of an invocation."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETRIED = "retried"
    INTERRUPTED = "interrupted"
    UNFINISHED = "unfinished"


END_STATUSES = {
    EventType.STEP_END: SpanStatus.DONE,
    EventType.STEP_ERROR: SpanStatus.FAILED,
    EventType.CANCELLED: SpanStatus.CANCELLED,
}
"""The events that end a span."""


# perf: a name of the module is found faster than a member of an enum.
_START, _END = EventType.STEP_START, EventType.STEP_END
_ERROR, _CANCELLED = EventType.STEP_ERROR, EventType.CANCELLED
_FINISH, _RECOVERED = EventType.FINISH, EventType.RECOVERED
_DONE, _UNFINISHED = SpanStatus.DONE, SpanStatus.UNFINISHED


@attrs.define(eq=False)
class Span:
    """One invocation from its start to its end."""

    stage: str
    """Name of the step."""
    label: str
    """The step, or the item for a map worker: ``w[2]``."""
    kind: NodeKind
    start: float
    """Timestamp of its STEP_START."""
    end: float | None = None
    """Timestamp of its last event; None while it is open."""
    status: SpanStatus = SpanStatus.UNFINISHED
    """Outcome of the invocation."""
    invocation_id: str | None = None
    """Its id, if its events carried one."""
    attempt: int = 1
    """Which try it was."""
    depth: int = 0
    """Number of maps and sub-pipelines around it."""
    owner: str | None = None
    """The map or sub invocation it works for, else its own id."""
    first_seq: int | None = None
    """Number of its STEP_START."""
    last_seq: int | None = None
    """Number of the event that ended it."""
    cause: str | None = None
    """The invocation whose end or delivery made it begin; of a join the last parent."""

    @property
    def seconds(self) -> float:
        """How long it took; 0.0 while it is open."""
        return 0.0 if self.end is None else self.end - self.start

    def close(
        self, event: AnyEvent, status: SpanStatus, at: float | None = None
    ) -> None:
        """End the span at an event or a time; its duration is never negative."""
        self.end = max(event.timestamp if at is None else at, self.start)
        self.last_seq = event.seq
        self.status = status


@attrs.define(eq=False)
class SpanCollector:
    """Collects the spans of one run from its events."""

    max_spans: int | None = None
    """Ended spans that are kept; None keeps them all."""
    dropped: int = attrs.field(default=0, init=False)
    """Ended spans that are not kept any more."""
    _latest: float = attrs.field(default=0.0, init=False)
    _ended: deque[Span] = attrs.field(factory=deque, init=False)
    _open: dict[str, Span] = attrs.field(factory=dict, init=False)
    _open_by_stage: dict[str, deque[Span]] = attrs.field(factory=dict, init=False)

    def note(self, event: AnyEvent) -> None:
        """Take note of an event."""
        kind = event.type
        # perf: most events are the first two; a dict would hash members of an enum.
        if kind is _START:
            self._begin(event)
        elif kind is _END:
            self._end(self._pop_open(event.invocation_id, event.stage), event, _DONE)
        elif kind is _ERROR or kind is _CANCELLED:
            span = self._pop_open(event.invocation_id, event.stage)
            self._end(span, event, END_STATUSES[kind])
        elif kind is _FINISH:
            for span in self._pop_all_open(event):
                self._end(span, event, SpanStatus.UNFINISHED)
        elif kind is _RECOVERED:
            for span in self._pop_all_open(event):
                self._end(span, event, SpanStatus.INTERRUPTED, self._latest)
        self._latest = event.timestamp

    def __iter__(self) -> Iterator[Span]:
        """Iterate over the spans in order of their starts."""
        open_by_stage = (
            span for queue in self._open_by_stage.values() for span in queue
        )
        spans = [*self._ended, *self._open.values(), *open_by_stage]
        return iter(sorted(spans, key=attrgetter("start")))

    def _begin(self, event: AnyEvent) -> None:
        if event.attempt > 1 and event.parent_invocation_id in self._open:
            retried = self._open.pop(event.parent_invocation_id)
            self._end(retried, event, SpanStatus.RETRIED)
        stage, scope, name = event.stage, event.scope, event.invocation_id
        span = Span(
            stage,
            invocation_label(stage, scope),
            event.node_kind,
            event.timestamp,
            None,
            _UNFINISHED,
            name,
            event.attempt,
            len(scope),
            event.owner_invocation_id,
            event.seq,
            None,
            event.parent_invocation_id,
        )
        if name is None:
            self._open_by_stage.setdefault(stage, deque()).append(span)
        else:
            self._open[name] = span

    def _pop_open(self, invocation_id: str | None, stage: str) -> Span | None:
        if invocation_id is not None:
            return self._open.pop(invocation_id, None)
        queue = self._open_by_stage.get(stage)
        if not queue:
            return None
        span = queue.popleft()
        if not queue:
            del self._open_by_stage[stage]
        return span

    def _pop_all_open(self, finish: AnyEvent) -> list[Span]:
        """Remove the open spans of a run; a child's FINISH closes the child's only."""
        if finish.stage == "system":
            popped = [
                *self._open.values(),
                *(s for q in self._open_by_stage.values() for s in q),
            ]
            self._open.clear()
            self._open_by_stage.clear()
            return popped
        own_ids = [
            i for i in self._open if i.rpartition(":")[0] == finish.origin_run_id
        ]
        return [self._open.pop(invocation) for invocation in own_ids]

    def _end(
        self,
        span: Span | None,
        event: AnyEvent,
        status: SpanStatus,
        at: float | None = None,
    ) -> None:
        if span is None:
            return
        span.close(event, status, at)
        self._ended.append(span)
        while self.max_spans is not None and len(self._ended) > self.max_spans:
            self._ended.popleft()
            self.dropped += 1


def collect_spans(events: Iterable[AnyEvent]) -> list[Span]:
    """Return the spans of a run's events, in order of their starts."""
    collector = SpanCollector()
    note = collector.note  # perf: a long run has thousands of events
    for event in events:
        note(event)
    return list(collector)
