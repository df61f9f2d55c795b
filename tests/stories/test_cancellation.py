"""Cancellation by other code, by the consumer, by a timeout and by a token."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
import sniffio
from anyio.lowlevel import checkpoint

from justpipe_actors import (
    EventType,
    Pipe,
)
from justpipe_actors.types import (
    CancellationToken,
    FailureKind,
)

from ..helpers import (
    CANCELLED,
    FAILED,
    SUCCESS,
    AnyPipe,
    add_idle_steps,
    empty_state,
    end_of,
    hosted_runs,
    run_pipe,
)


# -- cancelled by somebody else


async def foreign(*args: Any, **kwargs: Any) -> None:
    """Await a task that other code has cancelled."""
    task = asyncio.ensure_future(asyncio.sleep(10))
    task.cancel()
    await task


def cancelled_in(place: str) -> AnyPipe:
    """Return a pipe in which some function awaits a cancelled task."""
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
            pipe.sub("a", pipeline=child)(empty_state)
    return pipe


@hosted_runs
@pytest.mark.parametrize(
    "place",
    ["step", "step with a timeout", "handler", "worker", "source", "child"],
)
async def test_awaiting_a_cancelled_task_fails_the_step(
    place: str, hosted_runs: int
) -> None:
    """The failure belongs to the function that awaits it, whichever it is."""
    if sniffio.current_async_library() == "trio":
        pytest.skip("trio's tasks cannot be cancelled by others")
    end = end_of(await run_pipe(cancelled_in(place), hosted_runs=hosted_runs))

    assert (end.status, end.failure_kind) == (FAILED, FailureKind.STEP)
    assert end.failed_step == ("a:x" if place == "child" else "a")


# -- a timeout that hits the consumer


@pytest.mark.virtual_time
@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("trouble", ["timeout", "crash"])
async def test_the_end_of_a_run_does_not_cancel_its_consumer(
    structured: bool, trouble: str
) -> None:
    """A consumer that sleeps in its loop body sleeps on while the run times out or fails."""
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
async def test_closing_waits_for_cleanup_and_hooks(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The task that closes goes on after cleanup and hooks, and no event comes later."""
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


# -- cancellation by token


@hosted_runs
@pytest.mark.parametrize("retries", [0, 2, {"stop": lambda state: False}])
async def test_a_cancellation_is_never_retried(retries: Any, hosted_runs: int) -> None:
    """A cancelled token ends a step whatever its ``retries=``."""
    calls: list[int] = []
    pipe: AnyPipe = Pipe(dict)

    @pipe.step(retries=retries)
    async def a(cancel: CancellationToken) -> None:
        calls.append(1)
        await cancel.checkpoint()

    pipe.cancellation_token.cancel("enough")
    end = end_of(await run_pipe(pipe, hosted_runs=hosted_runs))
    assert (end.status, end.error) == (CANCELLED, "enough")
    assert len(calls) == max(hosted_runs, 1)


async def test_a_run_has_its_own_token() -> None:
    """Cancelling it cancels the run's children, and not the pipe's next run."""
    stop_it = True
    child: AnyPipe = Pipe(dict)

    child.step("x")(lambda cancel: cancel.checkpoint())

    pipe: AnyPipe = Pipe(dict)

    @pipe.step(to="s")
    async def a(cancel: CancellationToken) -> None:
        if stop_it:
            cancel.cancel("for all below")

    pipe.sub("s", pipeline=child)(empty_state)
    end = end_of(await run_pipe(pipe))
    stop_it = False
    again = end_of(await run_pipe(pipe))

    assert (end.status, end.error) == (CANCELLED, "for all below")
    assert again.status is SUCCESS


@pytest.mark.virtual_time
async def test_waiting_for_a_retry_does_not_block_the_loop() -> None:
    """Other tasks run while a synchronous step waits, and its attempts are counted."""
    began = time.monotonic()
    pipe: AnyPipe = Pipe(dict)
    add_idle_steps(pipe, r=["a", "b"])
    beside: list[float] = []

    @pipe.step(retries=3, retry_wait_min=10, retry_wait_max=10)
    def a() -> None:
        raise ValueError("again")

    @pipe.step
    async def b() -> None:
        await anyio.sleep(5)
        beside.append(anyio.current_time())

    events = await run_pipe(pipe)
    (error,) = [e for e in events if e.type is EventType.STEP_ERROR]
    assert error.meta is not None
    assert error.meta["framework"]["tries"] == 4
    assert end_of(events).duration_s >= 30
    assert time.monotonic() - began < 20  # and not the 30 of the clock
    assert len(beside) == 1
