"""Shutdown hooks and observers have all the time they need, until somebody wants it over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors._run.run import GRACE_SECONDS
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
    """The run is told to."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run.wait)
        await begun.wait()
        run.cancel("enough")


async def consumer_is_cancelled(run: RunStream, begun: anyio.Event) -> None:
    """The one who reads without a block is cancelled."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run.wait)
        await begun.wait()
        tasks.cancel_scope.cancel()


async def block_is_cancelled(run: RunStream, begun: anyio.Event) -> None:
    """The block that owns the run is cancelled while it reads."""

    async def own() -> None:
        async with run:
            await run.wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(own)
        await begun.wait()
        tasks.cancel_scope.cancel()


async def block_is_cancelled_late(run: RunStream, begun: anyio.Event) -> None:
    """The block that owns the run is cancelled while it only waits to be left."""

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
    """Return the options of a run that comes to an ending."""
    timeout = STEPS[ending][1]
    return {} if timeout is None else {"timeout": timeout}


@pytest.mark.parametrize(("ask", "status"), ASKING)
@pytest.mark.parametrize("ending", STEPS)
async def test_whoever_wants_it_over_gets_it_over(
    ending: str, ask: Ask, status: str
) -> None:
    """However the work ended, a hook is given up its grace after somebody asks; it is named."""
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
async def test_in_a_supervisor(ask: Ask, status: str) -> None:
    """A consumed run of a supervisor is over its grace after its consumer asks, in the same words."""
    pipe, begun = endless()
    since = anyio.current_time()
    async with Supervisor() as supervisor:
        run = supervisor.run(pipe, {})
        await ask(run, begun)
        assert run.end is not None
        assert run.end.status.value == status
        assert GRACE_SECONDS <= anyio.current_time() - since < GRACE_SECONDS + 3


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_supervisor_closes(is_cancelled: bool) -> None:
    """A supervisor that is left, or cancelled, is not kept open by a hook for ever."""
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
async def test_in_a_sub_pipeline(is_hosted: bool) -> None:
    """Cancelling a run begins the grace of its child's hooks too."""
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
async def test_the_timeout_of_a_sub_step(is_hosted: bool) -> None:
    """A child that is held up by its hook is a step that took too long, not a cancelled run."""
    child, _ = endless()
    parent: AnyPipe = Pipe(None)
    parent.sub("child", pipeline=child, timeout=2)(lambda state: state)
    async with Supervisor() if is_hosted else nullcontext():
        end = await parent.run({}).wait()

    assert (end.status.value, end.failed_step) == ("failed", "child")
    assert "timed out after 2s" in str(end.error)


# -- as long as nobody asks


async def test_an_hour_is_fine() -> None:
    """A hook that takes an hour has it, and the run succeeds."""
    pipe: AnyPipe = Pipe(None)
    pipe.step("a")(lambda: None)
    pipe.on_shutdown(partial(anyio.sleep, 3600))
    async with pipe.run({}) as run:
        end = await run.wait()

    assert end.status is PipelineTerminalStatus.SUCCESS


async def test_a_hook_that_ends_within_its_grace() -> None:
    """Whoever asks waits for a hook that is about to end, and nothing is given up."""
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


async def test_one_grace_for_all_hooks() -> None:
    """The grace is shared: the hooks behind a stuck one still run, but wait for nothing."""
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


async def test_a_run_cancelled_while_its_steps_clean_up_after_a_timeout() -> None:
    """Asking counts too when it comes before the hooks and the ending has its words."""
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


async def test_an_observer_that_never_ends(caplog: pytest.LogCaptureFixture) -> None:
    """An observer that keeps a finished run is given up its grace after somebody asks."""
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


async def test_a_hook_that_ignores_its_cancellation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing can end it, so it is named every ten seconds after its grace."""
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
