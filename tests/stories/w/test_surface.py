"""Weaknesses 22 to 39: what is told, what is accepted, and what it costs."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from justpipe_actors import DefinitionError, Event, EventType, Pipe, Stop, Suspend
from justpipe_actors.observability import Observer
from justpipe_actors.types import (
    CancellationToken,
    FailureClassificationConfig,
    FailureSource,
    InjectionSource,
)

from .playing import (
    CANCELLED,
    FAILED,
    SUCCESS,
    AnyPipe,
    chain,
    company,
    empty,
    end_of,
    nothing,
    play,
    steps,
    told,
)


# -- ids


@company
async def test_everything_said_of_an_invocation_carries_its_ids(
    company: int,
) -> None:
    """Tokens and suspensions name their invocation, item and child; successors their cause."""
    child: AnyPipe = Pipe(dict)

    @child.step
    async def talk() -> AsyncIterator[Any]:
        yield "word"
        await checkpoint()

    pipe: AnyPipe = Pipe(dict)
    pipe.map("m", each="s", to="after")(lambda: range(3))
    pipe.sub("s", pipeline=child)(lambda item: empty())
    pipe.step("after", to="last")(nothing)
    pipe.step("last")(lambda: Suspend("later"))
    events = await play(pipe, company=company)
    starts = {e.invocation_id: e for e in events if e.type is EventType.STEP_START}

    said = [e for e in events if e.type in (EventType.TOKEN, EventType.SUSPEND)]
    assert len(said) == 4
    for event in said:
        start = starts[event.invocation_id]
        assert event.scope == start.scope
        assert event.owner_invocation_id == start.owner_invocation_id
    (after,) = [e for e in starts.values() if e.stage == "after"]
    assert starts[after.parent_invocation_id].stage == "m"
    (last,) = [e for e in starts.values() if e.stage == "last"]
    assert last.parent_invocation_id == after.invocation_id


# -- errors in events


@company
@pytest.mark.parametrize("error", [KeyError("k"), TimeoutError(), ValueError("text")])
async def test_the_type_of_an_error_is_told(error: Exception, company: int) -> None:
    """The payload stays the text; type and traceback are in the event's meta."""

    def fail() -> None:
        raise error

    pipe: AnyPipe = Pipe(dict)
    pipe.step("a")(fail)
    events = await play(pipe, company=company)
    (told_error,) = [e for e in events if e.type is EventType.STEP_ERROR]
    assert told_error.payload == str(error)
    assert told_error.meta is not None
    framework = told_error.meta["framework"]
    assert framework["error_type"] == type(error).__name__
    assert "in fail" in framework["traceback"]


# -- Stop as an instance


@company
@pytest.mark.parametrize("answer", [Stop, Stop()])
@pytest.mark.parametrize("place", ["callable switch", "step", "handler", "worker"])
async def test_stop_counts_as_class_and_as_instance(
    answer: Any, place: str, company: int
) -> None:
    """Both stop the run well, from wherever they are answered."""
    pipe: AnyPipe = Pipe(dict)
    if place == "callable switch":
        pipe.switch("a", to=lambda value: answer)(lambda: 1)
    elif place == "step":
        pipe.step("a", to="b")(lambda: answer)
    elif place == "handler":
        pipe.step("a", to="b", on_error=lambda error: answer)(lambda: 1 / 0)
    else:
        pipe.map("a", each="w", to="b")(lambda: range(3))
        pipe.step("w")(lambda item: answer)
    if place != "callable switch":
        steps(pipe, b=[])
    events = await play(pipe, company=company)
    assert end_of(events).status is SUCCESS
    assert "STEP_START b" not in told(events)


# -- order


@company
async def test_the_order_is_the_order_of_definition(company: int) -> None:
    """Roots and the parents in BARRIER_WAIT come in the order they were written in."""
    names = ["zeta", "alpha", "mid", "omega", "beta"]
    pipe: AnyPipe = Pipe(dict, allow_multi_root=True)
    for name in names:
        pipe.step(name, to="join")(nothing)
    pipe.step("join", barrier_timeout=60)(nothing)
    for _ in range(3):
        events = await play(pipe, company=company)
        starts = [e.stage for e in events if e.type is EventType.STEP_START]
        (wait,) = [e for e in events if e.type is EventType.BARRIER_WAIT]
        assert wait.payload["dependencies"] == names
        assert starts[-1] == "join"
    plan = pipe.plan()
    assert list(plan.roots) == names
    assert list(plan.nodes["join"].parents) == names


