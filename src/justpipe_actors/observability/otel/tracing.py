"""``TracingObserver``: a span for the run, and one for each invocation in it.

::

    the span that was current where the run began
    └─ pipe "survey"                    the run
       ├─ load
       ├─ chunks                        a map
       │  ├─ work   item work[0]
       │  │  └─ GET /...                opened by the step itself
       │  └─ work   item work[1]
       └─ enrich                        a sub-pipeline
          └─ enrich:lookup

The observer passes the parent of each span explicitly and does not use the current
span.  A span that a step opens becomes a child of the step's span, because the step's
span is current *in the context variables of the invocation*.  The engine calls witnesses of
STEP_START in that context, so the observer makes the span current once.  The context is
private to the invocation and is dropped with it, so the observer never has to restore
the previous span.  This also covers error handlers, and streaming steps that are left
between two items.

Rejected: a middleware around each step.  It would have to restore the context on every
exit and around every yield, and it would not see attempts, handlers or the iteration of
a map.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import attrs
from opentelemetry import trace
from opentelemetry.context import Context, attach
from opentelemetry.trace import Link, Span, SpanContext, Status, StatusCode, Tracer

from ..._util.text import invocation_label, short_text
from ...abc import Observer, ObserverMeta
from ...events import Event, EventType
from ...outcomes import PipelineEndData, PipelineTerminalStatus
from ..run_cache import RunCache


SCOPE = "justpipe_actors"
"""Names the instrumentation, and begins the names of its attributes."""

MAX_SPAN_EVENTS = 100
"""Span events of one span."""

MAX_LINKED_INVOCATIONS = 1000
"""Ended invocations of one run that a later one can still link to."""

TEXT_LIMIT = 1000
"""Characters of an error's text."""

SPAN_EVENT_TYPES: Final = frozenset(
    {
        EventType.SUSPEND,
        EventType.TIMEOUT,
        EventType.MAP_START,
        EventType.MAP_COMPLETE,
        EventType.BARRIER_WAIT,
        EventType.BARRIER_RELEASE,
    }
)
"""Events that become events of a span."""

ERROR_STATUSES: Final = (PipelineTerminalStatus.FAILED, PipelineTerminalStatus.TIMEOUT)
"""Endings that make the run's span an error."""


@attrs.define(eq=False)
class OpenSpan:
    """One span that is open."""

    span: Span
    parent: Context | None
    """Context in which the span was opened; None is the current context."""
    context: Context
    """Context in which child spans are opened."""
    events: int = 0
    """Span events so far."""
    tokens: int = 0
    """Items it streamed."""

    def add_event(self, name: str, attributes: dict[str, Any] | None = None) -> None:
        """Add a span event, if there are not too many already."""
        self.events += 1
        if self.events <= MAX_SPAN_EVENTS:
            self.span.add_event(name, attributes)

    def end(
        self, attributes: dict[str, Any] | None = None, at: float | None = None
    ) -> None:
        """End the span with its last attributes, now or at a time of the wall clock."""
        if self.tokens:
            self.span.set_attribute(f"{SCOPE}.tokens", self.tokens)
        if self.events > MAX_SPAN_EVENTS:
            self.span.set_attribute(
                f"{SCOPE}.events_dropped", self.events - MAX_SPAN_EVENTS
            )
        self.span.set_attributes(attributes or {})
        self.span.end(None if at is None else int(at * 1e9))


@attrs.define(eq=False)
class RunTrace:
    """The spans of one run."""

    run: OpenSpan | None = None
    """The span of the run."""
    open: dict[str, OpenSpan] = attrs.field(factory=dict)
    """Spans of running invocations, by id."""
    ended_contexts: OrderedDict[str, SpanContext] = attrs.field(factory=OrderedDict)
    """Contexts of the last ended invocations, for links to them."""
    latest: float | None = None
    """Timestamp of its last event."""

    def add_context(self, invocation: str, span: Span) -> None:
        """Keep an invocation's span context for those it causes."""
        self.ended_contexts[invocation] = span.get_span_context()
        if len(self.ended_contexts) > MAX_LINKED_INVOCATIONS:
            self.ended_contexts.popitem(last=False)

    def span_of(self, event: Event) -> OpenSpan | None:
        """Return the span an event belongs to: its invocation's, else the run's."""
        return self.open.get(event.invocation_id or "") or self.run


