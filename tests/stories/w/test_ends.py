"""Weaknesses 1 to 11: hangs, lost errors and endings that said something else."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import warnings
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
import sniffio
from anyio.lowlevel import checkpoint

from justpipe_actors import Event, EventType, Pipe, Raise, Retry, Stop, Suspend
from justpipe_actors.observability import Observer
from justpipe_actors.types import FailureKind

from .playing import (
    CANCELLED,
    FAILED,
    SUCCESS,
    TIMEOUT,
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


# -- the engine waits for its own full buffer


@company
@pytest.mark.parametrize(("items", "queue_size"), [(1000, 1000), (10, 10), (3, 1)])
async def test_a_map_larger_than_the_buffer(
    items: int, queue_size: int, company: int
) -> None:
    """A map completes, whatever its size and whatever room its events have."""
    pipe: AnyPipe = Pipe(dict, queue_size=queue_size)
    pipe.map("m", each="w", to="after")(lambda: range(items))
    pipe.step("w")(lambda item: None)
    pipe.step("after")(nothing)
    events = await play(pipe, company=company)

    assert end_of(events).status is SUCCESS
    assert told(events).count("STEP_END w") == items
    assert told(events)[-2] == "STEP_END after"


@company
async def test_maps_in_maps_and_subs_with_a_buffer_of_one(company: int) -> None:
    """Neither does anything that maps hold: inner maps, child runs, streams."""
    child: AnyPipe = Pipe(dict)

    @child.step
    async def talk() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    pipe: AnyPipe = Pipe(dict, queue_size=1)
    pipe.map("outer", each="inner")(lambda: range(3))
    pipe.map("inner", each="s", max_concurrency=2)(lambda item: range(3))
    pipe.sub("s", pipeline=child)(lambda item: empty())
    events = await play(pipe, company=company)

    assert end_of(events).status is SUCCESS
    assert end_of(events).metrics is not None
    assert told(events).count("TOKEN s:talk") == 27


# -- failures that are answers


def answering(where: str) -> AnyPipe:
    """Return a pipe whose first step fails in one of the ways that are not raising."""
    pipe: AnyPipe = Pipe(dict, max_retries=3, queue_size=1)

    def fail(state: Any) -> None:
        raise KeyError("first")

    def answer(state: Any) -> Any:
        return Retry() if "Retry" in where else Raise(ValueError("boom"))

    handler = answer if where.startswith("handler") else None
    step = fail if handler else answer
    pipe.step("r", to=["a", "beside"])(nothing)
    pipe.step("a", to="b", on_error=handler)(step)
    steps(pipe, b=[], beside=["after"], after=[])
    return pipe


@company
@pytest.mark.parametrize("where", ["Raise", "Retry", "handler Raise", "handler Retry"])
async def test_a_failure_that_is_an_answer(where: str, company: int) -> None:
    """One STEP_ERROR with ids, FAILED, the other branch told in full; as if raised."""
    events = await play(answering(where), company=company)
    errors = [event for event in events if event.type is EventType.STEP_ERROR]
    end = end_of(events)

    assert [(error.stage, error.attempt) for error in errors] == [
        ("a", 3 if "Retry" in where else 1)
    ]
    assert errors[0].invocation_id is not None
    assert (end.status, end.failed_step) == (FAILED, "a")
    assert "STEP_END after" in told(events)
    assert "STEP_START b" not in told(events)


@company
async def test_a_handler_is_asked_once_a_level(company: int) -> None:
    """A handler's Raise goes to the next level, never back to itself."""
    asked: list[str] = []
    pipe: AnyPipe = Pipe(dict)

    def local(error: Exception) -> Any:
        asked.append("local")
        return Raise(LookupError("local"))

    @pipe.on_error
    def everywhere(error: Exception) -> Any:
        asked.append(f"global {type(error).__name__}")
        return Raise(OSError("global"))

    pipe.step("a", on_error=local)(lambda: Raise(ValueError("boom")))
    events = await play(pipe, company=company)

    assert end_of(events).error == "global"
    assert sorted(asked) == sorted(["local", "global LookupError"] * max(company, 1))


# -- successors of what failed


