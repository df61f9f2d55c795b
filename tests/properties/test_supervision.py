"""Random children, random failures, any strategy: what supervision always keeps."""

from __future__ import annotations

from typing import get_args

import anyio
import attrs
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from justpipe_actors._actors.child import ChildSpec
from justpipe_actors._actors.life import ServiceStatus
from justpipe_actors._actors.restarts import Policy, Restart, Strategy
from justpipe_actors._actors.supervision import Children, Owner
from justpipe_actors.errors import ChildStartFailed, SupervisionError


relaxed = settings(
    max_examples=150, suppress_health_check=list(HealthCheck), deadline=None
)

seconds = st.sampled_from([0.0, 0.05, 0.3, 1.0, 2.0])


@attrs.frozen
class Script:
    """How one life of a child goes."""

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
    """Children that follow their scripts, and what is known about them."""

    order: list[str] = attrs.field(factory=list)
    alive: list[str] = attrs.field(factory=list)
    stopped: list[str] = attrs.field(factory=list)
    is_closing: bool = False
    is_open: bool = False
    strategy: Strategy = "one_for_one"

    def spec(self, name: str, restart: Restart, lives: list[Script]) -> ChildSpec:
        """Return a child with these lives; after the last it lives for ever."""
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
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(script.cleanup)
                self.alive.remove(name)
                if self.is_closing and not by_itself:
                    self.stopped.append(name)

        return ChildSpec(name=name, func=live, restart=restart, start_timeout=1.5)

    def begin(self, name: str) -> None:
        """Note a life; nobody lives twice at once, and nobody without its elders."""
        assert name not in self.alive
        assert not self.is_closing
        if self.strategy != "one_for_one":
            later = self.order[self.order.index(name) + 1 :]
            assert not set(later) & set(self.alive)
        self.alive.append(name)

    async def play(self, script: Script, task_status: ServiceStatus) -> bool:
        """Follow a script; return whether it came to its own end."""
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


lives = st.tuples(st.sampled_from(get_args(Restart)), st.lists(scripts, max_size=4))


@pytest.mark.virtual_time
@relaxed
@given(
    cast=st.lists(lives, min_size=1, max_size=5),
    strategy=st.sampled_from(get_args(Strategy)),
    intensity=st.integers(0, 4),
    draw=st.floats(0, 1),
    horizon=st.sampled_from([0.0, 0.1, 0.7, 3.0, 20.0]),
    cancelled=st.booleans(),
)
async def test_children_stop_in_reverse_and_leave_nothing(
    cast: list[tuple[Restart, list[Script]]],
    strategy: Strategy,
    intensity: int,
    draw: float,
    horizon: float,
    cancelled: bool,
) -> None:
    """However it is left, every child has ended once it is, the last started first."""
    troupe = Troupe(strategy=strategy)
    children = Children(Policy(strategy=strategy, intensity=intensity), lambda: draw)
    for number, (restart, script) in enumerate(cast):
        children.add(troupe.spec(f"c{number}", restart, script))
    gave_up: list[SupervisionError] = []
    failed_start: list[BaseException] = []

    async def block() -> None:
        async with anyio.create_task_group() as tasks:

            def on_give_up(failure: SupervisionError) -> None:
                gave_up.append(failure)
                tasks.cancel_scope.cancel()

            owner = Owner(tasks.start_soon, anyio.current_time, on_give_up)
            try:
                await children.open(owner)
            except ChildStartFailed as error:
                failed_start.append(error)
                return
            try:
                await anyio.sleep(1e9 if cancelled else horizon)
            finally:
                troupe.is_closing = True
                with anyio.CancelScope(shield=True):
                    await children.aclose()

    with anyio.move_on_after(horizon if cancelled else 1e6):
        await block()

    assert troupe.alive == []
    assert troupe.stopped == sorted(
        troupe.stopped, key=troupe.order.index, reverse=True
    )
    assert len(gave_up) <= 1
    assert gave_up == ([children.failure] if children.failure else [])
    for error in [*gave_up, *failed_start]:
        assert isinstance(error, SupervisionError)