# -- barriers


@company
@pytest.mark.virtual_time
@pytest.mark.parametrize("ending", ["in time", "late", "handled", "stopped"])
async def test_a_barrier_counts_truly(ending: str, company: int) -> None:
    """Who came and who is awaited; RELEASE before the start; every timeout counted."""
    pipe: AnyPipe = Pipe(dict)
    steps(pipe, r=["a", "b", "c"], a=["j"])
    pipe.step("b", to="j")(lambda: anyio.sleep(2))

    async def last() -> Any:
        await anyio.sleep(4)
        return Stop if ending == "stopped" else None

    pipe.step("c", to="j")(last)
    handler = (lambda error: None) if ending == "handled" else None
    seconds = 10 if ending in ("in time", "stopped") else 3
    pipe.step("j", barrier_timeout=seconds, on_error=handler)(nothing)
    events = await play(pipe, company=company)
    words, end = told(events), end_of(events)
    (wait,) = [e for e in events if e.type is EventType.BARRIER_WAIT]

    assert wait.payload["completed_count"] == 1
    assert wait.payload["waiting_for"] == ["b", "c"]
    assert end.metrics is not None
    figures = end.metrics.barriers["j"]
    is_late = ending in ("late", "handled")
    assert (figures.waits, figures.timeouts) == (1, int(is_late))
    assert figures.releases == int(ending == "in time")
    if ending == "in time":
        assert words.index("BARRIER_RELEASE j") < words.index("STEP_START j")
        assert figures.total_wait_s == pytest.approx(4, abs=0.1)
    else:
        assert "BARRIER_RELEASE j" not in words
        assert "STEP_START j" not in words


# -- classifiers


class RemoteError(Exception):
    """An error of a library that talks to the world."""


RemoteError.__module__ = "redis.exceptions"


@pytest.mark.parametrize("place", ["startup", "shutdown", "step", "child"])
async def test_classifiers_get_the_exception_itself(place: str) -> None:
    """Hooks' errors are attributed by their own type, and so are a child's."""
    seen: list[type[Exception]] = []

    def look(context: Any) -> None:
        seen.append(type(context.error))

    def fail() -> None:
        raise RemoteError("away")

    config = FailureClassificationConfig(source_classifier=look)
    pipe: AnyPipe = Pipe(dict, failure_classification=config)
    child: AnyPipe = Pipe(dict)
    child.step("x")(fail)
    if place == "child":
        pipe.sub("a", pipeline=child)(empty)
    else:
        pipe.step("a")(fail if place == "step" else nothing)
    if place in ("startup", "shutdown"):
        getattr(pipe, f"on_{place}")(fail)
    end = end_of(await play(pipe))

    assert seen == [RemoteError]
    assert end.failure_source is FailureSource.EXTERNAL_DEP


# -- slow observers


@pytest.mark.virtual_time
async def test_a_slow_observer_delays_nobody_else() -> None:
    """Steps and a quick observer are done long before a slow one has heard of it."""
    times: dict[str, list[float]] = {"slow": [], "quick": []}

    class Listening(Observer):
        def __init__(self, name: str, seconds: float) -> None:
            self.name, self.seconds = name, seconds

        async def on_event(self, *args: Any) -> None:
            await anyio.sleep(self.seconds)
            times[self.name].append(anyio.current_time())

    pipe = chain(*"abcde")
    pipe.add_observer(Listening("slow", 10))
    pipe.add_observer(Listening("quick", 0))
    began = anyio.current_time()
    seen: list[float] = []
    async with pipe.run({}) as run:
        async for event in run:
            if event.type is not EventType.FINISH:
                seen.append(anyio.current_time())

    assert len(times["slow"]) == len(times["quick"]) == 12
    assert max(seen) - began < 10
    assert times["quick"][-2] - began < 10
    assert times["slow"][-1] - began >= 120


