"""Runs as spans: parents and children, and the spans that a step opens itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from justpipe_actors import Event, EventType, Pipe, Raise, Retry, Suspend
from justpipe_actors.observability import ObserverMeta
from justpipe_actors.observability.otel import TracingObserver, tracing as spans


class Exported:
    """A tracer that keeps its spans."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = provider.get_tracer("test")
        self.observer = TracingObserver(self.tracer)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of one name, by their start."""
        found = [span for span in self.spans if span.name == name]
        return sorted(found, key=lambda span: span.start_time or 0)

    def tree(self) -> list[tuple[str, ...]]:
        """Return each span as the path of names that leads to it."""
        by_id = {span.context.span_id: span for span in self.spans if span.context}

        def path(span: ReadableSpan) -> tuple[str, ...]:
            parent = by_id.get(span.parent.span_id) if span.parent else None
            return (*(path(parent) if parent else ()), span.name)

        return sorted(path(span) for span in self.spans)

    def facts(self, span: ReadableSpan) -> dict[str, Any]:
        """Return a span's attributes without their prefix."""
        return {
            key.removeprefix("justpipe_actors."): value
            for key, value in (span.attributes or {}).items()
        }


@pytest.fixture
def exported() -> Exported:
    """Return a tracer whose spans are kept in memory."""
    return Exported()


def observed(exported: Exported, **options: Any) -> Pipe[Any, Any]:
    """Return an empty pipe that is traced."""
    pipe: Pipe[Any, Any] = Pipe(None, name="P", **options)
    pipe.add_observer(exported.observer)
    return pipe


async def run(pipe: Pipe[Any, Any], state: Any = None, **options: Any) -> str:
    """Run a pipe and return its run's id."""
    async with pipe.run({} if state is None else state, **options) as stream:
        await stream.wait()
    return stream.run_id


async def test_a_run_is_a_span_around_its_steps(exported: Exported) -> None:
    """The span of the run is the parent of the steps' spans, which have their names and kinds."""
    pipe = observed(exported)
    pipe.step("a", to="b")(lambda state: None)
    pipe.step("b")(lambda state: None)
    run_id = await run(pipe)

    assert exported.tree() == [("P",), ("P", "a"), ("P", "b")]
    (top,), (a,), (b,) = (exported.named(name) for name in ("P", "a", "b"))
    assert exported.facts(top) == {"pipe": "P", "run_id": run_id, "status": "success"}
    assert exported.facts(b) == {
        "step": "b",
        "kind": "step",
        "invocation_id": f"{run_id}:2",
        "attempt": 1,
        "status": "done",
    }
    assert [link.context.span_id for link in b.links] == [a.context.span_id]
    assert {span.status.status_code for span in exported.spans} == {StatusCode.UNSET}


async def test_spans_that_a_step_opens_are_its_children(exported: Exported) -> None:
    """This holds for sync, async and streaming steps."""
    pipe = observed(exported)
    tracer = exported.tracer

    def plain(state: Any) -> None:
        with tracer.start_as_current_span("in plain"):
            pass

    async def waits(state: Any) -> None:
        with tracer.start_as_current_span("in waits"):
            await anyio.lowlevel.checkpoint()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(child_task)

    async def child_task() -> None:
        with tracer.start_as_current_span("in a task"):
            await anyio.lowlevel.checkpoint()

    async def streams(state: Any) -> AsyncIterator[int]:
        with tracer.start_as_current_span("around yields"):
            yield 1
            with tracer.start_as_current_span("between yields"):
                yield 2
        with tracer.start_as_current_span("after yields"):
            pass

    pipe.step("plain", to="waits")(plain)
    pipe.step("waits", to="streams")(waits)
    pipe.step("streams")(streams)
    await run(pipe)

    paths = {path[-1]: path[1:-1] for path in exported.tree()}
    assert paths["in plain"] == ("plain",)
    assert paths["in waits"] == ("waits",)
    assert paths["in a task"] == ("waits", "in waits")
    assert paths["around yields"] == ("streams",)
    assert paths["between yields"] == ("streams", "around yields")
    assert paths["after yields"] == ("streams",)
    assert exported.facts(exported.named("streams")[0])["tokens"] == 2


async def test_a_thread_is_in_the_span_of_its_step(exported: Exported) -> None:
    """A step that runs in a worker thread opens children of its span."""
    pipe = observed(exported)

    def work(state: Any) -> None:
        with exported.tracer.start_as_current_span("in a thread"):
            pass

    pipe.step("a", placement="thread")(work)
    await run(pipe)

    assert ("P", "a", "in a thread") in exported.tree()


