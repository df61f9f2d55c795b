"""The spans of one run: what they say, whose children they are, and how they end."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import attrs
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, Status, StatusCode

from ...events import Event, EventType
from ...outcomes import PipelineEndData, PipelineTerminalStatus
from ..labels import label_of
from ..showing import shown


SCOPE = "justpipe_actors"
"""Names the instrumentation, and begins the names of its attributes."""

MOST_EVENTS = 100
"""Span events of one span."""

MOST_CAUSES = 1000
"""Ended invocations of one run that a later one can still link to."""

TEXT_LIMIT = 1000
"""Characters of an error's text."""

NOTED: Final = frozenset(
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

BROKEN: Final = (PipelineTerminalStatus.FAILED, PipelineTerminalStatus.TIMEOUT)
"""Endings that make the run's span an error."""


@attrs.define(eq=False)
class Traced:
    """One span that is open."""

    span: Span
    """The span."""
    parent: Context | None
    """What it was opened in; None is whatever was current."""
    context: Context
    """What its children are opened in."""
    events: int = 0
    """Span events so far."""
    tokens: int = 0
    """Items it streamed."""

    def note(self, name: str, facts: dict[str, Any] | None = None) -> None:
        """Add a span event, if there are not too many already."""
        self.events += 1
        if self.events <= MOST_EVENTS:
            self.span.add_event(name, facts)

    def end(self, facts: dict[str, Any] | None = None) -> None:
        """End the span with its last attributes."""
        if self.tokens:
            self.span.set_attribute(f"{SCOPE}.tokens", self.tokens)
        if self.events > MOST_EVENTS:
            self.span.set_attribute(
                f"{SCOPE}.events_dropped", self.events - MOST_EVENTS
            )
        self.span.set_attributes(facts or {})
        self.span.end()


@attrs.define(eq=False)
class RunTrace:
    """The spans of one run."""

    run: Traced | None = None
    """The run's own."""
    open: dict[str, Traced] = attrs.field(factory=dict)
    """Those of its running invocations."""
    causes: OrderedDict[str, SpanContext] = attrs.field(factory=OrderedDict)
    """Those of its last invocations, to be linked to."""

    def remember(self, invocation: str, span: Span) -> None:
        """Keep an invocation's span context for those it causes."""
        self.causes[invocation] = span.get_span_context()
        if len(self.causes) > MOST_CAUSES:
            self.causes.popitem(last=False)

    def around(self, event: Event) -> Traced | None:
        """Return the span an event belongs to: its invocation's, else the run's."""
        return self.open.get(event.invocation_id or "") or self.run


def parent_of(run: RunTrace, event: Event, previous: Traced | None) -> Context | None:
    """Say whose child a span is: a map's, a sub-pipeline's, or the run's."""
    if previous is not None:
        return previous.parent
    is_item = label_of(event.stage, event.scope) != event.stage
    owner = event.parent_invocation_id if is_item else event.owner_invocation_id
    around = run.open.get(owner or "") or run.run
    return None if around is None else around.context


def facts_of(event: Event) -> dict[str, Any]:
    """Return the attributes with which an invocation's span begins."""
    facts: dict[str, Any] = {
        f"{SCOPE}.step": event.stage,
        f"{SCOPE}.kind": event.node_kind.value,
        f"{SCOPE}.invocation_id": event.invocation_id or "",
        f"{SCOPE}.attempt": event.attempt,
    }
    label = label_of(event.stage, event.scope)
    if label != event.stage:
        facts[f"{SCOPE}.item"] = label
    return facts


def finish(run: RunTrace, event: Event) -> None:
    """Close an invocation's span, or note a failure that belongs to none."""
    traced = run.open.pop(event.invocation_id or "", None)
    framework = (event.meta or {}).get("framework", {})
    if event.type is EventType.STEP_ERROR:
        _blame(traced or run.run, event, framework)
    if traced is None:
        return
    status = {EventType.STEP_ERROR: "failed", EventType.CANCELLED: "cancelled"}
    facts: dict[str, Any] = {f"{SCOPE}.status": status.get(event.type, "done")}
    if event.type is EventType.STEP_END and framework.get("status") == "error":
        facts[f"{SCOPE}.handled_error"] = True
    if "tries" in framework:
        facts[f"{SCOPE}.tries"] = framework["tries"]
    traced.end(facts)


def _blame(traced: Traced | None, event: Event, framework: dict[str, Any]) -> None:
    """Record an error the way OpenTelemetry's conventions have it."""
    if traced is None:
        return
    text = shown(event.payload, TEXT_LIMIT)
    facts = {
        "exception.type": framework.get("error_type"),
        "exception.message": text,
        "exception.stacktrace": framework.get("traceback"),
        f"{SCOPE}.step": event.stage,
    }
    traced.note("exception", {k: v for k, v in facts.items() if v is not None})
    traced.span.set_status(Status(StatusCode.ERROR, text))


def note(run: RunTrace, event: Event) -> None:
    """Add an event to the span that it belongs to."""
    traced = run.around(event)
    if traced is not None:
        facts: dict[str, Any] = {f"{SCOPE}.step": event.stage}
        if event.type is EventType.MAP_COMPLETE and isinstance(event.payload, dict):
            facts[f"{SCOPE}.items"] = event.payload.get("item_count", 0)
        traced.note(event.type.value, facts)


def close(run: RunTrace, end: object) -> None:
    """Close the run's span, after those that the run's end cut off."""
    for traced in run.open.values():
        traced.end({f"{SCOPE}.status": "unfinished"})
    run.open.clear()
    top, run.run = run.run, None
    if top is None:
        return
    if not isinstance(end, PipelineEndData):
        top.end()
        return
    facts: dict[str, Any] = {f"{SCOPE}.status": end.status.value}
    if end.reason is not None:
        facts[f"{SCOPE}.reason"] = end.reason.value
    if end.failed_step is not None:
        facts[f"{SCOPE}.failed_step"] = end.failed_step
    if end.status in BROKEN:
        top.span.set_status(
            Status(StatusCode.ERROR, shown(end.error or end.status.value))
        )
    top.end(facts)