# -- slow consumers


@pytest.mark.virtual_time
@pytest.mark.parametrize("queue_size", [4, 1000])
async def test_the_graph_goes_on_while_nobody_reads(queue_size: int) -> None:
    """Successors start without being pulled, as far as the buffer has room."""
    done: list[str] = []
    pipe: AnyPipe = Pipe(dict, queue_size=queue_size)
    names = [f"s{number}" for number in range(10)]
    for name, following in zip(names, [*names[1:], None], strict=True):
        pipe.step(name, to=following)(lambda name=name: done.append(name))
    async with pipe.run({}) as run:
        assert (await anext(run)).type is EventType.START
        await anyio.sleep(100)
        went_on = len(done)
        rest = [event async for event in run]

    assert went_on == 10 if queue_size == 1000 else 1 < went_on < 5
    assert rest[-1].payload.status is SUCCESS


# -- whose FINISH


@company
async def test_the_end_of_the_stream_is_the_runs_own(company: int) -> None:
    """``run.end`` is set by the run's own FINISH and not by a child's."""
    child = chain("x")
    pipe: AnyPipe = Pipe(dict)
    pipe.sub("s", pipeline=child, to="t")(empty)
    pipe.sub("t", pipeline=child)(empty)
    ends: list[bool] = []
    async with pipe.run({}) as run:
        async for event in run:
            if event.type is EventType.FINISH:
                ends.append(event.stage == "system")
                assert (run.end is event.payload) == (event.stage == "system")
    assert ends == [False, False, True]
    assert end_of(await play(pipe, company=company)).status is SUCCESS


# -- clocks


@company
async def test_timestamps_do_not_run_backwards(company: int) -> None:
    """A slow reader of two parallel streams sees times in the order of ``seq``."""
    pipe: AnyPipe = Pipe(dict, queue_size=2)

    async def talk() -> AsyncIterator[int]:
        for number in range(20):
            yield number
            await checkpoint()

    steps(pipe, r=["a", "b"])
    pipe.step("a")(talk)
    pipe.step("b")(talk)
    events = await play(pipe, company=company)
    stamps = [event.timestamp for event in events]
    assert stamps == sorted(stamps)


async def test_durations_do_not_follow_the_wall_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Setting the clock back by an hour makes no duration negative."""
    pipe: AnyPipe = Pipe(dict)
    real = time.time

    @pipe.step(to="m")
    def turn_back() -> None:
        monkeypatch.setattr(time, "time", lambda: real() - 3600)

    pipe.map("m", each="w", to="s")(lambda: range(2))
    pipe.step("w")(lambda item: None)
    pipe.sub("s", pipeline=chain("x"))(empty)
    end = end_of(await play(pipe))
    assert end.metrics is not None
    assert 0 <= end.duration_s < 60
    assert all(
        0 <= row.min_s <= row.max_s < 60 for row in end.metrics.step_latency.values()
    )


# -- bounds


async def test_what_a_run_remembers_is_bounded() -> None:
    """After a thousand failures, unknown names and unmet joins a run's books are small."""
    pipe: AnyPipe = Pipe(dict, log_state=False, allow_multi_root=True)
    pipe.map("m", each="w")(lambda: iter(range(1200)))

    @pipe.step("w")
    def work(item: int) -> Any:
        if item % 3 == 0:
            raise ValueError(item)
        return f"nowhere {item}" if item % 3 == 1 else "a"

    steps(pipe, a=["b", "c"], b=["d"])
    pipe.step("c", to="d")(lambda: 1 / 0)
    steps(pipe, d=[])
    async with pipe.run({}, start="m") as run:
        end = await run.wait()
        run_state = run._run.run_state  # type: ignore[union-attr]

    assert len(end.errors) == 1001
    assert end.errors[-1].error == "... and 200 more failures"
    assert [(d.step, d.parents, d.count) for d in end.diagnostics] == [
        ("d", ("c",), 400)
    ]
    books = [
        run_state.waves,
        run_state.holders,
        run_state.maps,
        run_state.timers,
        run_state.active_invocations,
    ]
    assert [len(book) for book in books] == [0] * len(books)
    assert len(run_state.metrics.latency) < 10


