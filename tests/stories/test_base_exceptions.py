"""User code that cancels itself, raises groups, or raises a ``BaseException``."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import anyio
import pytest
import sniffio
from anyio.lowlevel import checkpoint

from justpipe_actors import Event, EventType, Pipe, Raise, Retry, Stop
from justpipe_actors._backends import current_loop
from justpipe_actors._run.run_stream import RunStream
from justpipe_actors.observability import Observer
from justpipe_actors.supervisor import Supervisor
from justpipe_actors.types import (
    CancellationToken,
    FailureClassificationConfig,
    PipelineEndData,
    PipelineTerminalStatus,
)


AnyPipe = Pipe[Any, Any]
FAILED = PipelineTerminalStatus.FAILED
CANCELLED = PipelineTerminalStatus.CANCELLED
SUCCESS = PipelineTerminalStatus.SUCCESS

GRAVE = [SystemExit, KeyboardInterrupt, BaseException]


async def run_bounded(pipe: AnyPipe, **options: Any) -> list[Event]:
    """Run a pipe to its end, with a time limit."""
    with anyio.fail_after(30):
        async with pipe.run({}, **options) as run:
            return [event async for event in run]


async def end_of_run(pipe: AnyPipe, **options: Any) -> PipelineEndData:
    """Return the end of a run."""
    payload = (await run_bounded(pipe, **options))[-1].payload
    assert isinstance(payload, PipelineEndData)
    return payload


async def read_until_raised(pipe: AnyPipe, kind: type[BaseException]) -> list[Event]:
    """Read a run to its FINISH, after which it must raise."""
    events = []
    with anyio.fail_after(30), pytest.raises(kind):
        async for event in pipe.run({}):
            events.append(event)
    return events


def single(func: Callable[..., Any], **options: Any) -> AnyPipe:
    """Return a pipe with one step ``a``."""
    pipe: AnyPipe = Pipe(None, **options)
    pipe.step("a")(func)
    return pipe


async def cancelled_elsewhere() -> None:
    """Await a task that other code has cancelled."""
    task = asyncio.ensure_future(asyncio.sleep(10))
    task.cancel()
    await task


async def fail_in_cleanup() -> None:
    """Wait for a cancellation, in a task group whose child then fails."""

    async def child() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("cleanup")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(child)
        await anyio.sleep_forever()


# -- cancellations


@pytest.mark.virtual_time
async def test_a_cleanup_that_fails_is_a_failure_of_its_step() -> None:
    """The error of a task in a cancelled task group is no defect of the engine."""
    pipe: AnyPipe = Pipe(None)
    pipe.step("a", timeout=1)(fail_in_cleanup)
    end = await end_of_run(pipe)

    assert (end.status, end.failure_kind.value) == (FAILED, "step")
    assert end.failed_step == "a"


@pytest.mark.virtual_time
async def test_a_cleanup_that_fails_does_not_hide_the_timeout() -> None:
    """The status is TIMEOUT, and the failures of the cleanup are listed."""
    pipe: AnyPipe = Pipe(None)
    pipe.step("a")(fail_in_cleanup)
    end = await end_of_run(pipe, timeout=1)

    assert end.status is PipelineTerminalStatus.TIMEOUT
    assert [record.step for record in end.errors] == ["a"]


@pytest.mark.parametrize("hosted", [False, True])
async def test_a_step_that_cancels_its_own_task_fails(hosted: bool) -> None:
    """The dispatcher processes the next messages."""
    if sniffio.current_async_library() == "trio":
        pytest.skip("only asyncio can cancel a task from beside it")
    done: list[int] = []
    pipe: AnyPipe = Pipe(None)
    pipe.map("m", each="w")(lambda: range(5))

    @pipe.step("w", concurrency=1)
    async def work(item: int) -> None:
        if item == 1 and (task := asyncio.current_task()):
            task.cancel()
        await asyncio.sleep(0)
        done.append(item)

    if hosted:
        async with Supervisor():
            end = await end_of_run(pipe)
    else:
        end = await end_of_run(pipe)
    assert (end.status, end.failed_step) == (FAILED, "w")
    assert done == [0, 2, 3, 4]


async def test_hooks_and_observers_may_await_a_cancelled_task() -> None:
    """The hook fails, the observer's error is logged, and the run goes on."""
    if sniffio.current_async_library() == "trio":
        pytest.skip("only asyncio can cancel a task from beside it")
    heard: list[str] = []

    class Deaf(Observer):
        async def on_event(self, *args: Any) -> None:
            heard.append(args[-1].type.value)
            await cancelled_elsewhere()

    pipe = single(lambda: None)
    pipe.on_shutdown(cancelled_elsewhere)
    pipe.on_shutdown(lambda: heard.append("second hook"))
    pipe.add_observer(Deaf())
    end = await end_of_run(pipe)

    assert (end.status, end.failure_kind.value) == (FAILED, "shutdown")
    assert sorted(heard) == [
        "finish",
        "second hook",
        "start",
        "step_end",
        "step_error",
        "step_start",
    ]


