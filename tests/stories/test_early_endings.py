"""Every way in which a run can end before its last event, as the event loop sees it.

These tests open their own event loop, because much of what they claim is about the loop:
which tasks are left in it, what comes out of ``anyio.run``, what it does at its end.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.to_thread
import attrs
import pytest
from anyio.lowlevel import checkpoint

from justpipe_actors import Event, EventType, Pipe
from justpipe_actors.testing import virtual_time
from justpipe_actors.types import PipelineEndData, PipelineTerminalStatus


Main = Callable[[], Awaitable[None]]
RunInNewLoop = Callable[..., None]
AnyPipe = Pipe[Any, Any]

CLEAN = ["cleaned", "shutdown"]
"""What a run that ended leaves in the log: the step's own cleanup, then the hook."""

DROPPED = "was dropped before its end"


# -- the loop and who is in it


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    """Name the event loop."""
    return str(request.param)


@pytest.fixture
def quiet_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail the test if the loop or the library has logged an error."""
    yield
    gc.collect()
    complaints = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert complaints == []


@pytest.fixture
def run_in_new_loop(backend: str, quiet_log: None) -> RunInNewLoop:
    """Run a main function in a new loop; at its end no other task may be left."""

    def run(main: Main, *, is_virtual: bool = False) -> None:
        async def watched() -> None:
            before = everybody()
            await main()
            await nothing_left(before)

        in_loop(watched, backend, is_virtual=is_virtual)

    return run


def in_loop(main: Main, backend: str, *, is_virtual: bool = False) -> None:
    """Run a main function in a new loop that ends by itself."""
    if is_virtual:
        anyio.run(main, **virtual_time(backend))
        return
    options = {"debug": True} if backend == "asyncio" else {}
    anyio.run(main, backend=backend, backend_options=options)


def everybody() -> set[tuple[int, str | None]]:
    """Return all tasks of the loop."""
    return {(task.id, task.name) for task in anyio.get_running_tasks()}


async def nothing_left(before: set[tuple[int, str | None]]) -> None:
    """Wait until the loop has no more tasks than before."""
    try:
        with anyio.fail_after(30):
            while everybody() - before:
                await checkpoint()
    except TimeoutError:
        left = [name for _, name in everybody() - before]
        pytest.fail(f"tasks were left behind: {left}")


async def let_others_run() -> None:
    """Let all tasks run until they wait."""
    for _ in range(50):
        await checkpoint()


def is_untouched() -> bool:
    """Tell whether the current task was not cancelled."""
    if anyio.get_current_task().has_pending_cancellation():
        return False
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return True
    return task is None or task.cancelling() == 0


# -- pipes that end only when somebody ends them


def endless(log: list[str], made: list[int] | None = None, **options: Any) -> AnyPipe:
    """Return a pipe whose step streams numbers for ever."""
    pipe: AnyPipe = Pipe(dict, **options)

    @pipe.step
    async def count() -> AsyncIterator[int]:
        number = 0
        try:
            while True:
                if made is not None:
                    made.append(number)
                yield number
                number += 1
                await checkpoint()
        finally:
            await clean_up(log)

    return closing(pipe, log)


def stuck(
    log: list[str], then: Callable[[], Awaitable[Any]] = anyio.sleep_forever
) -> AnyPipe:
    """Return a pipe whose step says "ready" and then waits for something."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step
    async def wait() -> AsyncIterator[str]:
        try:
            yield "ready"
            await then()
        finally:
            await clean_up(log)

    return closing(pipe, log)


async def clean_up(log: list[str]) -> None:
    """Do something at the end of a step that takes a while."""
    with anyio.CancelScope(shield=True):
        for _ in range(3):
            await checkpoint()
    log.append("cleaned")


def closing(pipe: AnyPipe, log: list[str]) -> AnyPipe:
    """Add a shutdown hook that notes its call."""

    @pipe.on_shutdown
    async def close() -> None:
        await checkpoint()
        log.append("shutdown")

    return pipe


async def until_token(run: AsyncIterator[Event]) -> Event:
    """Read up to the next token."""
    async for event in run:
        if event.type is EventType.TOKEN:
            return event
    raise AssertionError("the run ended without a token")


async def break_off(pipe: AnyPipe) -> None:
    """Read up to the first token and leave the loop."""
    async for event in pipe.run({}):
        if event.type is EventType.TOKEN:
            break