async def test_laps_need_no_memory() -> None:
    """A run holds no more waves in its thousandth lap than in its third."""
    most: list[int] = []
    pipe: AnyPipe = Pipe(dict)
    steps(pipe, a=["b", "c"], c=["d"])

    @pipe.step("b", to="d")
    def inner(state: Any) -> Any:
        state["inner"] = state.get("inner", 0) + 1
        return "b" if state["inner"] % 5 else None

    @pipe.step("d")
    def outer(state: Any) -> Any:
        state["outer"] = state.get("outer", 0) + 1
        most.append(len(state["run"]._run.run_state.waves))
        return "a" if state["outer"] < 200 else None

    state: dict[str, Any] = {}
    async with pipe.run(state) as run:
        state["run"] = run
        assert (await run.wait()).status is SUCCESS
    state.clear()
    assert len(most) == 200
    assert max(most) == max(most[:3]) <= 3


# -- long chains


async def test_a_long_chain_is_validated_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twelve hundred steps in a row need no recursion, and a second run no validation."""
    asked: list[object] = []
    pipe = chain(*(f"s{number}" for number in range(1200)))
    assert end_of(await play(pipe)).status is SUCCESS
    monkeypatch.setattr(pipe, "validate", lambda **kwargs: asked.append(kwargs))
    assert end_of(await play(pipe)).status is SUCCESS
    assert asked == []


# -- start= beside switches and maps


@company
async def test_a_join_with_a_router_among_its_parents(company: int) -> None:
    """Routers are no parents of a join, so ``start=`` beside them is no error."""
    pipe: AnyPipe = Pipe(dict)
    pipe.switch("s", to={"b": "b", "join": "join"})(lambda: "b")
    steps(pipe, b=["join"], join=[])
    for start in (None, "b", "join"):
        events = await play(pipe, company=company, start=start)
        assert told(events)[-2:] == ["STEP_END join", "FINISH SUCCESS"]


# -- decorators without arguments


@pytest.mark.parametrize("kind", ["map", "switch", "sub"])
def test_a_bare_decorator_is_refused(kind: str) -> None:
    """``@pipe.map`` without arguments is an error, and registers nothing."""
    pipe: AnyPipe = Pipe(dict)
    with pytest.raises(DefinitionError, match=kind):
        getattr(pipe, kind)(nothing)
    assert list(pipe.steps()) == []


def test_a_step_called_with_a_function_is_registered() -> None:
    """``pipe.step(f, timeout=1)`` registers, options and all."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step(nothing, timeout=1)
    assert [(info.name, info.timeout) for info in pipe.steps()] == [("nothing", 1)]


# -- what parameters get


class State(dict[str, Any]):
    """A state."""


class Context(dict[str, Any]):
    """A context."""