async def test_a_group_of_cancellations_is_a_cancellation() -> None:
    """A token's cancellation in a group makes the run CANCELLED, without retries."""
    calls: list[int] = []
    pipe: AnyPipe = Pipe(None)

    @pipe.step("a", retries=2)
    async def ask_twice(cancel: CancellationToken) -> None:
        calls.append(1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel.checkpoint)
            tasks.start_soon(cancel.checkpoint)

    pipe.cancellation_token.cancel("enough")
    end = await end_of_run(pipe)

    assert (end.status, end.error, calls) == (CANCELLED, "enough", [1])


async def test_a_group_with_another_error_is_a_failure() -> None:
    """The whole group is the failure."""
    pipe: AnyPipe = Pipe(None)

    @pipe.step("a")
    def fail(cancel: CancellationToken) -> None:
        from justpipe_actors.types import PipelineCancelled

        raise ExceptionGroup("both", [PipelineCancelled("x"), ValueError("boom")])

    end = await end_of_run(pipe)
    assert (end.status, end.error) == (FAILED, "both (2 sub-exceptions)")


async def test_the_token_of_a_childs_pipe_cancels_the_child() -> None:
    """The token of its parent's pipe does so, too."""
    for owner in ("child", "parent"):
        child: AnyPipe = Pipe(None)
        child.step("x")(lambda cancel: cancel.checkpoint())
        parent: AnyPipe = Pipe(None)
        parent.sub("s", pipeline=child)(lambda state: state)
        pipe = child if owner == "child" else parent
        pipe.cancellation_token.cancel(owner)
        end = await end_of_run(parent)

        assert (end.status, end.error) == (CANCELLED, owner)


# -- more than failures


@pytest.mark.parametrize("kind", GRAVE)
@pytest.mark.parametrize("when", ["startup", "shutdown"])
async def test_a_base_exception_of_a_hook_is_raised_after_the_run(
    kind: type[BaseException], when: str
) -> None:
    """The run fails with the source INFRA, the other hooks run, then the exception is raised."""
    log: list[str] = []

    async def leave() -> None:
        raise kind

    pipe = single(lambda: None)
    getattr(pipe, f"on_{when}")(leave)
    pipe.on_shutdown(lambda: log.append("closed"))
    events = await read_until_raised(pipe, kind)

    assert events[-1].payload.failure_kind.value == "infra"
    assert log == ["closed"]


