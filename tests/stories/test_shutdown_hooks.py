"""Shutdown hooks and observers may take any time, until the end of the run is requested."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors._run.grace_period import GRACE_SECONDS
from justpipe_actors._run.run_stream import RunStream
from justpipe_actors._util.sync import REPORT_INTERVAL
from justpipe_actors.observability import Observer
from justpipe_actors.types import PipelineTerminalStatus


pytestmark = pytest.mark.virtual_time

AnyPipe = Pipe[Any, Any]
Ask = Callable[[RunStream, anyio.Event], Awaitable[None]]
"""Lets a run come to its endless hook, then wants it over."""


async def fail() -> None:
    """Fail."""
    raise ValueError("bad")


STEPS: dict[str, tuple[Callable[..., Any], float | None]] = {
    "success": (lambda: None, None),
    "failed": (fail, None),
    "timeout": (anyio.sleep_forever, 1.0),
}
"""A run's only step and its timeout, by the ending they lead to."""


def endless(ending: str = "success") -> tuple[AnyPipe, anyio.Event]:
    """Return a pipe whose hook never ends, and what is set when the hook begins."""
    pipe: AnyPipe = Pipe(None)
    begun = anyio.Event()
    pipe.step("a")(STEPS[ending][0])

    @pipe.on_shutdown
    async def hang() -> None:
        begun.set()
        await anyio.sleep_forever()

    return pipe, begun


# -- who may want it over


async def consumer_cancels(run: RunStream, begun: anyio.Event) -> None:
    """Call ``cancel`` of the run."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run.wait)
        await begun.wait()
        run.cancel("enough")


async def consumer_is_cancelled(run: RunStream, begun: anyio.Event) -> None:
    """Cancel the task that reads the run without a block."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run.wait)
        await begun.wait()
        tasks.cancel_scope.cancel()


async def block_is_cancelled(run: RunStream, begun: anyio.Event) -> None:
    """Cancel the block of the run while it reads."""

    async def own() -> None:
        async with run:
            await run.wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(own)
        await begun.wait()
        tasks.cancel_scope.cancel()


async def block_is_cancelled_late(run: RunStream, begun: anyio.Event) -> None:
    """Cancel the block of the run while it waits for the end of the run."""

    async def own() -> None:
        async with run:
            await begun.wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(own)
        await begun.wait()
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()


ASKING: list[tuple[Ask, str]] = [
    (consumer_cancels, "cancelled"),
    (consumer_is_cancelled, "client_closed"),
    (block_is_cancelled, "cancelled"),
    (block_is_cancelled_late, "client_closed"),
]
"""Who asks, and what FINISH says of a run that had not ended otherwise."""


def options_of(ending: str) -> dict[str, Any]:
    """Return the options of a run that ends in this way."""
    timeout = STEPS[ending][1]
    return {} if timeout is None else {"timeout": timeout}


@pytest.mark.parametrize(("ask", "status"), ASKING)
@pytest.mark.parametrize("ending", STEPS)
async def test_a_hook_is_given_up_after_the_grace(
    ending: str, ask: Ask, status: str
) -> None:
    """However the steps ended, the hook has a grace after the request; it is then named."""
    pipe, begun = endless(ending)
    run = pipe.run({}, **options_of(ending))
    since = anyio.current_time()
    await ask(run, begun)

    spent = anyio.current_time() - since
    assert GRACE_SECONDS <= spent <= GRACE_SECONDS + 3
    end = run.end
    assert end is not None
    assert end.status.value == ("timeout" if ending == "timeout" else status)
    assert f"Hook 'hang' was given up {GRACE_SECONDS:g}s after" in str(
        end.errors[-1].error
    )


@pytest.mark.parametrize(("ask", "status"), ASKING)
async def test_in_a_supervisor_a_hook_is_given_up_after_the_grace(
    ask: Ask, status: str
) -> None:
    """A consumed run ends its grace after the request of its consumer, with the same message."""
    pipe, begun = endless()
    since = anyio.current_time()
    async with Supervisor() as supervisor:
        run = supervisor.run(pipe, {})
        await ask(run, begun)
        assert run.end is not None
        assert run.end.status.value == status
        assert GRACE_SECONDS <= anyio.current_time() - since < GRACE_SECONDS + 3


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_closing_a_supervisor_gives_up_a_hook(is_cancelled: bool) -> None:
    """It is not kept open for ever, whether it is left or cancelled."""
    pipe, begun = endless()
    runs: list[RunStream] = []
    with anyio.CancelScope() as scope:
        async with Supervisor(grace=1) as supervisor:
            runs.append(await supervisor.submit(pipe, {}))
            await begun.wait()
            if is_cancelled:
                scope.cancel()

    (run,) = runs
    assert run.end is not None
    assert run.end.status is PipelineTerminalStatus.CANCELLED
    assert "Hook 'hang' was given up" in str(run.end.errors[-1].error)