async def fail_inside(run: Any, error: Exception, scope: Any = None) -> None:
    """Raise an error in the block of a run, if asked after cancelling the scope around it."""
    async with run:
        await until_token(run)
        if scope is not None:
            scope.cancel()
        raise error


async def rest_of(run: AsyncIterator[Event]) -> PipelineEndData:
    """Read to the end and return what FINISH says."""
    last = [event async for event in run][-1]
    assert last.type is EventType.FINISH
    assert isinstance(last.payload, PipelineEndData)
    return last.payload


# -- the stream is dropped


def test_break_ends_the_run_in_the_background(run_in_new_loop: RunInNewLoop) -> None:
    """The run ends without the consumer, and nothing else changes."""
    log: list[str] = []

    async def main() -> None:
        before = everybody()
        with pytest.warns(ResourceWarning, match=DROPPED):
            await break_off(endless(log))
        log.append("went on")
        await nothing_left(before)
        await anyio.sleep(0.001)
        assert is_untouched()

    run_in_new_loop(main)
    assert log == ["went on", *CLEAN]


def test_fifty_breaks_leave_nothing(run_in_new_loop: RunInNewLoop) -> None:
    """Fifty abandoned runs leave no task, and each has its cleanup."""
    log: list[str] = []

    async def main() -> None:
        before = everybody()
        pipe = endless(log)
        for _ in range(50):
            with pytest.warns(ResourceWarning, match=DROPPED):
                await break_off(pipe)
        await nothing_left(before)

    run_in_new_loop(main)
    assert sorted(log) == sorted(CLEAN * 50)


