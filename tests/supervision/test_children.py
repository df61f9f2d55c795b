"""Children: started in order, restarted by policy, stopped in reverse, never lost."""

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
    """Let everybody run on, for a second that takes no time."""
    await anyio.sleep(1)


async def test_children_start_in_order_and_stop_in_reverse() -> None:
    """Each begins when the one before is ready, and ends when the one after has ended."""
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


async def test_outer_cancellation_stops_in_reverse_too() -> None:
    """A plain task group would end all three at once, the dependency before its users."""
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
async def test_strategies(strategy: Strategy, expected: str) -> None:
    """When b breaks, its neighbours end backwards and come back forwards, by strategy."""
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


async def test_restarts_wait_longer_each_time_and_start_over_after_a_long_life() -> (
    None
):
    """The waits are 0.1, 0.2 and 0.4 s for short lives, and 0.1 s again after a long one."""
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


async def test_other_ends_are_judged_while_a_child_waits_for_its_restart() -> None:
    """The watch does not sleep through the wait of one child."""
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
async def test_restart_types(
    restart: Any, lives_after_return: int, lives_after_failure: int
) -> None:
    """Permanent comes back always, transient after a failure, temporary never."""
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


async def test_a_temporary_child_frees_its_name() -> None:
    """A child that is gone for good is forgotten, so adding them for ever leaks nothing."""
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
    """The fourth end within the period is given to the owner, caused by what happened."""
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


async def test_a_permanent_child_that_keeps_returning_is_too_much_as_well() -> None:
    """There is no exception to name as the cause, so the return is."""
    stage = Stage()

    async def hasty() -> None:
        return

    await stage.live(steady(intensity=0), settle, ChildSpec(name="hasty", func=hasty))

    assert isinstance(stage.failures[0].__cause__, ChildEnded)


# -- stopping


async def test_who_listens_is_asked_and_given_time() -> None:
    """A service that looks at ``stopping`` ends by itself and is not cancelled."""
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


async def test_who_takes_too_long_is_cancelled() -> None:
    """After its ``shutdown`` seconds asking turns into cancelling."""
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


async def test_who_does_not_listen_is_cancelled_at_once() -> None:
    """Nobody waits five seconds for a service that was never going to hear."""
    began = anyio.current_time()
    spec = ChildSpec(name="deaf", func=anyio.sleep_forever, shutdown=5)
    await Stage().live(steady(), anyio.lowlevel.checkpoint, spec)

    assert anyio.current_time() == began


async def test_who_is_stuck_is_named_with_its_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A child that ignores its cancellation is complained about, and waited for."""

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


async def test_an_error_while_stopping_is_logged_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The others are stopped all the same."""
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
async def test_a_failed_start_is_the_starters_exception(
    service: Any, reason: str
) -> None:
    """Nothing stays up: the children before are stopped, those after never begin."""
    stage = Stage()
    bad = ChildSpec(name="bad", func=service, start_timeout=3)

    with pytest.raises(ExceptionGroup) as caught:
        await stage.live(steady(), settle, stage.player("a"), bad, stage.player("c"))

    (error,) = caught.value.exceptions
    assert isinstance(error, ChildStartFailed)
    assert error.child == "bad"
    assert error.reason.startswith(reason)
    assert stage.log == ["+a", "-a"]


async def test_a_start_that_is_cancelled_leaves_nothing() -> None:
    """Whoever gives up opening has the started ones stopped."""
    stage = Stage()
    with anyio.move_on_after(1) as scope:
        await stage.live(
            steady(), settle, stage.player("a"), ChildSpec(name="never", func=never)
        )

    assert scope.cancelled_caught
    assert stage.log == ["+a", "-a"]


async def test_a_restart_that_fails_to_start_counts() -> None:
    """A late start failure is the child's next end, and in the end too many of them."""
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
    """They start behind the others and stop before them; a name is taken only once."""
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
    """Nobody waits for it, so its failure is judged like any other end."""
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


async def test_statistics_tell_the_whole_state() -> None:
    """Name, state, incarnation, restarts within the period, last error, since when."""
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
