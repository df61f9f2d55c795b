"""Children are started in order, restarted by policy and stopped in reverse."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from justpipe_actors._supervision.child import ChildSpec, ChildState, ServiceStatus
from justpipe_actors._supervision.children import Children
from justpipe_actors._supervision.restart_policy import RestartPolicy, Strategy
from justpipe_actors.errors import (
    ChildEnded,
    ChildStartFailed,
    DefinitionError,
    RestartIntensityExceeded,
)

from .stage import Stage, steady


pytestmark = pytest.mark.virtual_time


async def settle() -> None:
    """Let all tasks run until they wait; the second is virtual."""
    await anyio.sleep(1)


async def test_children_start_in_order_and_stop_in_reverse() -> None:
    """Each child starts when the one before is ready, and stops when the one after has ended."""
    stage = Stage()

    async def slow(task_status: ServiceStatus) -> None:
        stage.log.append("+slow")
        await anyio.sleep(5)
        stage.log.append("slow is ready")
        task_status.started()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(5)
            stage.log.append("-slow")

    async def body() -> None:
        stage.log.append("body")

    await stage.live(
        steady(),
        body,
        stage.player("a"),
        ChildSpec(name="slow", func=slow),
        stage.player("c"),
    )

    assert stage.log == [
        *("+a", "+slow", "slow is ready", "+c", "body"),
        *("-c", "-slow", "-a"),
    ]


async def test_an_outer_cancellation_stops_children_in_reverse() -> None:
    """A plain task group would cancel all at once, a dependency before its users."""
    stage = Stage()

    async def lingering(task_status: ServiceStatus) -> None:
        task_status.started()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(3)
            stage.log.append("-user")

    with anyio.move_on_after(10):
        await stage.live(
            steady(),
            anyio.sleep_forever,
            stage.player("dependency"),
            ChildSpec(name="user", func=lingering),
        )

    assert stage.log == ["+dependency", "-user", "-dependency"]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("one_for_one", "-b +b"),
        ("rest_for_one", "-b -d -c +b +c +d"),
        ("one_for_all", "-b -d -c -a +a +b +c +d"),
    ],
)
async def test_a_failure_restarts_siblings_by_strategy(
    strategy: Strategy, expected: str
) -> None:
    """The affected siblings stop in reverse order and start in order."""
    stage = Stage()
    seen: list[str] = []

    async def body() -> None:
        stage.log.clear()
        stage.break_now["b"].set()
        await settle()
        seen.extend(stage.log)

    players = [stage.player(name) for name in "abcd"]
    await stage.live(steady(strategy=strategy), body, *players)

    assert " ".join(seen) == expected
    assert stage.log[len(seen) :] == ["-d", "-c", "-b", "-a"]


async def test_restart_delays_grow_and_are_reset_after_a_long_life() -> None:
    """The delays are 0.1, 0.2 and 0.4 s after short lives, and 0.1 s again after a long one."""
    ended: list[float] = []
    waits: list[float] = []
    lives = iter([0.0, 0.0, 0.0, 100.0, 1e6])

    async def moody() -> None:
        if ended:
            waits.append(anyio.current_time() - ended[-1])
        await anyio.sleep(next(lives))
        ended.append(anyio.current_time())
        raise ValueError("again")

    await Stage().live(
        steady(intensity=10, period=20),
        lambda: anyio.sleep(200),
        ChildSpec(name="moody", func=moody),
    )

    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.1])


async def test_ends_are_handled_while_another_child_waits_for_its_restart() -> None:
    """The delay of one child does not delay decisions about the others."""
    stage = Stage()
    begins: dict[str, list[float]] = {"slow": [], "quick": []}

    def failing(name: str, first: float) -> ChildSpec:
        async def fail() -> None:
            begins[name].append(anyio.current_time())
            await anyio.sleep(first if len(begins[name]) == 1 else 1e6)
            raise ValueError(name)

        return ChildSpec(name=name, func=fail)

    children = Children(
        RestartPolicy(intensity=3, period=1000, min_delay=100, max_delay=100),
        jitter=lambda: 0.0,
    )
    began = anyio.current_time()
    await stage.live(
        children,
        lambda: anyio.sleep(500),
        failing("slow", 0),
        failing("quick", 50),
    )

    assert [t - began for t in begins["slow"]] == pytest.approx([0, 100])
    assert [t - began for t in begins["quick"]] == pytest.approx([0, 150])


@pytest.mark.parametrize(
    ("restart", "lives_after_return", "lives_after_failure"),
    [("permanent", 2, 2), ("transient", 1, 2), ("temporary", 1, 1)],
)
async def test_restart_types_decide_which_ends_restart_a_child(
    restart: Any, lives_after_return: int, lives_after_failure: int
) -> None:
    """Permanent children restart always, transient ones after a failure, temporary ones never."""
    lives = {"return": 0, "fail": 0}

    async def returns() -> None:
        lives["return"] += 1
        if lives["return"] > 1:
            await anyio.sleep_forever()

    async def fails() -> None:
        lives["fail"] += 1
        if lives["fail"] > 1:
            await anyio.sleep_forever()
        raise ValueError("no")

    await Stage().live(
        steady(),
        settle,
        ChildSpec(name="returns", func=returns, restart=restart),
        ChildSpec(name="fails", func=fails, restart=restart),
    )

    assert lives == {"return": lives_after_return, "fail": lives_after_failure}


async def test_the_name_of_an_ended_temporary_child_can_be_used_again() -> None:
    """Ended temporary children are removed, so adding them for ever leaks nothing."""
    stage = Stage()
    children = steady()
    done: list[int] = []

    async def body() -> None:
        for number in range(20):

            async def job(number: int = number) -> None:
                done.append(number)

            children.add(ChildSpec(name="job", func=job, restart="temporary"))
            await settle()
        assert children.statistics() == ()

    await stage.live(children, body)

    assert done == list(range(20))


async def test_too_many_ends_are_raised_with_their_cause() -> None:
    """The fourth failure within the period is raised to the owner, with the child's error
    as cause.
    """
    lives: list[int] = []
    stage = Stage()
    children = steady(intensity=3, period=5)

    async def hopeless() -> None:
        lives.append(1)
        raise KeyError("config")

    await stage.live(
        children,
        settle,
        stage.player("a"),
        ChildSpec(name="hopeless", func=hopeless),
    )

    (failure,) = stage.failures
    assert failure is children.failure
    assert isinstance(failure, RestartIntensityExceeded)
    assert (failure.child, failure.restarts, failure.period) == ("hopeless", 4, 5)
    assert isinstance(failure.__cause__, KeyError)
    assert len(lives) == 4
    assert stage.log == ["+a", "-a"]


async def test_a_permanent_child_that_returns_too_often_is_raised_too() -> None:
    """There is no exception, so the cause says that the child returned."""
    stage = Stage()

    async def hasty() -> None:
        return

    await stage.live(steady(intensity=0), settle, ChildSpec(name="hasty", func=hasty))

    assert isinstance(stage.failures[0].__cause__, ChildEnded)


# -- stopping


async def test_a_child_that_uses_stopping_gets_time_to_end() -> None:
    """A child that waits for ``stopping`` ends by itself and is not cancelled."""
    log: list[str] = []

    async def polite(task_status: ServiceStatus) -> None:
        task_status.started()
        await task_status.stopping.wait()
        await anyio.sleep(4)
        log.append("finished")

    began = anyio.current_time()
    spec = ChildSpec(name="polite", func=polite, shutdown=5)
    await Stage().live(steady(), anyio.lowlevel.checkpoint, spec)

    assert log == ["finished"]
    assert anyio.current_time() - began == pytest.approx(4)


async def test_a_child_that_exceeds_its_shutdown_time_is_cancelled() -> None:
    """It is cancelled ``shutdown`` seconds after it was asked to stop."""
    log: list[object] = []

    async def slow(task_status: ServiceStatus) -> None:
        task_status.started()
        await task_status.stopping.wait()
        try:
            await anyio.sleep_forever()
        finally:
            log.append(anyio.current_time() - began)

    began = anyio.current_time()
    spec = ChildSpec(name="slow", func=slow, shutdown=7)
    await Stage().live(steady(), anyio.lowlevel.checkpoint, spec)

    assert log == pytest.approx([7])


async def test_a_child_that_does_not_use_stopping_is_cancelled_at_once() -> None:
    """Stopping does not wait five seconds for a child that ignores ``stopping``."""
    began = anyio.current_time()
    spec = ChildSpec(name="deaf", func=anyio.sleep_forever, shutdown=5)
    await Stage().live(steady(), anyio.lowlevel.checkpoint, spec)

    assert anyio.current_time() == began


async def test_a_child_that_ignores_its_cancellation_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log names the child and the line where it waits, and stopping waits for it."""

    async def stubborn() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(25)

    spec = ChildSpec(name="stubborn", func=stubborn, restart="temporary")
    began = anyio.current_time()
    await Stage().live(steady(), anyio.lowlevel.checkpoint, spec)

    complaints = [r for r in caplog.records if r.levelno == logging.CRITICAL]
    assert len(complaints) == 2
    assert "'stubborn' was cancelled and does not end" in complaints[0].message
    assert "test_children.py:" in complaints[0].message
    assert "stubborn > " in complaints[0].message
    assert anyio.current_time() - began == pytest.approx(25)