@pytest.mark.parametrize("kind", GRAVE)
@pytest.mark.parametrize(
    "method", ["on_pipeline_start", "on_event", "on_pipeline_end", "witness"]
)
async def test_a_base_exception_of_an_observer_is_raised_after_finish(
    kind: type[BaseException], method: str
) -> None:
    """The reader of the run gets it."""

    class Leaving(Observer):
        pass

    async def leave(self: Any, *args: Any) -> None:
        raise kind

    def leave_now(self: Any, *args: Any) -> None:
        raise kind

    setattr(Leaving, method, leave_now if method == "witness" else leave)
    pipe = single(lambda: None)
    pipe.add_observer(Leaving())
    events = await read_until_raised(pipe, kind)

    assert events[-1].type is EventType.FINISH


@pytest.mark.parametrize("kind", [LookupError, *GRAVE])
@pytest.mark.parametrize("at", ["start", "step_start", "step_end", "finish"])
@pytest.mark.parametrize("hosted", [False, True])
async def test_an_event_hook_may_fail_at_any_event(
    kind: type[BaseException], at: str, hosted: bool
) -> None:
    """FINISH says FAILED, then the exception is raised, whatever it is."""

    def hook(event: Event) -> Event:
        if event.type.value == at:
            raise kind
        return event

    pipe = single(lambda: None)
    pipe.add_event_hook(hook)
    if hosted:
        async with Supervisor():
            events = await read_until_raised(pipe, kind)
    else:
        events = await read_until_raised(pipe, kind)

    end = events[-1].payload
    assert (end.status, end.failure_kind.value) == (FAILED, "infra")


@pytest.mark.parametrize("answer", ["external_dep", 7, [], object()])
async def test_a_classifier_with_a_wrong_result_is_recorded(answer: Any) -> None:
    """A result that is no FailureSource leaves the default source."""
    config = FailureClassificationConfig(source_classifier=lambda context: answer)
    end = await end_of_run(single(lambda: 1 / 0, failure_classification=config))

    assert [record.source.value for record in end.errors] == ["user_code", "framework"]
    assert end.errors[-1].reason.value == "classifier_error"


async def test_a_base_exception_of_a_classifier_is_recorded() -> None:
    """The failure keeps its default source, and FINISH comes."""

    def leave(context: Any) -> None:
        raise SystemExit

    config = FailureClassificationConfig(source_classifier=leave)
    pipe = single(lambda: 1 / 0, failure_classification=config)
    events = await read_until_raised(pipe, SystemExit)

    assert events[-1].payload.failed_step == "a"


async def test_the_base_exception_of_two_errors_is_raised() -> None:
    """The SystemExit of a step is not lost when the block that reads it raises an error."""

    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit) as caught:
        async with single(leave).run({}) as run:
            async for event in run:
                if event.type is EventType.STEP_ERROR:
                    raise ValueError("body")
    assert str(caught.value.__context__) == "body"


class FalsyError(Exception):
    """An exception with the truth value False."""

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (FalsyError("mine"), "mine"),
        (KeyError, ""),
        ("text", "Step 'a' returned Raise() with str, not an exception."),
        (None, "Step 'a' returned Raise() without an exception."),
    ],
)
async def test_raise_accepts_any_object(given: Any, text: str) -> None:
    """An empty exception, a class, a text or nothing: the step fails with a message."""
    end = await end_of_run(single(lambda: Raise(given)))
    assert (end.status, end.failed_step, end.error) == (FAILED, "a", text)


async def test_raise_with_a_base_exception_is_like_raising_it() -> None:
    """``Raise(SystemExit())`` ends the run as ``raise SystemExit`` does."""
    pipe = single(lambda: Raise(SystemExit(3)))  # type: ignore[arg-type]
    events = await read_until_raised(pipe, SystemExit)
    assert events[-1].payload.failure_kind.value == "infra"