def test_a_parameter_that_nothing_supplies() -> None:
    """A step that asks for an item and is no worker is told so before it runs."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a", to="b")(nothing)
    pipe.step("b")(lambda state, thing: None)
    with pytest.raises(DefinitionError, match="'thing'"):
        pipe.validate()


def test_the_name_decides_between_equal_types() -> None:
    """In ``Pipe(dict, dict)`` the parameter called ``ctx`` gets the context."""
    pipe: Pipe[dict[str, Any], dict[str, Any]] = Pipe(dict, dict)

    @pipe.step
    def a(ctx: dict, other: dict) -> None: ...  # type: ignore[type-arg]

    assert pipe.registry.injection_metadata["a"] == {
        "ctx": InjectionSource.CONTEXT,
        "other": InjectionSource.STATE,
    }


def test_one_bad_hint_spoils_no_other() -> None:
    """A forward reference that leads nowhere concerns its own parameter."""
    pipe: Pipe[State, Context] = Pipe(State, Context)

    @pipe.step
    def a(x: State, y: Context, cancel: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert pipe.registry.injection_metadata["a"] == {
        "x": InjectionSource.STATE,
        "y": InjectionSource.CONTEXT,
        "cancel": InjectionSource.CANCEL,
    }


# -- definitions


async def test_what_is_shown_of_a_definition_cannot_change_it() -> None:
    """Topology and middleware are views or copies, before the freeze and after."""
    pipe = chain("a", "b")
    for _ in range(2):
        pipe.topology["a"].append("a")
        pipe.topology.clear()
        assert pipe.topology == {"a": ["b"]}
        with pytest.raises((AttributeError, TypeError)):
            pipe.middleware.append(lambda func, context: func)  # type: ignore[attr-defined]
        await play(pipe)


@pytest.mark.parametrize(
    "options",
    [{"to": [3]}, {"to": {"a": "b"}}, {"to": 3}, {"on_error": 3}, {"concurrency": 0}],
)
def test_a_failed_decoration_leaves_nothing_behind(options: dict[str, Any]) -> None:
    """Whatever is wrong is a DefinitionError, and the name is free again."""
    pipe: AnyPipe = Pipe(dict)
    with pytest.raises(DefinitionError):
        pipe.step("a", **options)(nothing)
    assert list(pipe.steps()) == []
    pipe.step("a")(nothing)


@pytest.mark.parametrize("each", [3, [], b"w"])
def test_a_worker_that_names_nothing(each: Any) -> None:
    """A worker that is neither a name nor a function is a DefinitionError."""
    pipe: AnyPipe = Pipe(dict)
    with pytest.raises(DefinitionError):
        pipe.map("m", each=each)(nothing)


class Callable_:  # noqa: N801 - it stands for any
    """A callable object without a name of its own."""

    def __call__(self) -> None:
        """Do nothing."""


def test_callables_without_a_name() -> None:
    """They go by their class's name, and a second one is a DefinitionError."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step(Callable_())
    with pytest.raises(DefinitionError, match="already registered"):
        pipe.step(Callable_())
    assert [info.name for info in pipe.steps()] == ["Callable_"]


# -- both loops


async def test_a_token_from_another_thread() -> None:
    """A token is made without a loop, and cancelled from any thread."""
    tokens: list[CancellationToken] = []
    thread = threading.Thread(target=lambda: tokens.append(CancellationToken()))
    thread.start()
    thread.join()
    pipe: AnyPipe = Pipe(dict, cancellation_token=tokens[0])

    @pipe.step
    async def wait(cancel: CancellationToken) -> None:
        other = threading.Thread(target=tokens[0].cancel, args=("from a thread",))
        other.start()
        other.join()
        await cancel.checkpoint()

    end = end_of(await play(pipe))
    assert (end.status, end.error) == (CANCELLED, "from a thread")


@company
async def test_the_same_stream_on_both_loops(company: int) -> None:
    """Nothing of a run depends on which loop it runs in."""
    pipe: AnyPipe = Pipe(dict, log_state=False)
    steps(pipe, r=["m", "bad"])
    pipe.map("m", each="w", to="j", max_concurrency=1)(lambda: range(2))
    pipe.step("w")(lambda item: None)
    pipe.step("bad", to="j")(lambda: 1 / 0)
    steps(pipe, j=[])
    events: list[Event] = await play(pipe, company=company)
    assert end_of(events).status is FAILED
    assert sorted(told(events)) == sorted(
        [
            "START system",
            "STEP_START r",
            "STEP_END r",
            "STEP_START m",
            "MAP_START m",
            *["MAP_WORKER w[0]", "MAP_WORKER w[1]"],
            *["STEP_START w", "STEP_END w"] * 2,
            "MAP_COMPLETE m",
            "STEP_END m",
            "STEP_START bad",
            "STEP_ERROR bad",
            "FINISH FAILED",
        ]
    )


# -- storage that cannot be written


@pytest.mark.filterwarnings("ignore::UserWarning")
async def test_a_run_that_cannot_be_stored_is_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With a storage path that is no directory a run goes on, and the log says why."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("JUSTPIPE_ACTORS_STORAGE_PATH", str(blocked / "store"))
    pipe = chain("a", "b", persist=True)
    events = await play(pipe)
    warned = [
        record
        for record in caplog.records
        if record.name == "justpipe_actors.persistence"
    ]

    assert end_of(events).status is SUCCESS
    assert told(events)[-2] == "STEP_END b"
    assert warned
    assert all(record.levelname == "WARNING" for record in warned)