@company
@pytest.mark.parametrize(
    ("on_failure", "ran"),
    [
        ("prune", {"r", "good", "only_good"}),
        ("continue", {"r", "good", "only_good", "after", "join"}),
    ],
)
async def test_what_runs_after_a_failure(
    on_failure: Any, ran: set[str], company: int
) -> None:
    """By default nothing runs on the data of a failed step; the old way is a word away."""
    pipe: AnyPipe = Pipe(dict, on_failure=on_failure)
    steps(pipe, r=["bad", "good"], good=["join", "only_good"])
    pipe.step("bad", to=["after", "join"])(lambda: 1 / 0)
    steps(pipe, after=[], join=[], only_good=[])
    events = await play(pipe, company=company)
    ended = {event.stage for event in events if event.type is EventType.STEP_END}

    assert end_of(events).status is FAILED
    assert ended == ran


@company
@pytest.mark.virtual_time
async def test_stopping_at_the_first_failure(company: int) -> None:
    """With on_failure="stop" nothing else goes on, not even what is running."""
    pipe: AnyPipe = Pipe(dict, on_failure="stop")
    steps(pipe, r=["bad", "slow"])
    pipe.step("bad")(lambda: 1 / 0)
    pipe.step("slow", to="never")(lambda: anyio.sleep(20))
    steps(pipe, never=[])
    events = await play(pipe, company=company)

    assert (end_of(events).status, end_of(events).failed_step) == (FAILED, "bad")
    assert end_of(events).duration_s < 1
    assert "STEP_END slow" not in told(events)


# -- cancelled by somebody else


async def foreign(*args: Any, **kwargs: Any) -> None:
    """Await a task that somebody else has cancelled."""
    task = asyncio.ensure_future(asyncio.sleep(10))
    task.cancel()
    await task


def cancelled_in(place: str) -> AnyPipe:
    """Return a pipe in which something awaits a cancelled task."""
    pipe: AnyPipe = Pipe(dict)
    child: AnyPipe = Pipe(dict)
    match place:
        case "step":
            pipe.step("a")(foreign)
        case "step with a timeout":
            pipe.step("a", timeout=10)(foreign)
        case "handler":
            pipe.step("a", on_error=foreign)(lambda: 1 / 0)
        case "worker":
            pipe.map("m", each="a")(lambda: range(2))
            pipe.step("a")(lambda item: foreign())
        case "source":

            async def source() -> AsyncIterator[int]:
                yield 1
                await foreign()

            pipe.map("a", each="w")(source)
            pipe.step("w")(lambda item: None)
        case _:
            child.step("x")(foreign)
            pipe.sub("a", pipeline=child)(empty)
    return pipe


@company
@pytest.mark.parametrize(
    "place",
    ["step", "step with a timeout", "handler", "worker", "source", "child"],
)
async def test_a_foreign_cancellation_fails_the_step(place: str, company: int) -> None:
    """Awaiting what somebody else cancelled is that step's failure, wherever it is."""
    if sniffio.current_async_library() == "trio":
        pytest.skip("trio's tasks cannot be cancelled by others")
    end = end_of(await play(cancelled_in(place), company=company))

    assert (end.status, end.failure_kind) == (FAILED, FailureKind.STEP)
    assert end.failed_step == ("a:x" if place == "child" else "a")


# -- why it ended well


@company
@pytest.mark.parametrize("answer", [Suspend("later"), Stop, None])
async def test_a_suspended_run_can_be_told_from_a_finished_one(
    answer: Any, company: int
) -> None:
    """All of them are SUCCESS, and the figures of FINISH tell a suspended one."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a")(lambda: answer)
    end = end_of(await play(pipe, company=company))

    assert end.status is SUCCESS
    assert end.metrics is not None
    assert end.metrics.suspends == (1 if isinstance(answer, Suspend) else 0)


# -- a timeout that hits the consumer


@pytest.mark.virtual_time
@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("trouble", ["timeout", "crash"])
async def test_the_consumers_own_await_is_its_own(
    structured: bool, trouble: str
) -> None:
    """A consumer asleep in its loop body sleeps on while the run times out or crashes."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step
    async def slow() -> None:
        await anyio.sleep(1)
        if trouble == "crash":
            raise ValueError("crash")
        await anyio.sleep(100)

    types: list[EventType] = []
    slept = 0
    run = pipe.run({}, timeout=5 if trouble == "timeout" else None)

    async def consume() -> None:
        nonlocal slept
        async for event in run:
            types.append(event.type)
            await anyio.sleep(10)
            slept += 1

    if structured:
        async with run:
            await consume()
    else:
        await consume()

    assert slept == len(types)
    assert types[-1] is EventType.FINISH
    assert (EventType.TIMEOUT in types) == (trouble == "timeout")


# -- closing before the end