async def test_a_handler_may_raise_the_cause_of_its_error() -> None:
    """The chain of causes stays free of cycles."""
    lengths: list[int] = []

    def unwrap(error: Exception) -> None:
        assert error.__cause__ is not None
        raise error.__cause__

    def fail() -> None:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise ValueError("outer") from inner

    pipe: AnyPipe = Pipe(None)
    pipe.step("a", on_error=unwrap)(fail)

    @pipe.on_error
    def measure(error: BaseException) -> None:
        behind: BaseException | None = error
        length = 0
        while behind is not None and length < 10:
            behind, length = behind.__cause__, length + 1
        lengths.append(length)

    assert (await end_of_run(pipe)).status is SUCCESS
    assert lengths == [1]


# -- maps


@pytest.mark.parametrize("hosted", [False, True])
async def test_a_worker_that_retries_after_stop_ends(hosted: bool) -> None:
    """The item ends, and the map and the run succeed."""
    working = 0
    everybody = anyio.Event()
    pipe: AnyPipe = Pipe(None)
    pipe.map("m", each="w")(lambda: range(3))

    @pipe.step("w")
    async def work(item: int) -> Any:
        nonlocal working
        working += 1
        if working == 3:
            everybody.set()
        await everybody.wait()
        if item == 0:
            return Stop
        for _ in range(10):
            await checkpoint()
        return Retry()

    if hosted:
        async with Supervisor():
            assert (await end_of_run(pipe)).status is SUCCESS
    else:
        assert (await end_of_run(pipe)).status is SUCCESS
    assert working == 3


@pytest.mark.virtual_time
async def test_a_maps_timeout_does_not_limit_its_workers() -> None:
    """It limits the function and the source; workers have timeouts of their own."""
    pipe: AnyPipe = Pipe(None)
    pipe.map("m", each="w", timeout=1, to="after")(lambda: range(3))
    pipe.step("w")(lambda item: anyio.sleep(3))
    pipe.step("after")(lambda: None)
    events = await run_bounded(pipe)

    assert events[-1].payload.status is SUCCESS
    assert events[-2].stage == "after"


@pytest.mark.virtual_time
@pytest.mark.parametrize("slow", ["function", "source"])
async def test_a_maps_timeout_limits_its_source(slow: str) -> None:
    """The function of a map and its source share the seconds."""
    pipe: AnyPipe = Pipe(None)

    async def source() -> AsyncIterator[int]:
        for item in range(3):
            await anyio.sleep(0.6)
            yield item

    async def produce() -> list[int]:
        await anyio.sleep(2)
        return []

    func: Callable[[], Any] = source if slow == "source" else produce
    pipe.map("m", each="w", timeout=1)(func)
    pipe.step("w")(lambda item: None)
    end = await end_of_run(pipe)

    assert (end.failed_step, end.error) == ("m", "Step 'm' timed out after 1s")


async def test_a_source_may_fail_when_it_is_closed() -> None:
    """The source gave enough items, so the outcome of the map stays."""

    async def source() -> AsyncIterator[int]:
        try:
            for item in range(5):
                yield item
        finally:
            raise ValueError("close")

    pipe: AnyPipe = Pipe(None, max_map_items=2)
    pipe.map("m", each="w")(source)
    pipe.step("w")(lambda item: None)
    end = await end_of_run(pipe)

    assert end.error == "Map 'm' exceeded maximum of 2 items"


async def test_a_cancelled_run_does_not_wait_for_an_observer_of_its_start() -> None:
    """The run ends at once although the observer still handles START."""

    class Stuck(Observer):
        async def on_pipeline_start(self, *args: Any) -> None:
            await anyio.sleep_forever()

    pipe = single(lambda: None)
    pipe.add_observer(Stuck())
    with anyio.fail_after(30):
        async with pipe.run({}) as run, anyio.create_task_group() as tasks:

            async def cancel_soon() -> None:
                await anyio.wait_all_tasks_blocked()
                run.cancel("enough")

            tasks.start_soon(cancel_soon)
            assert (await run.wait()).error == "enough"