def parent_context(
    run: RunTrace, event: Event, previous: OpenSpan | None
) -> Context | None:
    """Return the parent of a span: the map, the sub-pipeline or the run."""
    if previous is not None:
        return previous.parent
    is_item = invocation_label(event.stage, event.scope) != event.stage
    owner = event.parent_invocation_id if is_item else event.owner_invocation_id
    owner_span = run.open.get(owner or "") or run.run
    return None if owner_span is None else owner_span.context


def attributes_of(event: Event) -> dict[str, Any]:
    """Return the attributes with which an invocation's span begins."""
    attributes: dict[str, Any] = {
        f"{SCOPE}.step": event.stage,
        f"{SCOPE}.kind": event.node_kind.value,
        f"{SCOPE}.invocation_id": event.invocation_id or "",
        f"{SCOPE}.attempt": event.attempt,
    }
    label = invocation_label(event.stage, event.scope)
    if label != event.stage:
        attributes[f"{SCOPE}.item"] = label
    return attributes


def end_invocation(run: RunTrace, event: Event) -> None:
    """Close an invocation's span, or record a failure outside of invocations."""
    open_span = run.open.pop(event.invocation_id or "", None)
    framework = (event.meta or {}).get("framework", {})
    if event.type is EventType.STEP_ERROR:
        _record_error(open_span or run.run, event, framework)
    if open_span is None:
        return
    status = {EventType.STEP_ERROR: "failed", EventType.CANCELLED: "cancelled"}
    attributes: dict[str, Any] = {f"{SCOPE}.status": status.get(event.type, "done")}
    if event.type is EventType.STEP_END and framework.get("status") == "error":
        attributes[f"{SCOPE}.handled_error"] = True
    if "tries" in framework:
        attributes[f"{SCOPE}.tries"] = framework["tries"]
    open_span.end(attributes)


def _record_error(
    open_span: OpenSpan | None, event: Event, framework: dict[str, Any]
) -> None:
    """Record an error the way OpenTelemetry's conventions have it."""
    if open_span is None:
        return
    text = short_text(event.payload, TEXT_LIMIT)
    attributes = {
        "exception.type": framework.get("error_type"),
        "exception.message": text,
        "exception.stacktrace": framework.get("traceback"),
        f"{SCOPE}.step": event.stage,
    }
    open_span.add_event(
        "exception", {k: v for k, v in attributes.items() if v is not None}
    )
    open_span.span.set_status(Status(StatusCode.ERROR, text))


def add_run_event(run: RunTrace, event: Event) -> None:
    """Add an event to the span that it belongs to."""
    open_span = run.span_of(event)
    if open_span is not None:
        attributes: dict[str, Any] = {f"{SCOPE}.step": event.stage}
        if event.type is EventType.MAP_COMPLETE and isinstance(event.payload, dict):
            attributes[f"{SCOPE}.items"] = event.payload.get("item_count", 0)
        open_span.add_event(event.type.value, attributes)


def end_run(run: RunTrace, end: object) -> None:
    """Close the spans that the run's end interrupted, then the run's span."""
    for open_span in run.open.values():
        open_span.end({f"{SCOPE}.status": "unfinished"})
    run.open.clear()
    run_span, run.run = run.run, None
    if run_span is None:
        return
    if not isinstance(end, PipelineEndData):
        run_span.end()
        return
    attributes: dict[str, Any] = {f"{SCOPE}.status": end.status.value}
    if end.reason is not None:
        attributes[f"{SCOPE}.reason"] = end.reason.value
    if end.failed_step is not None:
        attributes[f"{SCOPE}.failed_step"] = end.failed_step
    if end.status in ERROR_STATUSES:
        run_span.span.set_status(
            Status(StatusCode.ERROR, short_text(end.error or end.status.value))
        )
    run_span.end(attributes)