@pytest.mark.parametrize("way", ["aclose", "break", "error"])
async def test_closed_is_closed(way: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever leaves goes on only after cleanup, then hooks, and nothing is reported late."""
    log: list[str] = []
    pipe: AnyPipe = Pipe(dict)

    @pipe.step
    async def talk() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
                await checkpoint()
        finally:
            with anyio.CancelScope(shield=True):
                await checkpoint()
            log.append("cleaned")

    pipe.on_shutdown(lambda: log.append("shutdown"))
    try:
        async with pipe.run({}) as run:
            async for event in run:
                if event.type is EventType.TOKEN:
                    break
            if way == "aclose":
                await run.aclose()
                assert log == ["cleaned", "shutdown"]
            elif way == "error":
                raise LookupError("mine")
    except LookupError:
        log.append("raised")

    assert log[:2] == ["cleaned", "shutdown"]
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []


# -- who hears the end


class Diary(Observer):
    """An observer that writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def on_event(self, *args: Any) -> None:
        await checkpoint()
        self.heard.append(args[-1].type.value)

    async def on_pipeline_end(self, *args: Any) -> None:
        await checkpoint()
        self.heard.append("on_pipeline_end")

    async def on_pipeline_error(self, *args: Any) -> None:
        await checkpoint()
        self.heard.append(f"on_pipeline_error {args[-1]!r}")


async def leave_at(pipe: AnyPipe, last: EventType) -> None:
    """Stop reading at the first event of a kind."""
    async with pipe.run({}) as run:
        async for event in run:
            if event.type is last:
                return


@pytest.mark.parametrize("last", [EventType.FINISH, EventType.STEP_START])
@pytest.mark.parametrize("ending", ["good", "bad", "endless"])
async def test_observers_hear_the_end_before_the_consumer(
    last: EventType, ending: str
) -> None:
    """FINISH and the last callback have been heard when the consumer leaves, however early."""
    if ending == "endless" and last is EventType.FINISH:
        pytest.skip("an endless run has no FINISH to leave at")
    diary = Diary()
    pipe: AnyPipe = Pipe(dict)
    ways: dict[str, Callable[[], Any]] = {
        "good": lambda: None,
        "bad": lambda: 1 / 0,
        "endless": anyio.sleep_forever,
    }
    pipe.step("a")(ways[ending])
    pipe.add_observer(diary)
    await leave_at(pipe, last)

    assert diary.heard[-2] == "finish"
    if last is EventType.FINISH and ending == "bad":
        assert diary.heard[-1].startswith("on_pipeline_error ZeroDivisionError")
    elif last is EventType.FINISH or ending == "endless":
        assert diary.heard[-1] == "on_pipeline_end"


# -- errors that are no Exception


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, BaseException])
@pytest.mark.parametrize("place", ["step", "handler", "worker", "child"])
async def test_a_base_exception(kind: type[BaseException], place: str) -> None:
    """It fails the run as infra, observers hear an error, and then it is raised as itself."""
    diary = Diary()
    pipe: AnyPipe = Pipe(dict)

    def leave() -> None:
        raise kind

    match place:
        case "step":
            pipe.step("a")(leave)
        case "handler":
            pipe.step("a", on_error=leave)(lambda: 1 / 0)
        case "worker":
            pipe.map("m", each="a")(lambda: range(3))
            pipe.step("a")(lambda item: leave())
        case _:
            child: AnyPipe = Pipe(dict)
            child.step("x")(leave)
            pipe.sub("a", pipeline=child)(empty)
    pipe.add_observer(diary)
    events: list[Event] = []
    with pytest.raises(kind):
        async for event in pipe.run({}):
            events.append(event)

    assert (end_of(events).status, end_of(events).failure_kind.value) == (
        FAILED,
        "infra",
    )
    assert end_of(events).failed_step == "a"
    assert diary.heard[-1].startswith("on_pipeline_error")


# -- objects that object


class Hostile:
    """An object that objects to everything."""

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        raise RuntimeError("no str")

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no eq")

    def __bool__(self) -> bool:
        raise RuntimeError("no bool")


class HostileError(Exception):
    """An exception whose text raises, and which is empty."""

    def __str__(self) -> str:
        raise RuntimeError("no str")

    __repr__ = __str__

    def __len__(self) -> int:
        return 0


def fail_hostile(*args: Any) -> None:
    """Raise it."""
    raise HostileError