async def test_an_interrupted_run_does_not_wait_for_the_handler_of_an_unknown_target() -> (
    None
):
    """The handler of a step that returned an unknown name is interrupted like any other."""
    pipe: AnyPipe = Pipe(None, on_failure="stop", allow_multi_root=True)

    @pipe.on_error
    async def handle(error: Exception, step_name: str) -> None:
        if step_name == "a":
            await anyio.sleep_forever()
        raise error

    pipe.step("a")(lambda: "nowhere")
    pipe.step("b")(lambda: 1 / 0)
    async with Supervisor():
        end = await end_of_run(pipe)
    assert (end.status, end.failed_step) == (FAILED, "b")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_ctrl_c_interrupts_the_source_of_a_map(kind: str) -> None:
    """On trio it interrupts the computation of a source, and the run ends."""
    log: list[str] = []
    pipe: AnyPipe = Pipe(dict)

    def numbers() -> Iterator[int]:
        yield 1
        signal.raise_signal(signal.SIGINT)
        log.append("went on")
        yield 2

    async def slow_numbers() -> AsyncIterator[int]:
        for number in numbers():
            yield number

    pipe.map("m", each="w")(numbers if kind == "sync" else slow_numbers)
    pipe.step("w")(lambda item: None)
    pipe.on_shutdown(lambda: log.append("shutdown"))

    async def main() -> None:
        async with pipe.run({}) as run:
            await run.wait()

    with pytest.raises(KeyboardInterrupt):
        anyio.run(main, backend="trio")
    assert log == ["shutdown"]