async def test_an_error_while_stopping_is_logged_and_the_rest_is_stopped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The other children are stopped all the same."""
    stage = Stage()

    async def sore() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("sore")

    await stage.live(
        steady(), settle, stage.player("a"), ChildSpec(name="sore", func=sore)
    )

    assert stage.log == ["+a", "-a"]
    assert "'sore' failed while it stopped" in caplog.text


# -- starting


async def no(task_status: ServiceStatus) -> None:
    """Fail before being ready."""
    raise KeyError("no")


async def never(task_status: ServiceStatus) -> None:
    """Never get ready."""
    await anyio.sleep_forever()


async def silent(task_status: ServiceStatus) -> None:
    """Return without ever having been ready."""


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        (no, "KeyError: 'no'"),
        (never, "it was not ready within 3s"),
        (silent, "it returned before it called task_status.started()"),
        (lambda: None, "TypeError: A service must be an async function"),
    ],
)
async def test_a_failed_start_is_raised_to_the_starter(
    service: Any, reason: str
) -> None:
    """The children before are stopped, and those after never begin."""
    stage = Stage()
    bad = ChildSpec(name="bad", func=service, start_timeout=3)

    with pytest.raises(ExceptionGroup) as caught:
        await stage.live(steady(), settle, stage.player("a"), bad, stage.player("c"))

    (error,) = caught.value.exceptions
    assert isinstance(error, ChildStartFailed)
    assert error.child == "bad"
    assert error.reason.startswith(reason)
    assert stage.log == ["+a", "-a"]


async def test_a_cancelled_start_stops_the_started_children() -> None:
    """No child is left when the task that opens them is cancelled."""
    stage = Stage()
    with anyio.move_on_after(1) as scope:
        await stage.live(
            steady(), settle, stage.player("a"), ChildSpec(name="never", func=never)
        )

    assert scope.cancelled_caught
    assert stage.log == ["+a", "-a"]


async def test_a_restart_that_fails_to_start_counts() -> None:
    """A failed start is the child's next failure, and at last there are too many."""
    starts: list[float] = []
    stage = Stage()

    async def once(task_status: ServiceStatus) -> None:
        starts.append(anyio.current_time())
        if len(starts) > 1:
            raise KeyError("gone")
        task_status.started()

    children = steady(intensity=2, period=100)
    await stage.live(children, settle, ChildSpec(name="once", func=once))

    assert len(starts) == 3
    assert isinstance(stage.failures[0].__cause__, ChildStartFailed)
    assert isinstance(stage.failures[0].__cause__.__cause__, KeyError)