def interrupt_run(run: RunTrace) -> None:
    """Close the spans of a durable run that this process released, at its last event."""
    interrupted = {f"{SCOPE}.status": "interrupted"}
    for open_span in run.open.values():
        open_span.end(interrupted, run.latest)
    run.open.clear()
    if run.run is not None:
        run.run.end(interrupted, run.latest)
        run.run = None


class TracingObserver(Observer):
    """Turn runs into spans.

    Observe the outermost pipe only: the events of its sub-pipelines come along.

    Args:
        tracer: makes the spans; by default the global provider's.
    """

    def __init__(self, tracer: Tracer | None = None) -> None:
        self.tracer: Tracer = tracer or trace.get_tracer(SCOPE)
        self._runs: RunCache[RunTrace] = RunCache(RunTrace, keep=0)

    async def on_pipeline_start(
        self, state: Any, context: Any, meta: ObserverMeta
    ) -> None:
        """Open the run's span and make it current for the run's hooks and steps."""
        attributes = {
            f"{SCOPE}.pipe": meta.pipe_name,
            f"{SCOPE}.run_id": meta.run_id or "",
        }
        before = self._runs.get(meta.run_id)
        if before is not None:  # a durable run is taken up again in this process
            interrupt_run(before)
        run = self._open(meta.pipe_name, None, attributes, [])
        self._runs.begin(meta.run_id).run = run
        # This hook runs in the run's own context, so it need not detach later.
        attach(run.context)

    def witness(self, state: Any, meta: ObserverMeta, event: Event) -> None:
        """Open, annotate and close spans as events are published."""
        run = self._runs.get(meta.run_id)
        if run is None:
            return
        run.latest = event.timestamp
        match event.type:
            case EventType.STEP_START:
                attach(self._open_invocation(run, event).context)
            case EventType.TOKEN:
                if (open_span := run.span_of(event)) is not None:
                    open_span.tokens += 1
            case EventType.STEP_END | EventType.STEP_ERROR | EventType.CANCELLED:
                end_invocation(run, event)
            case EventType.FINISH if event.stage == "system":
                end_run(run, event.payload)
            case _ if event.type in SPAN_EVENT_TYPES:
                add_run_event(run, event)
            case _:
                pass

    async def on_pipeline_end(
        self, state: Any, context: Any, meta: ObserverMeta, duration_s: float
    ) -> None:
        """Drop the state of the run."""
        self._forget(meta)

    async def on_pipeline_error(
        self, state: Any, context: Any, meta: ObserverMeta, error: Exception
    ) -> None:
        """Drop the state of the run."""
        self._forget(meta)

    def _forget(self, meta: ObserverMeta) -> None:
        run = self._runs.get(meta.run_id)
        if run is not None:
            end_run(run, None)
        self._runs.end(meta.run_id)

    def _open_invocation(self, run: RunTrace, event: Event) -> OpenSpan:
        """Open the span of an invocation."""
        invocation, cause = event.invocation_id or "", event.parent_invocation_id or ""
        previous = run.open.pop(cause, None) if event.attempt > 1 else None
        if previous is not None:
            previous.end({f"{SCOPE}.status": "retried"})
        parent = parent_context(run, event, previous)
        # An open cause already encloses this span; an ended cause becomes a link.
        cause_context = None if cause in run.open else run.ended_contexts.get(cause)
        links = [] if cause_context is None else [Link(cause_context)]
        open_span = self._open(event.stage, parent, attributes_of(event), links)
        run.open[invocation] = open_span
        run.add_context(invocation, open_span.span)
        return open_span

    def _open(
        self,
        name: str,
        parent: Context | None,
        attributes: dict[str, Any],
        links: list[Link],
    ) -> OpenSpan:
        span = self.tracer.start_span(name, parent, attributes=attributes, links=links)
        return OpenSpan(span, parent, trace.set_span_in_context(span, parent))