@pytest.mark.parametrize(
    ("backend", "error"),
    [("asyncio", None), ("trio", None), ("trio", ValueError("of the body"))],
)
def test_ctrl_c_while_a_block_is_left_waits_for_the_end_of_the_run(
    backend: str, error: Exception | None
) -> None:
    """The code after the block may close what the run uses, so the run has ended."""
    log: list[str] = []
    pipe: AnyPipe = Pipe(dict)
    pipe.step("work")(anyio.sleep_forever)

    @pipe.on_shutdown
    async def release() -> None:
        interrupt = partial(signal.raise_signal, signal.SIGINT)
        current_loop().call_soon(interrupt)
        await anyio.wait_all_tasks_blocked()
        log.append("shutdown")

    async def main() -> None:
        try:
            async with pipe.run({}):
                await anyio.wait_all_tasks_blocked()
                if error is not None:
                    raise error
        finally:
            log.append("left")

    with pytest.raises(KeyboardInterrupt):
        anyio.run(main, backend=backend)
    assert log == ["shutdown", "left"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("reads", [False, True])
def test_ctrl_c_while_a_run_is_waited_for_ends_the_run_first(
    backend: str, reads: bool
) -> None:
    """The code after the wait may close what the run uses, so the run has ended."""
    log: list[str] = []
    pipe: AnyPipe = Pipe(dict)

    @pipe.step
    async def work() -> None:
        current_loop().call_soon(partial(signal.raise_signal, signal.SIGINT))
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.wait_all_tasks_blocked()
            log.append("work")

    async def main() -> None:
        run = pipe.run({})
        try:
            if reads:
                assert [event async for event in run] == []
            else:
                await run.wait()
        finally:
            log.append("left")

    with pytest.raises(KeyboardInterrupt):
        anyio.run(main, backend=backend)
    assert log == ["work", "left"]


@pytest.mark.parametrize("error", [None, ValueError("of the body")])
def test_ctrl_c_while_a_supervisor_is_left_waits_for_the_end_of_its_runs(
    error: Exception | None,
) -> None:
    """An error of the body does not hide Ctrl-C, which trio raises where the block ends."""
    log: list[str] = []
    pipe: AnyPipe = Pipe(dict)
    pipe.step("work")(anyio.sleep_forever)

    @pipe.on_shutdown
    async def release() -> None:
        interrupt = partial(signal.raise_signal, signal.SIGINT)
        current_loop().call_soon(interrupt)
        await anyio.wait_all_tasks_blocked()
        log.append("shutdown")

    async def main() -> None:
        try:
            async with Supervisor(pipe, grace=0.1) as supervisor:
                run = await supervisor.submit(pipe, {})
                await anyio.wait_all_tasks_blocked()
                run.cancel()
                if error is not None:
                    raise error
        finally:
            log.append("left")

    with pytest.raises(KeyboardInterrupt):
        anyio.run(main, backend="trio")
    assert log == ["shutdown", "left"]


# -- misuse that must not hang


@pytest.mark.parametrize("place", ["step", "handler", "child", "observer", "shutdown"])
async def test_a_run_cannot_wait_for_its_own_end(
    place: str,
) -> None:
    """A step that closes its own run gets an error with the remedy."""
    streams: list[RunStream] = []
    refused: list[str] = []

    async def close(*args: Any) -> None:
        try:
            await streams[0].aclose()
        except RuntimeError as error:
            refused.append(str(error))

    class Closing(Observer):
        async def on_event(self, *args: Any) -> None:
            if args[-1].type is EventType.STEP_START:
                await close()

    pipe: AnyPipe = Pipe(dict)
    child: AnyPipe = Pipe(dict)
    match place:
        case "step":
            pipe.step("a")(lambda: close())
        case "handler":
            pipe.step("a", on_error=lambda error: close())(lambda: 1 / 0)
        case "child":
            child.step("x")(lambda: close())
            pipe.sub("a", pipeline=child)(lambda state: state)
        case _:
            pipe.step("a")(lambda: None)
    if place == "observer":
        pipe.add_observer(Closing())
    elif place == "shutdown":
        pipe.on_shutdown(lambda: close())
    with anyio.fail_after(30):
        async with pipe.run({}) as run:
            streams.append(run)
            end = await run.wait()

    assert end.status is SUCCESS
    assert len(refused) == 1
    assert "run.cancel()" in refused[0]


async def test_two_tasks_cannot_read_one_run() -> None:
    """The second reader gets an error, and the first one reads on."""
    pipe = single(lambda: anyio.wait_all_tasks_blocked())
    types: list[EventType] = []
    with anyio.fail_after(30):
        async with pipe.run({}) as run, anyio.create_task_group() as tasks:

            async def read() -> None:
                async for event in run:
                    types.append(event.type)

            tasks.start_soon(read)
            while EventType.STEP_START not in types:
                await checkpoint()
            with pytest.raises(RuntimeError, match="Another task is reading"):
                async for event in run:
                    types.append(event.type)
    assert types[-1] is EventType.FINISH


@pytest.mark.parametrize("place", ["step", "handler", "hook", "map"])
async def test_no_step_begins_after_cancel(place: str) -> None:
    """This holds from the return of ``cancel`` on, wherever it was called."""
    streams: list[RunStream] = []
    begun: list[str] = []

    def cancel(*args: Any) -> None:
        streams[0].cancel("enough")

    def cancel_at_end(event: Event) -> Event:
        if event.type is EventType.STEP_END:
            cancel()
        return event

    def source() -> Iterator[int]:
        cancel()
        yield 1

    pipe: AnyPipe = Pipe(dict)
    match place:
        case "step":
            pipe.step("a", to="b")(cancel)
        case "handler":
            pipe.step("a", to="b", on_error=cancel)(lambda: 1 / 0)
        case "hook":
            pipe.step("a", to="b")(lambda: None)
            pipe.add_event_hook(cancel_at_end)
        case _:
            pipe.map("a", each="w", to="b")(source)
            pipe.step("w")(lambda item: begun.append("w"))
    pipe.step("b")(lambda: begun.append("b"))
    async with pipe.run({}) as run:
        streams.append(run)
        events = [event async for event in run]

    end = events[-1].payload
    assert (end.status, end.error, begun) == (CANCELLED, "enough", [])
    assert EventType.MAP_COMPLETE not in {event.type for event in events}