async def test_hooks_and_handlers_open_child_spans(exported: Exported) -> None:
    """Hooks open children of the run's span, handlers children of their step's."""
    pipe = observed(exported)

    def note(name: str) -> None:
        with exported.tracer.start_as_current_span(name):
            pass

    pipe.on_startup(lambda: note("startup"))
    pipe.on_shutdown(lambda: note("shutdown"))
    pipe.step("a", on_error=lambda: note("handler"))(lambda state: Raise(ValueError()))
    await run(pipe)

    tree = exported.tree()
    assert ("P", "startup") in tree
    assert ("P", "shutdown") in tree
    assert ("P", "a", "handler") in tree
    (a,) = exported.named("a")
    assert exported.facts(a)["handled_error"] is True
    assert a.status.status_code is StatusCode.UNSET


async def test_the_span_of_the_caller_is_the_parent_of_the_run(
    exported: Exported,
) -> None:
    """The run belongs to the caller's trace and does not change the caller's context."""
    pipe = observed(exported)
    pipe.step("a")(lambda state: None)
    with exported.tracer.start_as_current_span("caller") as caller:
        async with pipe.run({}) as stream:
            async for _ in stream:
                assert trace.get_current_span() is caller
        assert trace.get_current_span() is caller

    assert exported.tree() == [("caller",), ("caller", "P"), ("caller", "P", "a")]


async def test_workers_are_children_of_their_map(exported: Exported) -> None:
    """Workers of a nested map are children of the inner map; retried attempts are siblings."""
    pipe = observed(exported)
    answers = iter([Retry(), None, None, None])
    pipe.map("outer", each="inner", to="after")(lambda state: [1, 2])
    pipe.map("inner", each="leaf")(lambda item: [item])
    pipe.step("leaf")(lambda item: next(answers))
    pipe.step("after")(lambda state: None)
    await run(pipe)

    assert exported.tree() == [
        ("P",),
        ("P", "after"),
        ("P", "outer"),
        ("P", "outer", "inner"),
        ("P", "outer", "inner"),
        ("P", "outer", "inner", "leaf"),
        ("P", "outer", "inner", "leaf"),
        ("P", "outer", "inner", "leaf"),
    ]
    told = sorted(
        (str(facts["item"]), int(facts["attempt"]), str(facts["status"]))
        for facts in map(exported.facts, exported.named("leaf"))
    )
    assert [status for _, _, status in told].count("retried") == 1
    assert {item for item, _, _ in told} == {"inner[0]/leaf[0]", "inner[1]/leaf[0]"}
    assert sorted(attempt for _, attempt, _ in told) == [1, 1, 2]
    assert all(span.links == () for span in exported.named("inner"))
    (outer,) = exported.named("outer")
    assert [event.name for event in outer.events] == ["map_start", "map_complete"]


async def test_a_sub_pipeline_is_a_child_of_its_step(exported: Exported) -> None:
    """The child run's steps, its map workers and their spans are below the sub step."""
    child: Pipe[Any, Any] = Pipe(None, name="child")

    def work(item: Any) -> None:
        with exported.tracer.start_as_current_span("inside"):
            pass

    child.map("m", each="w")(lambda state: [1])
    child.step("w")(work)
    pipe = observed(exported)
    pipe.sub("s", child)(lambda state: state)
    await run(pipe)

    assert exported.tree() == [
        ("P",),
        ("P", "s"),
        ("P", "s", "s:m"),
        ("P", "s", "s:m", "s:w"),
        ("P", "s", "s:m", "s:w", "inside"),
    ]
    assert exported.facts(exported.named("s:w")[0])["item"] == "s:w[0]"


async def test_errors_are_recorded(exported: Exported) -> None:
    """The failed step's span has the exception's type, text and traceback; the run's is
    failed.
    """
    pipe = observed(exported)

    def fail(state: Any) -> None:
        raise ValueError("boom")

    pipe.step("a")(fail)
    await run(pipe)

    (a,), (top,) = exported.named("a"), exported.named("P")
    assert (a.status.status_code, a.status.description) == (StatusCode.ERROR, "boom")
    (event,) = a.events
    facts = dict(event.attributes or {})
    assert event.name == "exception"
    assert (facts["exception.type"], facts["exception.message"]) == (
        "ValueError",
        "boom",
    )
    assert "raise ValueError" in str(facts["exception.stacktrace"])
    assert top.status.status_code is StatusCode.ERROR
    assert exported.facts(top)["failed_step"] == "a"
    assert exported.facts(top)["reason"] == "step_error"


async def test_a_failure_without_a_step_is_recorded_on_the_run(
    exported: Exported,
) -> None:
    """This holds for the error of a startup hook."""
    pipe = observed(exported)

    def fail() -> None:
        raise ValueError("no database")

    pipe.on_startup(fail)
    pipe.step("a")(lambda state: None)
    await run(pipe)

    (top,) = exported.spans
    assert [event.name for event in top.events] == ["exception"]