@pytest.mark.parametrize("is_hosted", [False, True])
async def test_cancelling_a_run_gives_up_the_hooks_of_its_child(
    is_hosted: bool,
) -> None:
    """They have the same grace."""
    since = anyio.current_time()
    child, begun = endless()
    parent: AnyPipe = Pipe(None)
    parent.sub("child", pipeline=child)(lambda state: state)
    if is_hosted:
        async with Supervisor():
            run = parent.run({})
            await consumer_cancels(run, begun)
    else:
        run = parent.run({})
        await consumer_cancels(run, begun)

    assert run.end is not None
    assert (run.end.status.value, run.end.error) == ("cancelled", "enough")
    assert anyio.current_time() - since < GRACE_SECONDS + 2


@pytest.mark.parametrize("is_hosted", [False, True])
async def test_the_timeout_of_a_sub_step_gives_up_the_hooks_of_its_child(
    is_hosted: bool,
) -> None:
    """The step has timed out; the run is not cancelled."""
    child, _ = endless()
    parent: AnyPipe = Pipe(None)
    parent.sub("child", pipeline=child, timeout=2)(lambda state: state)
    async with Supervisor() if is_hosted else nullcontext():
        end = await parent.run({}).wait()

    assert (end.status.value, end.failed_step) == ("failed", "child")
    assert "timed out after 2s" in str(end.error)


# -- as long as nobody asks


async def test_a_hook_may_take_an_hour() -> None:
    """The run succeeds."""
    pipe: AnyPipe = Pipe(None)
    pipe.step("a")(lambda: None)
    pipe.on_shutdown(partial(anyio.sleep, 3600))
    async with pipe.run({}) as run:
        end = await run.wait()

    assert end.status is PipelineTerminalStatus.SUCCESS


async def test_a_hook_that_ends_within_its_grace_is_not_given_up() -> None:
    """The request waits for it."""
    pipe: AnyPipe = Pipe(None)
    begun = anyio.Event()
    pipe.step("a")(lambda: None)

    @pipe.on_shutdown
    async def write_back() -> None:
        begun.set()
        await anyio.sleep(GRACE_SECONDS - 1)

    run = pipe.run({})
    await consumer_cancels(run, begun)

    assert run.end is not None
    assert (run.end.status.value, run.end.error) == ("cancelled", "enough")
    assert run.end.errors == []


async def test_all_hooks_share_one_grace() -> None:
    """The hooks after a stuck one are called, but may not wait."""
    since = anyio.current_time()
    log: list[str] = []
    pipe, begun = endless()

    @pipe.on_shutdown
    async def second() -> None:
        log.append("second")
        await anyio.sleep(1)
        log.append("too late")

    run = pipe.run({})
    await consumer_cancels(run, begun)

    assert log == ["second"]
    assert run.end is not None
    assert len(run.end.errors) == 2
    assert anyio.current_time() - since < GRACE_SECONDS + 1


async def test_a_request_during_the_cleanup_of_a_timeout_counts_for_the_hooks() -> None:
    """A request before the hooks begin ends them as well, and the status stays TIMEOUT."""
    since = anyio.current_time()
    pipe, _ = endless()
    cleaning = anyio.Event()

    @pipe.step("b")
    async def slow_to_leave() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cleaning.set()
            with anyio.CancelScope(shield=True):
                await anyio.sleep(5)

    run = pipe.run({}, start="b", timeout=1)
    await consumer_cancels(run, cleaning)

    assert run.end is not None
    assert run.end.status is PipelineTerminalStatus.TIMEOUT
    assert anyio.current_time() - since < GRACE_SECONDS + 10


# -- observers, and those who do not listen


async def test_an_observer_that_never_ends_is_given_up_after_the_grace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It has the grace after the request, as hooks have."""
    begun = anyio.Event()

    class Stuck(Observer):
        async def on_pipeline_end(self, *args: Any) -> None:
            begun.set()
            await anyio.sleep_forever()

    pipe: AnyPipe = Pipe(None)
    pipe.step("a")(lambda: None)
    pipe.add_observer(Stuck())
    run = pipe.run({})
    await block_is_cancelled(run, begun)

    assert run.end is not None
    assert run.end.status is PipelineTerminalStatus.SUCCESS
    assert "Observer Stuck was given up" in caplog.text


async def test_a_hook_that_ignores_its_cancellation_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It cannot be ended, so it is logged every ten seconds after its grace."""
    pipe: AnyPipe = Pipe(None)
    begun = anyio.Event()
    pipe.step("a")(lambda: None)

    @pipe.on_shutdown
    async def deaf() -> None:
        begun.set()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(GRACE_SECONDS + 2 * REPORT_INTERVAL + 1)

    run = pipe.run({})
    await consumer_cancels(run, begun)

    lines = [one.getMessage() for one in caplog.records]
    text = f"Run {run.run_id} was told to end but is held up by: shutdown hook 'deaf'"
    assert [line for line in lines if "held up" in line] == [text, text]
