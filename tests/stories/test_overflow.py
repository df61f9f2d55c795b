"""The options for a slow consumer: wait, drop tokens, or fail."""

from __future__ import annotations

import pickle
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from justpipe_actors import EventType, Pipe, Supervisor
from justpipe_actors.errors import ConsumerTooSlow


def talking_pipe(words: int = 100) -> Pipe[Any, Any]:
    """Return a pipe of two steps, the first of which streams."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="talker", queue_size=5)

    @pipe.step(to="last")
    async def talk(state: dict[str, Any]) -> Any:
        for word in range(words):
            yield word
            await checkpoint()

    @pipe.step
    async def last(state: dict[str, Any]) -> None:
        state["done"] = True

    return pipe


@pytest.mark.parametrize("hosted", [False, True])
async def test_tokens_are_dropped_for_a_slow_reader(hosted: bool) -> None:
    """With ``drop_oldest`` the run ends without its reader, which later gets all but old tokens."""
    pipe, state = talking_pipe(), dict[str, Any]()

    async def read() -> list[Any]:
        async with pipe.run(state, overflow="drop_oldest") as run:
            await anyio.wait_all_tasks_blocked()
            early = run.snapshot()
            events = [event async for event in run]
        assert run.dropped == early.dropped > 90
        return events

    if hosted:
        async with Supervisor():
            events = await read()
    else:
        events = await read()

    kinds = [event.type.value for event in events if event.type is not EventType.TOKEN]
    assert kinds == [
        "start",
        "step_start",
        "step_end",
        "step_start",
        "step_end",
        "finish",
    ]
    tokens = [event.payload for event in events if event.type is EventType.TOKEN]
    assert tokens == sorted(tokens)
    assert state == {"done": True}


async def test_a_quick_reader_loses_nothing() -> None:
    """``drop_oldest`` drops nothing for a reader that is fast enough."""
    async with talking_pipe().run({}, overflow="drop_oldest") as run:
        tokens = [e.payload async for e in run if e.type is EventType.TOKEN]

    assert tokens == list(range(100))
    assert run.dropped == 0


async def test_other_events_are_never_dropped() -> None:
    """Without a token to drop, producers wait as they do by default."""
    pipe: Pipe[Any, Any] = Pipe(dict, queue_size=4)
    pipe.map("spread", each="work")(lambda state: range(50))
    pipe.step("work")(lambda item: None)

    async with pipe.run({}, overflow="drop_oldest") as run:
        await anyio.wait_all_tasks_blocked()
        stalled = run.snapshot()
        events = [event async for event in run]

    assert stalled.is_parked
    assert sum(event.type is EventType.STEP_END for event in events) == 51
    assert run.dropped == 0


@pytest.mark.parametrize("hosted", [False, True])
async def test_a_run_may_fail_rather_than_wait(hosted: bool) -> None:
    """``fail`` ends the run when it would have to wait, and the reader gets the reason."""
    pipe, state = talking_pipe(), dict[str, Any]()

    async def read() -> tuple[list[Any], str]:
        run = pipe.run(state, overflow="fail")
        events = [await anext(run)]
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(ConsumerTooSlow, match="5 events behind") as caught:
            async for event in run:
                events.append(event)
        return events, str(caught.value)

    if hosted:
        async with Supervisor():
            events, why = await read()
    else:
        events, why = await read()

    finish = events[-1]
    assert finish.type is EventType.FINISH
    assert (finish.payload.status.value, finish.payload.error) == ("failed", why)
    assert state == {}


async def test_other_runs_do_not_notice() -> None:
    """Beside a run that fails or drops tokens another one has all its events."""
    pipe = talking_pipe()

    async with Supervisor(pipe) as supervisor:
        strict = supervisor.run(pipe, {}, overflow="fail")
        loose = supervisor.run(pipe, {}, overflow="drop_oldest")
        for run in (strict, loose):
            await anext(run)
        async with supervisor.run(pipe, {}) as healthy:
            tokens = [e.payload async for e in healthy if e.type is EventType.TOKEN]
        await loose.aclose()
        with pytest.raises(ConsumerTooSlow):
            await strict.aclose()

    assert tokens == list(range(100))


async def test_an_unknown_overflow_is_refused() -> None:
    """The error comes when the run begins."""
    with pytest.raises(ValueError, match="block"):
        await talking_pipe().run({}, overflow="explode").wait()  # type: ignore[arg-type]


async def test_an_unknown_option_is_refused() -> None:
    """A misspelt option is an error."""
    async with Supervisor() as supervisor:
        with pytest.raises(TypeError, match="queue_sise"):
            await supervisor.submit(talking_pipe(), {}, queue_sise=3)  # type: ignore[call-arg]


def test_the_error_survives_pickling() -> None:
    """The error keeps its facts on the way to another process."""
    assert pickle.loads(pickle.dumps(ConsumerTooSlow(7))).capacity == 7