def test_break_works_where_warnings_are_errors(
    run_in_new_loop: RunInNewLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The abandoned run ends although its warning is an error."""
    log: list[str] = []
    unraisable: list[Any] = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda u: unraisable.append(u.exc_type.__name__)
    )

    async def main() -> None:
        before = everybody()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await break_off(endless(log))
        await nothing_left(before)

    run_in_new_loop(main)
    assert log == CLEAN
    assert unraisable == ["ResourceWarning"]


def test_a_kept_iterator_can_be_resumed(run_in_new_loop: RunInNewLoop) -> None:
    """The run of a consumer that left its loop fills the buffer and waits."""
    log: list[str] = []
    made: list[int] = []

    async def main() -> None:
        before = everybody()
        run = endless(log, made, queue_size=2).run({})
        first = await until_token(run)
        await let_others_run()
        ahead = len(made)
        await let_others_run()
        assert len(made) == ahead <= 5
        assert everybody() - before

        assert (await until_token(run)).payload == first.payload + 1
        await run.aclose()
        assert log == CLEAN
        assert everybody() == before

    run_in_new_loop(main)


def test_garbage_collection_in_another_thread(run_in_new_loop: RunInNewLoop) -> None:
    """The run of a collected stream ends in its own loop."""
    log: list[str] = []

    async def begin(box: list[Any]) -> None:
        box.append(endless(log).run({}))
        await until_token(box[0])

    async def main() -> None:
        before = everybody()
        box: list[Any] = []
        await begin(box)
        with pytest.warns(ResourceWarning, match=DROPPED):
            await anyio.to_thread.run_sync(box.clear)
        await nothing_left(before)

    run_in_new_loop(main)
    assert log == CLEAN


def test_garbage_collection_of_a_cycle(run_in_new_loop: RunInNewLoop) -> None:
    """A stream in a reference cycle ends its run when the collector finds it."""
    log: list[str] = []

    async def begin() -> None:
        run = endless(log).run({})
        await until_token(run)
        cycle: list[Any] = [run]
        cycle.append(cycle)

    async def main() -> None:
        before = everybody()
        gc.disable()
        try:
            await begin()
            with pytest.warns(ResourceWarning, match=DROPPED):
                gc.collect()
        finally:
            gc.enable()
        await nothing_left(before)

    run_in_new_loop(main)
    assert log == CLEAN


# -- the stream is closed


def test_aclose_from_another_task(run_in_new_loop: RunInNewLoop) -> None:
    """The caller waits for the cleanup, and the reader gets the end of the stream."""
    log: list[str] = []

    async def main() -> None:
        before = everybody()
        run = stuck(log).run({})
        ready = anyio.Event()
        ended = anyio.Event()

        async def read() -> None:
            async for event in run:
                if event.type is EventType.TOKEN:
                    ready.set()
            ended.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await ready.wait()
            await let_others_run()
            await run.aclose()
            assert log == CLEAN
            await ended.wait()
        assert everybody() == before
        assert run.end is not None
        assert run.end.status is PipelineTerminalStatus.CLIENT_CLOSED

    run_in_new_loop(main)


def test_aclose_before_the_first_event(run_in_new_loop: RunInNewLoop) -> None:
    """No step starts, and the stream has ended."""
    log: list[str] = []

    async def main() -> None:
        before = everybody()
        run = endless(log).run({})
        await run.aclose()
        assert [event async for event in run] == []
        assert everybody() == before

    run_in_new_loop(main)
    assert log == []


def test_aclose_twice(run_in_new_loop: RunInNewLoop) -> None:
    """Closing a stream again does nothing."""
    log: list[str] = []

    async def main() -> None:
        run = endless(log).run({})
        await until_token(run)
        await run.aclose()
        await run.aclose()
        assert [event async for event in run] == []

    run_in_new_loop(main)
    assert log == CLEAN


def test_two_tasks_close_at_once(run_in_new_loop: RunInNewLoop) -> None:
    """Both return only after the run has ended completely."""
    log: list[str] = []

    async def main() -> None:
        run = stuck(log).run({})
        await until_token(run)
        seen: list[list[str]] = []

        async def close() -> None:
            await run.aclose()
            seen.append(list(log))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(close)
            tasks.start_soon(close)
        assert seen == [CLEAN, CLEAN]

    run_in_new_loop(main)


def test_never_iterated(run_in_new_loop: RunInNewLoop) -> None:
    """A run that is never begun starts nothing, and a warning says so."""
    log: list[str] = []

    async def main() -> None:
        before = everybody()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run = endless(log).run({})
            await let_others_run()
            assert everybody() == before
            del run
            gc.collect()
        assert [warning.category for warning in caught] == [RuntimeWarning]
        assert "never begun" in str(caught[0].message)

    run_in_new_loop(main)
    assert log == []


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)], ids=str)
def test_runs_are_closed_in_any_order(
    run_in_new_loop: RunInNewLoop, order: tuple[int, ...]
) -> None:
    """Of several runs that are read in turn, the ones that are not closed go on."""
    logs: list[list[str]] = [[], [], []]

    async def main() -> None:
        before = everybody()
        runs = [endless(log).run({}) for log in logs]
        for run in runs * 3:
            await until_token(run)
        open_runs = list(runs)
        for index in order:
            await runs[index].aclose()
            assert logs[index] == CLEAN
            open_runs.remove(runs[index])
            for run in open_runs:
                await until_token(run)
        assert everybody() == before

    run_in_new_loop(main)
    assert logs == [CLEAN] * 3


def test_a_stream_moves_between_tasks(run_in_new_loop: RunInNewLoop) -> None:
    """One task makes a stream, a second one reads it, and a third one closes it."""
    log: list[str] = []

    async def main() -> None:
        run = endless(log).run({})

        async def read() -> None:
            await until_token(run)

        async def close() -> None:
            await run.aclose()

        for job in (read, read, close):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(job)

    run_in_new_loop(main)
    assert log == CLEAN


# -- the consumer is cancelled


@pytest.mark.parametrize("form", ["async for", "async with", "wait"])
def test_cancelled_while_it_waits_for_an_event(
    run_in_new_loop: RunInNewLoop, form: str
) -> None:
    """The consumer leaves its cancel scope after the run's cleanup."""
    log: list[str] = []

    async def main() -> None:
        before = everybody()
        scope = anyio.CancelScope()

        async def then() -> None:
            scope.cancel()
            await anyio.sleep_forever()

        run = stuck(log, then).run({})
        with scope:
            if form == "async with":
                async with run:
                    await rest_of(run)
            elif form == "wait":
                await run.wait()
            else:
                await rest_of(run)
        assert scope.cancelled_caught
        assert log == CLEAN
        assert everybody() == before
        assert is_untouched()
        assert [event async for event in run] == []

    run_in_new_loop(main)


def test_cancelled_in_its_loop_body(run_in_new_loop: RunInNewLoop) -> None:
    """A consumer that is cancelled in its loop body abandons the run."""
    log: list[str] = []

    async def main() -> None:
        before = everybody()
        scope = anyio.CancelScope()

        async def consume() -> None:
            with scope:
                async for event in endless(log).run({}):
                    if event.type is EventType.TOKEN:
                        scope.cancel()
                        await checkpoint()

        with pytest.warns(ResourceWarning, match=DROPPED):
            await consume()
        assert scope.cancelled_caught
        await nothing_left(before)
        assert is_untouched()

    run_in_new_loop(main)
    assert log == CLEAN


def test_cancelled_in_the_body_of_its_block(run_in_new_loop: RunInNewLoop) -> None:
    """The consumer leaves the block after the run's cleanup."""
    log: list[str] = []

    async def main() -> None:
        before = everybody()
        with anyio.CancelScope() as scope:
            async with endless(log).run({}) as run:
                await until_token(run)
                scope.cancel()
                await checkpoint()
        assert scope.cancelled_caught
        assert log == CLEAN
        assert everybody() == before

    run_in_new_loop(main)


# -- the consumer fails


def test_an_error_in_the_block_is_raised_bare(run_in_new_loop: RunInNewLoop) -> None:
    """An error in an ``async with`` block is raised without a group, after the run's cleanup."""
    log: list[str] = []
    error = KeyError("mine")

    async def main() -> None:
        before = everybody()
        with pytest.raises(KeyError) as caught:
            await fail_inside(endless(log).run({}), error)
        assert caught.value is error
        assert log == CLEAN
        assert everybody() == before
        assert is_untouched()

    run_in_new_loop(main)


def test_an_error_in_the_block_is_raised_despite_a_cancellation(
    run_in_new_loop: RunInNewLoop,
) -> None:
    """The scope around the block is cancelled meanwhile."""
    log: list[str] = []

    async def main() -> None:
        with pytest.raises(KeyError, match="mine"), anyio.CancelScope() as scope:
            await fail_inside(endless(log).run({}), KeyError("mine"), scope)
        assert log == CLEAN

    run_in_new_loop(main)


def test_an_error_in_the_loop_is_raised_bare(run_in_new_loop: RunInNewLoop) -> None:
    """The run ends although the traceback is kept."""
    log: list[str] = []
    error = KeyError("mine")

    async def consume() -> None:
        async for event in endless(log).run({}):
            if event.type is EventType.TOKEN:
                raise error

    async def main() -> None:
        before = everybody()
        with pytest.warns(ResourceWarning, match=DROPPED), pytest.raises(KeyError) as e:
            await consume()
        assert e.value is error
        assert error.__traceback__ is not None
        await nothing_left(before)
        assert log == CLEAN

    run_in_new_loop(main)


def test_leaving_the_block_early(run_in_new_loop: RunInNewLoop) -> None:
    """Leaving before FINISH closes the run without a warning or an error."""
    log: list[str] = []

    async def main() -> None:
        before = everybody()
        async with endless(log).run({}) as run:
            await until_token(run)
        assert log == CLEAN
        assert everybody() == before
        assert run.end is not None
        assert run.end.status is PipelineTerminalStatus.CLIENT_CLOSED

    run_in_new_loop(main)


# -- the run is cancelled


@pytest.mark.parametrize("structured", [True, False])
def test_cancel_interrupts_at_once(
    run_in_new_loop: RunInNewLoop, structured: bool
) -> None:
    """It interrupts the awaits of the steps, and FINISH has its reason."""
    log: list[str] = []

    async def main() -> None:
        run = stuck(log).run({})

        async def consume() -> None:
            await until_token(run)
            run.cancel("why")
            run.cancel("a later reason")
            end = await rest_of(run)
            assert end.status is PipelineTerminalStatus.CANCELLED
            assert end.error == "why"
            assert run.end == end

        with anyio.fail_after(30):
            if structured:
                async with run:
                    await consume()
            else:
                await consume()

    run_in_new_loop(main)
    assert log == CLEAN


def test_cancel_before_the_run_begins(run_in_new_loop: RunInNewLoop) -> None:
    """No step starts, and FINISH has the reason."""
    log: list[str] = []

    async def main() -> None:
        run = stuck(log).run({})
        run.cancel("too early")
        end = await run.wait()
        assert end.status is PipelineTerminalStatus.CANCELLED
        assert end.error == "too early"

    run_in_new_loop(main)
    assert "cleaned" not in log


def test_cancel_reaches_every_branch(run_in_new_loop: RunInNewLoop) -> None:
    """It interrupts all map workers at work and drops the queued ones."""
    started: list[int] = []
    ended: list[int] = []

    async def main() -> None:
        pipe: AnyPipe = Pipe(dict)

        @pipe.map(each="work", max_concurrency=20)
        def source() -> range:
            return range(100)

        @pipe.step("work")
        async def work(item: int) -> None:
            started.append(item)
            try:
                await anyio.sleep_forever()
            finally:
                ended.append(item)

        async with pipe.run({}) as run:
            while len(started) < 20:
                await anext(run)
            run.cancel("enough")
            end = await rest_of(run)
        assert end.error == "enough"

    run_in_new_loop(main)
    assert sorted(started) == sorted(ended) == list(range(20))


# -- shutdown hooks


async def raise_value_error() -> None:
    """Fail as a step does."""
    raise ValueError("step")


@attrs.frozen
class EndingCase:
    """One way to end a run."""

    consume: Callable[[Any], Awaitable[None]]
    then: Callable[[], Awaitable[Any]] = anyio.sleep_forever
    timeout: float | None = None
    is_virtual: bool = False
    """On a clock that jumps, so that the step begins before the time is over."""


async def _drain(run: Any) -> None:
    await rest_of(run)


async def _cancel(run: Any) -> None:
    await until_token(run)
    run.cancel()
    await rest_of(run)


async def _leave(run: Any) -> None:
    async with run:
        await until_token(run)


async def _close(run: Any) -> None:
    await until_token(run)
    await run.aclose()


async def _lose_patience(run: Any) -> None:
    await until_token(run)
    with anyio.move_on_after(0.005):
        await rest_of(run)


async def _fail_outside(run: Any) -> None:
    with pytest.raises(LookupError):
        await fail_inside(run, LookupError())


ENDINGS = {
    "success": EndingCase(_drain, then=checkpoint),
    "failure": EndingCase(_drain, then=raise_value_error),
    "timeout": EndingCase(_drain, timeout=0.1, is_virtual=True),
    "cancel": EndingCase(_cancel),
    "leaving the block": EndingCase(_leave),
    "aclose": EndingCase(_close),
    "consumer cancelled": EndingCase(_lose_patience),
    "consumer failed": EndingCase(_fail_outside),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_shutdown_hooks_run_once_and_last(
    run_in_new_loop: RunInNewLoop, ending: str
) -> None:
    """In every ending they run once, after the steps' cleanup and before the consumer goes on."""
    log: list[str] = []
    case = ENDINGS[ending]

    async def main() -> None:
        await case.consume(stuck(log, case.then).run({}, timeout=case.timeout))
        assert log == CLEAN

    run_in_new_loop(main, is_virtual=case.is_virtual)
    assert log == CLEAN


# -- the loop ends


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("error", [None, KeyError("main")], ids=["returns", "fails"])
def test_the_loop_ends_with_a_live_run(
    backend: str, quiet_log: None, error: Exception | None, kept: bool
) -> None:
    """Runs that are alive when main ends have their cleanup before the loop closes."""
    log: list[str] = []
    keep: list[Any] = []

    async def main() -> None:
        run = stuck(log).run({})
        if kept:
            keep.append(run)
        await until_token(run)
        if error is not None:
            raise error

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        if error is None:
            in_loop(main, backend)
        else:
            with pytest.raises(KeyError, match="main"):
                in_loop(main, backend)
    assert log == CLEAN


def test_a_stream_outlives_its_loop(backend: str, quiet_log: None) -> None:
    """Collecting it after its loop was closed raises and logs nothing."""
    log: list[str] = []
    keep: list[Any] = []

    async def main() -> None:
        keep.append(stuck(log).run({}))
        await until_token(keep[0])

    in_loop(main, backend)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        keep.clear()
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


# -- the program is interrupted


@pytest.mark.parametrize("form", ["async for", "async with", "wait"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_a_step_reaches_main(
    backend: str, quiet_log: None, kind: type[BaseException], form: str
) -> None:
    """KeyboardInterrupt and SystemExit of a step are raised unchanged by ``run``."""
    log: list[str] = []

    async def interrupt() -> None:
        raise kind("now")

    async def main() -> None:
        run = stuck(log, interrupt).run({})
        if form == "async with":
            async with run:
                await rest_of(run)
        elif form == "wait":
            await run.wait()
        else:
            await rest_of(run)

    with pytest.raises(kind, match="now") as caught:
        in_loop(main, backend)
    assert type(caught.value) is kind
    assert log == CLEAN


@pytest.mark.parametrize("form", ["aclose", "async with", "cancelled"])
def test_an_interrupt_during_closing_reaches_main(
    backend: str, quiet_log: None, form: str
) -> None:
    """A KeyboardInterrupt in a step's cleanup is raised where the run was closed."""
    log: list[str] = []

    async def main() -> None:
        run = interrupting(log).run({})
        if form == "async with":
            async with run:
                await until_token(run)
        elif form == "aclose":
            await until_token(run)
            await run.aclose()
        else:
            await until_token(run)
            with anyio.move_on_after(0.005):
                await rest_of(run)
        for _ in range(20):
            await checkpoint()
        log.append("main went on")

    with pytest.raises(KeyboardInterrupt):
        in_loop(main, backend)
    assert log == ["shutdown"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_an_abandoned_run_reaches_main(
    backend: str, quiet_log: None, kind: type[BaseException]
) -> None:
    """An interrupt in the cleanup of an abandoned run ends the program."""
    log: list[str] = []

    async def main() -> None:
        with pytest.warns(ResourceWarning, match=DROPPED):
            await break_off(interrupting(log, kind))
        await anyio.sleep(30)  # the interrupt ends it long before
        log.append("main went on")

    # trio lets nothing but a KeyboardInterrupt into its main task from outside.
    seen = KeyboardInterrupt if backend == "trio" else kind
    with pytest.raises(seen):
        in_loop(main, backend)
    assert "main went on" not in log


def interrupting(
    log: list[str], kind: type[BaseException] = KeyboardInterrupt
) -> AnyPipe:
    """Return a pipe whose step is interrupted by the user during its cleanup."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step
    async def wait() -> AsyncIterator[str]:
        try:
            yield "ready"
            await anyio.sleep_forever()
        finally:
            raise kind

    return closing(pipe, log)


# -- asyncio's own cancellation


@pytest.mark.parametrize("structured", [True, False])
def test_asyncio_timeout_around_the_consumer(structured: bool, quiet_log: None) -> None:
    """It raises TimeoutError after the run's cleanup, and no cancellation stays pending."""
    log: list[str] = []

    async def main() -> None:
        before = everybody()
        run = stuck(log).run({})

        async def consume() -> None:
            async with asyncio.timeout(None) as limit:
                soon = asyncio.get_running_loop().time() + 0.005
                if structured:
                    async with run:
                        await until_token(run)
                        limit.reschedule(soon)
                        await rest_of(run)
                else:
                    await until_token(run)
                    limit.reschedule(soon)
                    await rest_of(run)

        with pytest.raises(TimeoutError):
            await consume()
        assert log == CLEAN
        assert is_untouched()
        assert everybody() == before
        await anyio.sleep(0.001)

    in_loop(main, "asyncio")


@pytest.mark.parametrize("structured", [True, False])
@pytest.mark.parametrize("times", [1, 2])
def test_native_cancel_of_the_consumer(
    structured: bool, times: int, quiet_log: None
) -> None:
    """The consumer gets its CancelledError after the cleanup, with asyncio's own count."""
    log: list[str] = []

    async def main() -> None:
        ready = asyncio.Event()

        async def then() -> None:
            ready.set()
            await anyio.sleep_forever()

        async def consume() -> int:
            task = asyncio.current_task()
            assert task is not None
            run = stuck(log, then).run({})
            try:
                if structured:
                    async with run:
                        await rest_of(run)
                else:
                    await rest_of(run)
            except asyncio.CancelledError:
                assert log == CLEAN
                return task.cancelling()
            raise AssertionError("the cancellation was lost")

        before = everybody()
        task = asyncio.create_task(consume())
        await ready.wait()
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        # A task group counts a second cancellation during its exit as its own.
        assert await task in ((1, times) if structured else (times,))
        assert everybody() == before
        assert is_untouched()

    in_loop(main, "asyncio")
    assert log == CLEAN


def test_a_step_that_awaits_a_cancelled_task_fails(quiet_log: None) -> None:
    """The other steps go on."""
    done: list[str] = []

    async def main() -> None:
        pipe: AnyPipe = Pipe(dict, allow_multi_root=True)

        @pipe.step
        async def victim() -> None:
            task = asyncio.create_task(asyncio.sleep(60))
            await asyncio.sleep(0)
            task.cancel()
            await task

        @pipe.step(to="after")
        async def sibling() -> None:
            await asyncio.sleep(0.005)
            done.append("sibling")

        @pipe.step("after")
        def after() -> None:
            done.append("after")

        events = [event async for event in pipe.run({})]
        errors = [event for event in events if event.type is EventType.STEP_ERROR]
        assert [event.stage for event in errors] == ["victim"]
        end = events[-1].payload
        assert end.status is PipelineTerminalStatus.FAILED
        assert end.failed_step == "victim"
        assert "cancelled from outside" in end.error

    in_loop(main, "asyncio")
    assert done == ["sibling", "after"]


def test_a_native_cancellation_can_be_handled(quiet_log: None) -> None:
    """The step's error handler is called as for any failure."""
    asked: list[str] = []

    async def main() -> None:
        pipe: AnyPipe = Pipe(dict)

        def handle(error: Exception) -> None:
            asked.append(type(error).__name__)

        @pipe.step(on_error=handle)
        async def victim() -> None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        end = await rest_of(pipe.run({}))
        assert end.status is PipelineTerminalStatus.SUCCESS

    in_loop(main, "asyncio")
    assert asked == ["ForeignCancellation"]


# -- scopes and variables of steps


@pytest.mark.virtual_time
@pytest.mark.parametrize("queue_size", [1, 0])
@pytest.mark.parametrize("structured", [True, False])
async def test_a_step_yields_inside_a_cancel_scope(
    queue_size: int, structured: bool
) -> None:
    """``move_on_after`` limits that stream only, with the pauses of its reader."""
    before = everybody()
    pipe: AnyPipe = Pipe(dict)

    @pipe.step(to="following")
    async def talk() -> AsyncIterator[str]:
        with anyio.move_on_after(0.01):
            yield "one"
            yield "two"
            yield "three"
            await anyio.sleep_forever()
        yield "last"

    @pipe.step("following")
    async def following() -> AsyncIterator[str]:
        await checkpoint()
        yield "following"

    async def consume() -> list[str]:
        words = [(await until_token(run)).payload]
        await anyio.sleep(0.03)
        events = [event async for event in run]
        words += [e.payload for e in events if e.type is EventType.TOKEN]
        assert events[-1].payload.status is PipelineTerminalStatus.SUCCESS
        return words

    run = pipe.run({}, queue_size=queue_size)
    if structured:
        async with run:
            words = await consume()
    else:
        words = await consume()
    assert words[0] == "one"
    assert words[-2:] == ["last", "following"]
    assert len(words) == (5 if queue_size == 0 else 4)
    assert is_untouched()
    await nothing_left(before)


spoken: ContextVar[str] = ContextVar("spoken", default="unset")


@pytest.mark.parametrize("structured", [True, False])
def test_context_variables_of_steps_are_their_own(
    run_in_new_loop: RunInNewLoop, structured: bool
) -> None:
    """Steps get the consumer's values; a change in one invocation is seen by no other."""
    seen: list[str] = []
    own: list[bool] = []

    async def main() -> None:
        pipe: AnyPipe = Pipe(dict)

        @pipe.map(each="work", to="after")
        def source() -> Iterator[int]:
            seen.append(spoken.get())
            spoken.set("source")
            yield from range(20)

        @pipe.step("work")
        async def work(item: int) -> AsyncIterator[int]:
            seen.append(spoken.get())
            spoken.set(f"worker {item}")
            await checkpoint()
            yield item
            own.append(spoken.get() == f"worker {item}")

        @pipe.step("after")
        def after() -> None:
            seen.append(spoken.get())

        spoken.set("consumer")
        run = pipe.run({})
        if structured:
            async with run:
                await rest_of(run)
        else:
            await rest_of(run)
        assert spoken.get() == "consumer"

    run_in_new_loop(main)
    assert seen == ["consumer"] * 22
    assert own == [True] * 20


def test_startup_hooks_set_context_variables_for_steps(
    run_in_new_loop: RunInNewLoop,
) -> None:
    """Every step sees the value, the consumer does not."""
    seen: list[str] = []

    async def main() -> None:
        pipe: AnyPipe = Pipe(dict)

        @pipe.on_startup
        def tune() -> None:
            spoken.set("startup")

        @pipe.step
        def look() -> None:
            seen.append(spoken.get())

        spoken.set("consumer")
        await pipe.run({}).wait()
        assert spoken.get() == "consumer"

    run_in_new_loop(main)
    assert seen == ["startup"]
