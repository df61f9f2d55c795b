"""Random users of resources that need resources: the invariants of sharing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import attrs
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from justpipe_actors._plan.plan import ResourceNode
from justpipe_actors._supervision.resource_pool import ResourcePool
from justpipe_actors.errors import ResourceUnavailable


relaxed = settings(
    max_examples=150, suppress_health_check=list(HealthCheck), deadline=None
)
seconds = st.sampled_from([0.0, 0.05, 0.4, 1.0, 6.0])


@attrs.frozen
class Visit:
    """One use of one resource."""

    comes: float
    """When it asks, in seconds."""
    wants: int
    """Which resource."""
    stays: float
    """Seconds it uses it."""
    breaks: bool
    """Whether it says then that it is broken."""
    patience: float | None
    """Seconds after which it is cancelled, wherever it is."""


visits = st.builds(
    Visit,
    comes=seconds,
    wants=st.integers(0, 3),
    stays=seconds,
    breaks=st.booleans(),
    patience=st.one_of(st.none(), seconds),
)


@attrs.define(eq=False)
class Value:
    """The value of an open resource."""

    name: int
    below: tuple[Value, ...]
    is_open: bool = True


@attrs.define
class Town:
    """Resources 0 to 3, each of which needs some with lower numbers, and a log of them."""

    opening: list[float]
    closing: list[float]
    dies_after: list[float | None]
    fails: list[int]
    open_now: list[Value] = attrs.field(factory=list)
    opened: int = 0
    closed: int = 0
    violations: int = 0
    at_work: int = 0
    nodes: list[ResourceNode] = attrs.field(factory=list)

    @property
    def can_die(self) -> bool:
        """Whether resources may end by themselves while they are used."""
        return any(instance is not None for instance in self.dies_after)

    def check(self, is_well: bool) -> None:
        """Note a violation; an exception would only be a failure of the resource."""
        self.violations += not is_well

    def build(self, dependencies: list[list[int]], eager: list[bool]) -> None:
        """Make the nodes."""
        for number in range(4):
            below = {f"r{n}": self.nodes[n] for n in dependencies[number] if n < number}
            node = ResourceNode(
                name=f"r{number}",
                func=self.function(number),
                dependencies=below,
                eager=eager[number],
                shutdown=2.0,
                start_timeout=3.0,
            )
            self.nodes.append(node)

    def function(self, number: int) -> Any:
        """Return the function of one resource."""

        async def resource(**below: Value) -> AsyncIterator[Value]:
            self.check(all(one.is_open for one in below.values()) or self.can_die)
            await anyio.sleep(self.opening[number])
            if self.fails[number]:
                self.fails[number] -= 1
                raise ConnectionError(str(number))
            self.check(all(one.is_open for one in below.values()) or self.can_die)
            value = Value(number, tuple(below.values()))
            self.opened += 1
            self.open_now.append(value)
            try:
                async with anyio.create_task_group() as tasks:
                    if (instance := self.dies_after[number]) is not None:
                        tasks.start_soon(self.die, instance)
                    yield value
                    tasks.cancel_scope.cancel()
            finally:
                self.close(value)
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(self.closing[number])

        return resource

    def close(self, value: Value) -> None:
        """Note that a resource has closed; the ones that need it must have closed before."""
        standing = [other for other in self.open_now if value in other.below]
        self.check(not standing or self.can_die)
        value.is_open = False
        self.open_now.remove(value)
        self.closed += 1

    async def visit(self, resources: ResourcePool, one: Visit) -> None:
        """Use one resource as told, and release it twice."""
        await anyio.sleep(one.comes)
        with anyio.move_on_after(one.patience):
            try:
                lease = await resources.acquire(self.nodes[one.wants])
            except ResourceUnavailable:
                return
            value = lease.value
            assert isinstance(value, Value)
            assert value.is_open or self.can_die
            self.at_work += 1
            try:
                await anyio.sleep(one.stays)
                assert value.is_open or self.can_die
                if one.breaks:
                    lease.report_broken(ConnectionError("broken"))
                    assert value.is_open or self.can_die
            finally:
                self.at_work -= 1
                lease.release()
                lease.release()

    async def die(self, instance: float) -> None:
        """Fail in the background."""
        await anyio.sleep(instance)
        raise EOFError("died")


@pytest.mark.virtual_time
@relaxed
@given(
    dependencies=st.lists(
        st.lists(st.integers(0, 3), max_size=3, unique=True), min_size=4, max_size=4
    ),
    eager=st.lists(st.booleans(), min_size=4, max_size=4),
    opening=st.lists(seconds, min_size=4, max_size=4),
    closing=st.lists(seconds, min_size=4, max_size=4),
    dies_after=st.lists(
        st.one_of(st.none(), st.none(), seconds), min_size=4, max_size=4
    ),
    fails=st.lists(st.integers(0, 2), min_size=4, max_size=4),
    crowd=st.lists(visits, max_size=12),
    horizon=st.sampled_from([0.1, 1.0, 5.0, 50.0]),
    cancelled=st.booleans(),
)
async def test_resources_are_shared_replaced_and_closed(
    dependencies: list[list[int]],
    eager: list[bool],
    opening: list[float],
    closing: list[float],
    dies_after: list[float | None],
    fails: list[int],
    crowd: list[Visit],
    horizon: float,
    cancelled: bool,
) -> None:
    """No closed one is leased, dependents close first, and each closes once."""
    town = Town(opening, closing, dies_after, fails)
    town.build(dependencies, eager)

    async def block() -> None:
        async with anyio.create_task_group() as owner:
            resources = ResourcePool(owner.start_soon, anyio.current_time, lambda: 0.5)
            try:
                async with anyio.create_task_group() as tasks:
                    for one in crowd:
                        tasks.start_soon(town.visit, resources, one)
                    if cancelled:
                        await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await resources.aclose()
            with pytest.raises(ResourceUnavailable, match="owner is closing"):
                await resources.acquire(town.nodes[0])
            assert all(
                one.users == 0 and one.retired == 0 for one in resources.statistics()
            )

    with anyio.move_on_after(horizon if cancelled else 1e6):
        await block()

    assert town.at_work == town.violations == 0
    assert town.open_now == []
    assert town.opened == town.closed