@pytest.mark.virtual_time
async def test_spans_are_closed_by_a_timeout(exported: Exported) -> None:
    """Spans of interrupted steps end as unfinished, before the run's."""
    pipe = observed(exported)
    pipe.step("slow")(anyio.sleep_forever)
    await run(pipe, timeout=5)

    assert [span.name for span in exported.spans] == ["slow", "P"]
    slow, top = exported.spans
    assert exported.facts(slow)["status"] == "unfinished"
    assert top.status.status_code is StatusCode.ERROR
    assert exported.facts(top)["status"] == "timeout"
    assert [event.name for event in top.events] == ["timeout"]


async def test_suspensions_are_noted(exported: Exported) -> None:
    """A step's Suspend is an event of its span."""
    pipe = observed(exported)
    pipe.step("a")(lambda state: Suspend("approval"))
    await run(pipe)

    assert [event.name for event in exported.named("a")[0].events] == ["suspend"]


async def test_concurrent_runs_are_traces_of_their_own(exported: Exported) -> None:
    """Spans of runs that overlap never mix."""
    pipe = observed(exported)
    here = anyio.Event()

    async def meet(state: Any) -> None:
        if state["last"]:
            here.set()
        await here.wait()
        with exported.tracer.start_as_current_span("inside"):
            await anyio.lowlevel.checkpoint()

    pipe.step("meet")(meet)
    async with anyio.create_task_group() as tasks:
        for last in (False, False, True):
            tasks.start_soon(run, pipe, {"last": last})

    assert exported.tree().count(("P", "meet", "inside")) == 3
    traces = [span.context.trace_id for span in exported.spans if span.context]
    assert sorted(traces.count(one) for one in set(traces)) == [3, 3, 3]


async def test_span_events_are_bounded(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with more notes than a span can hold counts the others."""
    monkeypatch.setattr(spans, "MAX_SPAN_EVENTS", 3)
    monkeypatch.setattr(spans, "MAX_LINKED_INVOCATIONS", 2)
    pipe = observed(exported)

    def lap(state: Any) -> Any:
        state["n"] += 1
        return "items" if state["n"] < 5 else None

    pipe.map("items", each="w", to="lap")(lambda state: [])
    pipe.step("w")(lambda item: None)
    pipe.step("lap")(lap)
    await run(pipe, {"n": 0}, start="items")
    assert len(exported.named("items")) == 5

    many_events = spans.OpenSpan(exported.tracer.start_span("many"), None, Context())
    for _ in range(5):
        many_events.add_event("suspend")
    many_events.end()
    (many,) = exported.named("many")
    assert len(many.events) == 3
    assert exported.facts(many)["events_dropped"] == 2


async def test_no_payload_leaves_the_process(exported: Exported) -> None:
    """States, items and streamed tokens are in no attribute and no event."""
    pipe = observed(exported)

    async def streams(item: Any) -> AsyncIterator[str]:
        yield "hunter2"

    pipe.map("m", each="w")(lambda state: ["hunter2"])
    pipe.step("w")(streams)
    await run(pipe, {"password": "hunter2"})

    assert "hunter2" not in "".join(span.to_json() for span in exported.spans)


async def test_a_run_without_finish_is_closed(exported: Exported) -> None:
    """The last callback ends the open spans; an end of an unknown run is ignored."""
    observer, meta = exported.observer, ObserverMeta("P", "r")
    await observer.on_pipeline_start(None, None, meta)
    await observer.on_pipeline_end(None, None, meta, 1.0)
    await observer.on_pipeline_error(None, None, ObserverMeta("P", "x"), ValueError())

    assert [span.name for span in exported.spans] == ["P"]
    assert len(observer._runs) == 0


async def test_a_run_that_was_released_is_interrupted(exported: Exported) -> None:
    """When it is taken up again here, its old spans end at its last event before."""
    observer, meta = exported.observer, ObserverMeta("P", "r")
    begin = Event(EventType.STEP_START, "a", timestamp=2e9, invocation_id="r:1")
    await observer.on_pipeline_start(None, None, meta)
    observer.witness(None, meta, begin)
    await observer.on_pipeline_start(None, None, meta)
    observer.witness(None, meta, replace(begin, timestamp=2e9 + 5))
    await observer.on_pipeline_end(None, None, meta, 1.0)

    ended = [(s.name, exported.facts(s).get("status")) for s in exported.spans]
    assert ended == [
        ("a", "interrupted"),
        ("P", "interrupted"),
        ("a", "unfinished"),
        ("P", None),
    ]
    assert exported.spans[0].end_time == int(2e9 * 1e9)