def hostile_in(place: str) -> tuple[AnyPipe, str | None]:  # noqa: C901 - one row a place
    """Return a pipe that has to do with hostile objects, and the step that fails."""
    pipe: AnyPipe = Pipe(None)
    failed: str | None = "a"
    match place:
        case "error":
            pipe.step("a")(fail_hostile)
        case "result":
            pipe.step("a")(lambda: Hostile())
            failed = None
        case "answer":
            pipe.step("a")(lambda: Raise(HostileError()))
        case "route":
            pipe.switch("a", to={"x": "b"})(lambda: Hostile())
            pipe.step("b")(nothing)
        case "items":
            pipe.map("a", each="b")(lambda: Hostile())
            pipe.step("b")(lambda item: None)
        case "item":
            pipe.map("m", each="a")(lambda: [Hostile(), Hostile()])
            pipe.step("a")(lambda item: fail_hostile())
        case "token":

            @pipe.step("a")
            async def stream() -> AsyncIterator[Any]:
                yield Hostile()

            failed = None
        case "reason":
            pipe.step("a")(lambda: Suspend(Hostile()))
            failed = None
        case _:
            pipe.on_startup(fail_hostile)
            pipe.step("a")(nothing)
            failed = None
    return pipe, failed


@company
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "place",
    ["error", "result", "answer", "route", "items", "item", "token", "reason", "hook"],
)
async def test_hostile_objects(place: str, strict: bool, company: int) -> None:
    """No object that raises when it is looked at, and no warning, ends a run by that."""
    pipe, failed = hostile_in(place)
    with warnings.catch_warnings():
        warnings.simplefilter("error" if strict else "ignore")
        end = end_of(await play(pipe, Hostile(), company=company))

    assert end.failed_step == failed
    assert end.status is (FAILED if failed or place == "hook" else SUCCESS)
    assert end.failure_kind is not FailureKind.INFRA


@pytest.mark.parametrize(
    ("option", "shown"),
    [(True, "secret"), (False, ""), (lambda state: "hidden", "hidden")],
)
async def test_what_the_log_shows_of_the_state(
    option: Any, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The error log shows the state, what a function makes of it, or nothing."""
    pipe: AnyPipe = Pipe(dict, log_state=option)
    pipe.step("a")(lambda: 1 / 0)
    await play(pipe, {"key": "secret"})
    (text,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]

    assert text.startswith("Step 'a' failed with ZeroDivisionError: division by zero")
    assert ("State: " in text) == bool(shown)
    assert [word for word in ("secret", "hidden") if word in text] == [shown] * bool(
        shown
    )


# -- event hooks


@company
@pytest.mark.parametrize(
    "change", [{"type": EventType.TOKEN}, {"stage": "elsewhere"}, {"payload": None}]
)
async def test_a_hook_changes_what_is_said_and_not_what_is(
    change: dict[str, Any], company: int
) -> None:
    """A STEP_ERROR that is rewritten is still the failure of the step it was."""
    pipe = chain("r", "a")
    pipe.step("bad")(lambda: Raise(ValueError("boom")))
    pipe.allow_multi_root = True

    def rewrite(event: Event) -> Event:
        is_error = event.type is EventType.STEP_ERROR
        return dataclasses.replace(event, **change) if is_error else event

    pipe.add_event_hook(rewrite)
    end = end_of(await play(pipe, company=company))

    assert (end.status, end.failed_step, end.error) == (FAILED, "bad", "boom")


@pytest.mark.virtual_time
async def test_a_hook_that_breaks_leaves_the_ending_alone() -> None:
    """A run that times out is TIMEOUT although a hook broke over its TIMEOUT event."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a")(anyio.sleep_forever)

    def break_down(event: Event) -> Event:
        if event.type is EventType.TIMEOUT:
            raise LookupError("hook")
        return event

    pipe.add_event_hook(break_down)
    events: list[Event] = []
    with pytest.raises(LookupError):
        async for event in pipe.run({}, timeout=1):
            events.append(event)

    assert end_of(events).status is TIMEOUT
    assert [r.reason.value for r in end_of(events).errors] == ["internal_error"]


async def test_the_other_runs_of_a_broken_hook() -> None:
    """One run broken by its hook leaves the next one of the same pipe untouched."""
    broken = True
    pipe = chain("a", "b")

    def hook(event: Event) -> Event:
        if broken and event.stage == "a":
            raise LookupError("hook")
        return event

    pipe.add_event_hook(hook)
    with pytest.raises(LookupError):
        await play(pipe)
    broken = False
    events = await play(pipe)
    assert end_of(events).status is SUCCESS
    assert CANCELLED is not end_of(events).status
