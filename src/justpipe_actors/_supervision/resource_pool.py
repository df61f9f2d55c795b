"""The resources of one owner: opened once, shared by count, closed after the last user.

::

    idle --lease--> waiting for backoff ----> opening --> open --(closing)--> closed
      ^               after failures           |          | broken, or ended
      |                                        | failed   v
      `--------- the next request -------------'    retired: no new leases; closed after
                                                    the last lease is released

A resource has incarnations, and one of them at a time takes new leases.  An incarnation
is one task: it enters the user's context manager, waits, and leaves it, so cancel scopes
and task groups inside are left in the task that entered them.  The task is shielded; only
its owner ends it.

Opening is *single flight*: all requests wait for the same attempt, and a cancelled
request does not affect the others.  When the attempt fails, all waiting requests get the
error, and the next request begins another attempt after a backoff that grows with every
failure.  An external outage is no reason to restart the process, so resources never
count towards their supervisor's restart intensity.

Retiring a resource also retires the resources that depend on it, as a session over a
broken connection is broken.  Existing leases stay valid until they are released.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from math import inf
from typing import TYPE_CHECKING

import anyio
import attrs

from .. import _supervision
from .._plan.plan import ResourceNode
from .._util.blocking_calls import BlockingReport, watch
from .._util.interrupts import disable_ki_protection, enable_ki_protection
from .._util.lazy_classes import define
from .._util.sync import REPORT_INTERVAL, refuse_task, wait_and_report
from .._util.user_errors import drop_engine_frames
from ..errors import ResourceUnavailable


if TYPE_CHECKING:
    from .resource import Incarnation, Lease, Resource, ResourceStatistics


_logger = logging.getLogger("justpipe_actors")


def _random_number() -> float:
    return _supervision.resource.random()  # few runs have a resource that fails


def _blocking_report(node: ResourceNode) -> BlockingReport:
    return BlockingReport(f"Resource '{node.name}'", node.func, resource=node.name)


@define(eq=False, repr=False)
class ResourcePool:
    """All resources of one owner."""

    spawn: Callable[..., object]
    """Starts a task that ends before its owner's block does."""
    now: Callable[[], float]
    """The loop's clock, in seconds."""
    jitter: Callable[[], float] = _random_number
    """Returns a random number from 0 to 1 for the backoff."""
    ends_by_cancellation: bool = False
    """True if the owner is the event loop, which ends by cancelling its tasks."""
    longer_lived: Callable[[], ResourcePool] | None = None
    """Returns the pool of resources shared between runs; None if this is that pool."""
    _resources: dict[object, Resource] = attrs.field(factory=dict, init=False)
    _incarnations: list[Incarnation] = attrs.field(factory=list, init=False)
    _is_closing: bool = attrs.field(default=False, init=False)

    # -- acquiring

    async def acquire(self, node: ResourceNode) -> Lease:
        """Wait until a resource is open, and lease it; the first request opens it.

        Raises:
            ResourceUnavailable: it cannot be opened, or its owner is closing.
        """
        resource = self._resource(node)
        while True:
            incarnation = resource.current or self._start(resource)
            if incarnation.is_open:
                incarnation.users += 1
                return _supervision.resource.Lease(incarnation, self._retire_reported)
            await incarnation.settled.wait()
            if incarnation.opened_at is None:
                raise incarnation.build_unavailable()

    async def acquire_shared(self, node: ResourceNode) -> Lease:
        """Lease a resource that outlives the requesting run, once it is open.

        Raises:
            ResourceUnavailable: it cannot be opened, or its owner is closing.
        """
        owner = self if self.longer_lived is None else self.longer_lived()
        return await owner.acquire(node)

    async def open(self, nodes: Iterable[ResourceNode]) -> None:
        """Open resources in order, before the first request.

        Raises:
            ResourceUnavailable: one of them cannot be opened.
        """
        for node in nodes:
            (await self.acquire(node)).release()

    def _resource(self, node: ResourceNode) -> Resource:
        found = self._resources.get(node.identity)
        if found is None:
            found = self._resources[node.identity] = _supervision.resource.Resource(
                node
            )
        return found

    # -- one incarnation

    def _start(self, resource: Resource) -> Incarnation:
        if self._is_closing:
            raise ResourceUnavailable(resource.node.name, "its owner is closing")
        incarnation = _supervision.resource.Incarnation(resource)
        self.spawn(self._run, incarnation)
        self._incarnations.append(incarnation)
        resource.current = incarnation
        resource.incarnations += 1
        return incarnation

    @enable_ki_protection
    async def _run(self, incarnation: Incarnation) -> None:
        resource, scope = incarnation.resource, incarnation.scope
        error: Exception | None = None
        try:
            with scope:
                await anyio.sleep(max(0.0, resource.due_at - self.now()))
                incarnation.state = _supervision.resource.ResourceState.OPENING
                scope.deadline = self.now() + resource.node.start_timeout
                await watch(
                    self._enter_and_wait(incarnation), _blocking_report(resource.node)
                )
            error = incarnation.end_reason(is_owner_closing=self._is_closing)
        except Exception as raised:  # noqa: BLE001 - a resource's failure is data
            error = drop_engine_frames(raised)
        except anyio.get_cancelled_exc_class() as cancelled:  # noqa: ASYNC103
            # The incarnation's scope catches its own cancellation, so the task was
            # cancelled natively.
            if not self.ends_by_cancellation:
                name = resource.node.name
                error = ResourceUnavailable(name, "its task was cancelled")
                error.__cause__ = cancelled
        finally:
            self._end(incarnation, error)

    @disable_ki_protection
    async def _enter_and_wait(self, incarnation: Incarnation) -> None:
        """Enter the user's context manager, wait until it is not needed, and leave it."""
        node = incarnation.resource.node
        values: dict[str, object] = {}
        for parameter, needed in node.dependencies.items():
            lease = await self.acquire(needed)
            incarnation.leases.append(lease)
            values[parameter] = lease.value
        async with _supervision.resource.open_manager(
            node, values
        ) as incarnation.value:
            self._mark_open(incarnation)
            await incarnation.close_requested.wait()
            incarnation.scope.deadline = self.now() + node.shutdown

    @enable_ki_protection
    def _mark_open(self, incarnation: Incarnation) -> None:
        incarnation.scope.deadline = inf
        incarnation.opened_at = self.now()
        # Move to the end: ``aclose`` closes resources in reverse opening order.
        self._incarnations.remove(incarnation)
        self._incarnations.append(incarnation)
        if not incarnation.is_retired:
            incarnation.state = _supervision.resource.ResourceState.OPEN
        incarnation.settled.set()

    def _end(self, incarnation: Incarnation, error: Exception | None) -> None:
        """Record that the task of an incarnation has ended."""
        was_open = incarnation.opened_at is not None
        if error is not None and was_open and incarnation.close_requested.is_set():
            name = incarnation.resource.node.name
            _logger.warning("Resource '%s' failed to close", name, exc_info=error)
        elif error is not None:
            self.retire(incarnation, error)
        for lease in reversed(incarnation.leases):
            lease.release()
        resource = incarnation.resource
        if incarnation.is_retired:
            resource.retired -= 1
        if resource.current is incarnation:
            resource.current = None
        incarnation.state = _supervision.resource.ResourceState.CLOSED
        incarnation.settled.set()
        incarnation.closed.set()
        self._incarnations.remove(incarnation)

    def _retire_reported(self, incarnation: Incarnation, error: Exception) -> None:
        """Retire a reported incarnation; no backoff, because opening worked."""
        self.retire(incarnation, error, is_reported=True)

    def retire(
        self, incarnation: Incarnation, error: Exception, *, is_reported: bool = False
    ) -> None:
        """Refuse new leases of an incarnation and of the incarnations that use it."""
        if incarnation.is_retired or self._is_closing:
            if incarnation.error is None:
                incarnation.error = error
            return
        if is_reported:
            incarnation.record_broken(error)
        else:
            incarnation.record_failure(error, self.now(), self.jitter())
        for retired in self._withdraw(incarnation):
            if retired.node.eager and retired.current is None:
                self._start(retired)

    def close_unneeded(self, nodes: Iterable[ResourceNode]) -> None:
        """Close resources that get no more requests, each after its last release."""
        for node in nodes:
            resource = self._resources.pop(node.identity, None)
            if resource is not None and resource.current is not None:
                self._withdraw(resource.current)

    def _withdraw(self, incarnation: Incarnation) -> list[Resource]:
        resource = incarnation.resource
        incarnation.is_retired = True
        resource.retired += 1
        if resource.current is incarnation:
            resource.current = None
        retired = [resource]
        for other in tuple(self._incarnations):
            if other.uses(incarnation) and not other.is_retired:
                retired += self._withdraw(other)
        if not incarnation.users:
            incarnation.close_requested.set()
        return retired

    # -- closing

    def release(self) -> None:
        """Release the references to the owner, which has ended (``ActorSystem.release``)."""
        self.spawn = refuse_task

    def stop_opening(self) -> bool:
        """Refuse to open resources; tell whether any remain to be closed."""
        self._is_closing = True
        return bool(self._incarnations)

    async def aclose(self) -> None:
        """Close all of them, the last opened first; the caller shields this."""
        self.stop_opening()
        opening = [
            incarnation
            for incarnation in self._incarnations
            if incarnation.opened_at is None
        ]
        for incarnation in opening:
            incarnation.scope.cancel()
        for incarnation in opening:
            await self._close(incarnation)
        while self._incarnations:
            await self._close(self._incarnations[-1])

    async def _close(self, incarnation: Incarnation) -> None:
        incarnation.close_requested.set()
        node = incarnation.resource.node
        await wait_and_report(
            incarnation.closed.wait,
            incarnation.closed.is_set,
            lambda: _logger.critical(
                "Resource '%s' was cancelled and does not close", node.name
            ),
            interval=node.shutdown + REPORT_INTERVAL,
        )

    def statistics(self) -> tuple[ResourceStatistics, ...]:
        """Return the statistics of every requested resource."""
        return tuple(resource.statistics() for resource in self._resources.values())
