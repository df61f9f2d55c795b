"""``TracingObserver``: a span for the run, and one for each invocation in it.

::

    whatever span was current where the run began
    └─ pipe "survey"                    the run
       ├─ load
       ├─ chunks                        a map
       │  ├─ work   item work[0]
       │  │  └─ GET /...                opened by the step itself
       │  └─ work   item work[1]
       └─ enrich                        a sub-pipeline
          └─ enrich:lookup

Parents are always given, never taken from what happens to be current.  The other way
round it has to be the context: what a step opens becomes a child of the step's span
because that span is current *in the context variables of the invocation*.  The engine
shows STEP_START to witnesses there, so a span is made current once, in a context that
nobody else sees and that is dropped with the invocation.  Nothing has to be undone, a
step that streams may be left between two of its items, and its handlers are covered too.

Rejected: a middleware around each step.  It would have to undo what it did on every way
out, swap contexts around every yield, and it would see neither attempts nor handlers nor
the iteration of a map.
"""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context, attach
from opentelemetry.trace import Link, Tracer

from ...abc import Observer, ObserverMeta
from ...events import Event, EventType
from ..recent import RecentRuns
from .spans import (
    NOTED,
    SCOPE,
    RunTrace,
    Traced,
    close,
    facts_of,
    finish,
    note,
    parent_of,
)


class TracingObserver(Observer):
    """Turn runs into spans.

    Observe the outermost pipe only: the events of its sub-pipelines come along.

    Args:
        tracer: makes the spans; by default the global provider's.
    """

    def __init__(self, tracer: Tracer | None = None) -> None:
        self.tracer = tracer or trace.get_tracer(SCOPE)
        self._runs: RecentRuns[RunTrace] = RecentRuns(RunTrace, keep=0)

    async def on_pipeline_start(
        self, state: Any, context: Any, meta: ObserverMeta
    ) -> None:
        """Open the run's span and make it current for the run's hooks and steps."""
        facts = {f"{SCOPE}.pipe": meta.pipe_name, f"{SCOPE}.run_id": meta.run_id or ""}
        run = self._open(meta.pipe_name, None, facts, [])
        self._runs.begin(meta.run_id).run = run
        # This hook runs in the context variables of the run, which end with it.
        attach(run.context)

    def witness(self, state: Any, meta: ObserverMeta, event: Event) -> None:
        """Open, annotate and close spans as events are published."""
        run = self._runs.known(meta.run_id)
        if run is None:
            return
        match event.type:
            case EventType.STEP_START:
                attach(self._begin(run, event).context)
            case EventType.TOKEN:
                if (traced := run.around(event)) is not None:
                    traced.tokens += 1
            case EventType.STEP_END | EventType.STEP_ERROR | EventType.CANCELLED:
                finish(run, event)
            case EventType.FINISH if event.stage == "system":
                close(run, event.payload)
            case _ if event.type in NOTED:
                note(run, event)
            case _:
                pass

    async def on_pipeline_end(
        self, state: Any, context: Any, meta: ObserverMeta, duration_s: float
    ) -> None:
        """Forget the run."""
        self._forget(meta)

    async def on_pipeline_error(
        self, state: Any, context: Any, meta: ObserverMeta, error: Exception
    ) -> None:
        """Forget the run."""
        self._forget(meta)

    def _forget(self, meta: ObserverMeta) -> None:
        run = self._runs.known(meta.run_id)
        if run is not None:
            close(run, None)
        self._runs.end(meta.run_id)

    def _begin(self, run: RunTrace, event: Event) -> Traced:
        """Open the span of an invocation."""
        invocation, cause = event.invocation_id or "", event.parent_invocation_id or ""
        previous = run.open.pop(cause, None) if event.attempt > 1 else None
        if previous is not None:
            previous.end({f"{SCOPE}.status": "retried"})
        parent = parent_of(run, event, previous)
        # What is still open is around it; what has ended led to it.
        causer = None if cause in run.open else run.causes.get(cause)
        links = [] if causer is None else [Link(causer)]
        traced = self._open(event.stage, parent, facts_of(event), links)
        run.open[invocation] = traced
        run.remember(invocation, traced.span)
        return traced

    def _open(
        self,
        name: str,
        parent: Context | None,
        facts: dict[str, Any],
        links: list[Link],
    ) -> Traced:
        span = self.tracer.start_span(name, parent, attributes=facts, links=links)
        return Traced(span, parent, trace.set_span_in_context(span, parent))
