"""Random children, random failures, any strategy: the invariants of supervision."""

from __future__ import annotations

from typing import get_args

import anyio
import attrs
import pytest
from anyio.abc import TaskGroup
from hypothesis import HealthCheck, example, given, settings, strategies as st

from justpipe_actors._supervision.child import ChildSpec, ChildState, ServiceStatus
from justpipe_actors._supervision.children import ChildOwner, Children
from justpipe_actors._supervision.restart_policy import Restart, RestartPolicy, Strategy
from justpipe_actors.errors import ChildStartFailed, SupervisionError


relaxed = settings(
    max_examples=150, suppress_health_check=list(HealthCheck), deadline=None
)

seconds = st.sampled_from([0.0, 0.05, 0.3, 1.0, 2.0])


@attrs.frozen
class Script:
    """How one incarnation of a child behaves."""

    ready_after: float | None
    """Seconds until it is ready; None is never, it fails instead."""
    lasts: float | None
    """Seconds it lives then; None is until it is stopped."""
    fails: bool
    """Whether it ends by failing."""
    listens: bool
    """Whether it ends by itself when it is asked to."""
    cleanup: float
    """Seconds its cleanup takes, whatever happens."""


scripts = st.builds(
    Script,
    ready_after=st.one_of(seconds, seconds, seconds, st.none()),
    lasts=st.one_of(st.none(), seconds),
    fails=st.booleans(),
    listens=st.booleans(),
    cleanup=seconds,
)


@attrs.define
class Troupe:
    """Children that follow their scripts, and a log of them."""

    order: list[str] = attrs.field(factory=list)
    alive: list[str] = attrs.field(factory=list)
    stopped: list[str] = attrs.field(factory=list)
    broken: list[str] = attrs.field(factory=list)
    is_closing: bool = False
    starting: frozenset[str] = frozenset()
    """Who was being started at the very moment at which the stopping began."""
    strategy: Strategy = "one_for_one"

    def spec(self, name: str, restart: Restart, lives: list[Script]) -> ChildSpec:
        """Return a child with these incarnations; after the last one it runs for ever."""
        self.order.append(name)
        queue = list(lives)

        async def live(task_status: ServiceStatus) -> None:
            script = queue.pop(0) if queue else Script(0, None, False, False, 0)
            self.begin(name)
            by_itself = False
            try:
                by_itself = await self.play(script, task_status)
            except ValueError:
                by_itself = True
                raise
            finally:
                # Who was told before, because it did not get ready, may still clean up.
                is_told = self.is_closing and not by_itself
                if not by_itself:
                    self.look_behind(name, "is told to end")
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(script.cleanup)
                self.alive.remove(name)
                if is_told:
                    self.stopped.append(name)

        return ChildSpec(name=name, func=live, restart=restart, start_timeout=1.5)

    def begin(self, name: str) -> None:
        """Note an incarnation; a child runs once at a time, and not while all are stopped."""
        if name in self.alive:
            self.broken.append(f"{name} lives twice")
        if self.is_closing and name not in self.starting:
            self.broken.append(f"{name} begins while all are stopped")
        self.look_behind(name, "begins")
        self.alive.append(name)

    def look_behind(self, name: str, does: str) -> None:
        """Note later children that still run though they depend on this one.

        What a child raises is data for its supervisor.
        """
        later = self.order[self.order.index(name) + 1 :]
        if self.strategy != "one_for_one" and (living := set(later) & set(self.alive)):
            self.broken.append(f"{name} {does} and {living} live")

    async def play(self, script: Script, task_status: ServiceStatus) -> bool:
        """Follow a script; return whether it ended by itself."""
        if script.ready_after is None:
            raise ValueError("never ready")
        await anyio.sleep(script.ready_after)
        task_status.started()
        with anyio.move_on_after(script.lasts):
            if script.listens:
                await task_status.stopping.wait()
                return False
            await anyio.sleep_forever()
        if script.fails:
            raise ValueError("at its end")
        return True


Cast = list[tuple[Restart, list[Script]]]