async def test_children_can_be_added_while_others_run() -> None:
    """New children are last in order, so they stop first; a name is taken only once."""
    stage = Stage()
    children = steady()

    async def body() -> None:
        children.add(stage.player("late"))
        with pytest.raises(DefinitionError, match="service 'late' already"):
            children.add(stage.player("late"))
        await settle()

    await stage.live(children, body, stage.player("early"))

    assert stage.log == ["+early", "+late", "-late", "-early"]


async def test_a_late_child_that_does_not_start_is_treated_as_ended() -> None:
    """No caller waits for it, so the restart policy handles the failure like any other end."""
    stage = Stage()
    children = steady(intensity=0)

    async def body() -> None:
        children.add(ChildSpec(name="no", func=no, restart="temporary"))
        await settle()
        assert not stage.failures
        children.add(ChildSpec(name="no", func=no))
        await settle()

    await stage.live(children, body)

    assert isinstance(stage.failures[0], RestartIntensityExceeded)


# -- looking


async def test_statistics_tell_the_state_of_each_child() -> None:
    """Name, state, incarnation, restarts within the period, last error, time of the last
    change.
    """
    stage = Stage()
    children = steady(period=5)
    assert children.statistics() == ()

    async def body() -> None:
        stage.break_now["b"].set()
        await anyio.sleep(3)
        a, b, job = children.statistics()
        assert (a.name, a.state, a.incarnation, a.restarts, a.last_error) == (
            "a",
            ChildState.RUNNING,
            1,
            0,
            None,
        )
        assert (b.name, b.state, b.incarnation, b.restarts, b.last_error) == (
            "b",
            ChildState.RUNNING,
            2,
            1,
            "ValueError: b broke",
        )
        assert b.since - a.since == pytest.approx(0.1)
        assert job.state is ChildState.FINISHED
        await anyio.sleep(5)
        assert children.statistics()[1].restarts == 0

    async def job() -> None:
        return

    await stage.live(
        children,
        body,
        stage.player("a"),
        stage.player("b"),
        ChildSpec(name="job", func=job, restart="transient"),
    )

    assert {one.state for one in children.statistics()[:2]} == {ChildState.STOPPED}
