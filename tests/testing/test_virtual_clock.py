"""The virtual clocks."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from hypothesis import given, strategies as st

from justpipe_actors import Pipe
from justpipe_actors.errors import Deadlock
from justpipe_actors.testing import virtual_time, watched
from justpipe_actors.testing.virtual_clock import Backend


@pytest.mark.virtual_time
async def test_an_hour_passes_at_once() -> None:
    """A program that sleeps in virtual time costs nothing."""
    started, virtual = time.monotonic(), anyio.current_time()

    with anyio.move_on_after(3600) as scope:
        await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert anyio.current_time() - virtual == pytest.approx(3600)
    assert time.monotonic() - started < 5


@pytest.mark.virtual_time
async def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    """Virtual time stops at every deadline, the nearest one first."""
    woken: list[int] = []

    async def sleep(seconds: int) -> None:
        await anyio.sleep(seconds)
        woken.append(seconds)

    async with anyio.create_task_group() as tasks:
        for seconds in (30, 10, 20):
            tasks.start_soon(sleep, seconds)

    assert woken == [10, 20, 30]


@given(st.integers(min_value=1, max_value=1000))
@pytest.mark.virtual_time
async def test_every_example_has_a_working_clock(seconds: int) -> None:
    """A property test may sleep in each of its examples."""
    before = anyio.current_time()

    await anyio.sleep(seconds)

    assert anyio.current_time() - before == pytest.approx(seconds)


# -- standstill


BACKENDS = ["asyncio", "trio"]


def stuck() -> Pipe[Any, Any]:
    """Return a pipe in which a join waits for a step that waits for ever."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="Stuck")

    @pipe.step(to=["left", "right"])
    async def root(state: Any) -> None: ...

    @pipe.step(to="join")
    async def left(state: Any) -> None:
        await anyio.sleep(60)
        await anyio.Event().wait()

    @pipe.step(to="join")
    async def right(state: Any) -> None: ...

    @pipe.step
    async def join(state: Any) -> None: ...

    return pipe


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_deadlock_is_raised_with_what_waits_for_what(backend: Backend) -> None:
    """The error has the run, the step, the line and the join."""

    async def main() -> None:
        await stuck().run({}).wait()

    with pytest.raises(Deadlock) as caught:
        anyio.run(main, **virtual_time(backend))

    text = str(caught.value)
    assert "of pipe 'Stuck' (60 s old) is held by: left x1" in text
    assert "step 'left' for 60 s, in left" in text
    assert "test_virtual_clock.py" in text
    assert "join 'join' waits for: left" in text
    assert caught.value.report in str(pickle.loads(pickle.dumps(caught.value)))


@pytest.mark.virtual_time
async def test_a_watched_block_raises_its_deadlock_and_the_loop_goes_on() -> None:
    """Only the block of ``watched`` ends."""
    with pytest.raises(Deadlock, match="No run of a pipe is alive"), watched():
        await anyio.Event().wait()
    with pytest.raises(Deadlock), watched():
        await stuck().run({}).wait()
    with watched():
        await anyio.sleep(5)


class Odd:
    """An object that does not say of which class it is."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """Raise."""
        raise KeyError("class")


@pytest.mark.virtual_time
async def test_a_deadlock_is_reported_whatever_is_in_memory() -> None:
    """The search for the runs asks no object for its class."""
    odd = [Odd()]
    with pytest.raises(Deadlock, match="in left"), watched():
        await stuck().run({}).wait()
    assert len(odd) == 1


async def test_watching_a_loop_in_real_time_changes_nothing() -> None:
    """``watched`` has no effect without virtual time."""
    with watched():
        await anyio.lowlevel.checkpoint()


@pytest.mark.virtual_time
async def test_an_error_after_a_deadlock_does_not_hide_it() -> None:
    """The deadlock is raised, whatever the cancelled block raises."""
    with pytest.raises(Deadlock) as caught, watched():
        try:
            await anyio.Event().wait()
        finally:
            raise KeyError("in the way")

    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_program_with_only_far_timers_is_deadlocked_too(
    backend: Backend,
) -> None:
    """Timers beyond the horizon do not count."""

    async def main() -> None:
        while True:
            with anyio.move_on_after(1000):
                await anyio.sleep_forever()

    with pytest.raises(Deadlock, match="clock says"):
        anyio.run(main, **virtual_time(backend, horizon=10_000))


# -- threads


@pytest.mark.virtual_time
async def test_time_does_not_jump_while_a_thread_works() -> None:
    """The result of a worker thread comes before any timeout."""
    for _ in range(3):
        with anyio.fail_after(1):
            assert (
                await anyio.to_thread.run_sync(lambda: threading.Event().wait(0.02))
                is False
            )
        await anyio.sleep(100)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_working_thread_is_no_deadlock(backend: Backend) -> None:
    """All tasks wait for the thread, and it is waited for."""

    async def main() -> bool:
        return await anyio.to_thread.run_sync(lambda: threading.Event().wait(0.02))

    assert anyio.run(main, **virtual_time(backend)) is False


def test_a_job_of_an_executor_is_waited_for() -> None:
    """asyncio's own threads count as well."""

    async def main() -> bool:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(1):
            return await loop.run_in_executor(
                None, lambda: threading.Event().wait(0.02)
            )

    assert anyio.run(main, **virtual_time("asyncio")) is False


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_unknown_thread_has_a_second_to_wake_the_loop(backend: Backend) -> None:
    """A thread of the program gets real time before a deadlock is raised."""

    async def main() -> str:
        done = anyio.Event()
        token = anyio.lowlevel.current_token()

        def work() -> None:
            threading.Event().wait(0.05)
            anyio.from_thread.run_sync(done.set, token=token)

        thread = threading.Thread(target=work)
        thread.start()
        await done.wait()
        thread.join()
        return "woken"

    assert anyio.run(main, **virtual_time(backend)) == "woken"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_portal_may_be_idle(backend: Backend) -> None:
    """A loop that serves other threads waits for them without a limit."""
    with anyio.from_thread.start_blocking_portal(**virtual_time(backend)) as portal:
        portal.call(anyio.sleep, 3600)
        threading.Event().wait(0.05)
        assert portal.call(anyio.current_time) >= 3600


def test_an_unknown_backend_is_refused() -> None:
    """There are two backends."""
    with pytest.raises(ValueError, match="use 'asyncio' or 'trio'"):
        virtual_time("curio")