@attrs.define
class Stage:
    """Owner of the children until they are left."""

    troupe: Troupe
    """Who plays."""
    children: Children
    """Who watches them."""
    horizon: float
    """Seconds until it is left."""
    cancelled: bool = False
    """Whether it is left by being cancelled."""
    gave_up: list[SupervisionError] = attrs.field(factory=list)
    """Why supervision gave up."""
    failed_start: list[ChildStartFailed] = attrs.field(factory=list)
    """Why it never opened."""

    async def play(self) -> None:
        """Open, wait, and leave."""
        with anyio.move_on_after(self.horizon if self.cancelled else 1e6):
            async with anyio.create_task_group() as tasks:
                await self._block(tasks)

    async def _block(self, tasks: TaskGroup) -> None:
        def on_give_up(failure: SupervisionError) -> None:
            self.gave_up.append(failure)
            tasks.cancel_scope.cancel()

        owner = ChildOwner(tasks.start_soon, anyio.current_time, on_give_up)
        try:
            await self.children.open(owner)
        except ChildStartFailed as error:
            self.failed_start.append(error)
            return
        try:
            await anyio.sleep(1e9 if self.cancelled else self.horizon)
        finally:
            self.troupe.is_closing = True
            self.troupe.starting = frozenset(
                child.name
                for child in self.children
                if child.state is ChildState.STARTING
            )
            with anyio.CancelScope(shield=True):
                await self.children.aclose()


def stage(cast: Cast, policy: RestartPolicy, draw: float, horizon: float) -> Stage:
    """Return an owner of children c0, c1, ... in start order."""
    troupe = Troupe(strategy=policy.strategy)
    children = Children(policy, lambda: draw)
    for number, (restart, script) in enumerate(cast):
        children.add(troupe.spec(f"c{number}", restart, script))
    return Stage(troupe, children, horizon)


lives = st.tuples(st.sampled_from(get_args(Restart)), st.lists(scripts, max_size=4))


@pytest.mark.virtual_time
@relaxed
@example(  # it is restarted in the moment in which the stage is left
    cast=[("permanent", [Script(0.05, 0.3, False, False, 0.3)])],
    strategy="one_for_one",
    intensity=1,
    draw=0.0,
    horizon=0.7,
    cancelled=False,
)
@given(
    cast=st.lists(lives, min_size=1, max_size=5),
    strategy=st.sampled_from(get_args(Strategy)),
    intensity=st.integers(0, 4),
    draw=st.floats(0, 1),
    horizon=st.sampled_from([0.0, 0.1, 0.7, 3.0, 20.0]),
    cancelled=st.booleans(),
)
async def test_children_stop_in_reverse_and_leave_nothing(
    cast: Cast,
    strategy: Strategy,
    intensity: int,
    draw: float,
    horizon: float,
    cancelled: bool,
) -> None:
    """However it is left, all children have ended, the last started first."""
    policy = RestartPolicy(strategy=strategy, intensity=intensity)
    on = stage(cast, policy, draw, horizon)
    on.cancelled = cancelled

    await on.play()

    troupe = on.troupe
    assert troupe.broken == []
    assert troupe.alive == []
    assert troupe.stopped == sorted(
        troupe.stopped, key=troupe.order.index, reverse=True
    )
    failure = on.children.failure
    assert on.gave_up == ([failure] if failure else [])
    for error in [*on.gave_up, *on.failed_start]:
        assert isinstance(error, SupervisionError)


def dying(*, ready_after: float, cleanup: float) -> list[Script]:
    """Return a first incarnation that returns at once, and the behaviour of the second."""
    return [
        Script(0, 0, False, False, 0),
        Script(ready_after, None, False, False, cleanup),
    ]


@pytest.mark.virtual_time
async def test_a_child_that_is_restarting_is_stopped_after_its_successor() -> None:
    """A stop that interrupts a restart is still in reverse start order."""
    cast: Cast = [
        ("permanent", dying(ready_after=1.0, cleanup=0)),
        ("permanent", [Script(0, None, False, False, 2)]),
    ]
    on = stage(cast, RestartPolicy(strategy="one_for_one", intensity=1), 0, horizon=0.7)

    await on.play()

    assert on.troupe.stopped == ["c1", "c0"]
    assert [child.incarnation for child in on.children] == [2, 1]


@pytest.mark.virtual_time
async def test_a_child_whose_restart_took_too_long_is_waited_for_too() -> None:
    """It was told to stop before, so it has no place in the order, but it leaves nothing.

    c0 had 1.5 s to get ready and cleans up until 3.5; the stop begins at 3 and c1 needs
    a second.  Nothing can make c0 live again until c1 has ended.
    """
    cast: Cast = [
        ("permanent", dying(ready_after=2.0, cleanup=2)),
        ("permanent", [Script(0, None, False, False, 1)]),
    ]
    on = stage(cast, RestartPolicy(strategy="one_for_one", intensity=1), 0, horizon=3)

    await on.play()

    assert on.troupe.alive == []
    assert on.troupe.stopped == ["c1"]
