"""One resource: its incarnations, and the leases that keep one of them open.

This module holds counts and states and decides what a failure means; ``resource_pool``
opens, lends, retires and closes.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from enum import Enum
from math import inf
from random import random as random
from typing import Any, cast

import anyio
import attrs

from .._plan.plan import ResourceNode
from .._util.callables import (
    definition_of,
    is_async_generator_function,
    is_generator_function,
)
from .._util.lazy_classes import define, frozen
from .._util.text import safe_str
from ..errors import NoContextManager, ResourceUnavailable
from .restart_policy import backoff


MIN_DELAY = 0.1
"""Seconds before another attempt after the first failure."""

MAX_DELAY = 30.0
"""Maximum seconds before another attempt."""

STABLE_AFTER = 5.0
"""Seconds of being open after which earlier failures are forgotten."""

_logger = logging.getLogger("justpipe_actors")


class ResourceState(str, Enum):
    """Lifecycle state of a resource."""

    IDLE = "idle"
    WAITING = "waiting"
    OPENING = "opening"
    OPEN = "open"
    CLOSED = "closed"


@frozen
class ResourceStatistics:
    """Statistics of a resource; plain data."""

    name: str
    eager: bool
    """Whether it is opened before the first request."""
    state: ResourceState
    incarnation: int
    """Attempts to open it so far."""
    users: int
    """Leases of the current incarnation, held by calls and by other resources."""
    retired: int
    """Retired incarnations that still have leases or are closing."""
    last_error: str | None
    """Type and text of the last error while open or while opening."""


@define(eq=False, repr=False)
class Incarnation:
    """One opening of a resource, from the attempt to the end of its closing."""

    resource: Resource
    """The resource that it opens."""
    scope: anyio.CancelScope = attrs.field(
        factory=lambda: anyio.CancelScope(shield=True), init=False
    )
    """Scope of its task; its deadline limits opening, then closing."""
    state: ResourceState = attrs.field(default=ResourceState.WAITING, init=False)
    value: object = attrs.field(default=None, init=False)
    """The value that the context manager returned on entry."""
    opened_at: float | None = attrs.field(default=None, init=False)
    """When it finished opening, in the loop's seconds; None before."""
    error: Exception | None = attrs.field(default=None, init=False)
    """The error that broke it or kept it from opening."""
    users: int = attrs.field(default=0, init=False)
    """Leases that were not released."""
    is_retired: bool = attrs.field(default=False, init=False)
    """Whether new leases of it are refused."""
    leases: list[Lease] = attrs.field(factory=list, init=False)
    """Leases of the resources that it depends on."""
    settled: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    """Set when opening has succeeded or failed."""
    close_requested: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    """Set when it must close."""
    closed: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    """Set when its task has ended."""

    @property
    def name(self) -> str:
        """Name of the resource."""
        return self.resource.node.name

    @property
    def is_open(self) -> bool:
        """Whether it can be leased."""
        return self.state is ResourceState.OPEN

    def uses(self, other: Incarnation) -> bool:
        """Tell whether it depends on another incarnation."""
        return any(lease.incarnation is other for lease in self.leases)

    def end_reason(self, *, is_owner_closing: bool) -> Exception | None:
        """Return the error for an end without an exception; None if the end is normal."""
        node = self.resource.node
        if self.opened_at is None:
            if is_owner_closing:
                return ResourceUnavailable(node.name, "its owner is closing")
            return TimeoutError(f"it was not open within {node.start_timeout:g}s")
        if not self.close_requested.is_set():
            return ResourceUnavailable(node.name, "it ended by itself")
        if self.scope.cancelled_caught:
            _logger.warning(
                "Resource '%s' did not close within %gs and was cancelled",
                node.name,
                node.shutdown,
            )
        return None

    def record_broken(self, error: Exception) -> None:
        """Record a report that it is broken; no backoff, because opening worked."""
        self.resource.failures_in_row = 0
        self.resource.due_at = -inf
        self.resource.error = self.error = error
        _logger.warning(
            "Resource '%s' is broken; it is opened again for its next user",
            self.name,
            exc_info=error,
            extra={"resource": self.name, "attempt": self.resource.incarnations},
        )

    def record_failure(self, error: Exception, now: float, jitter: float) -> None:
        """Record the failure, and when the next attempt may begin."""
        resource, opened = self.resource, self.opened_at
        is_fresh = opened is not None and now - opened >= STABLE_AFTER
        resource.failures_in_row = 1 if is_fresh else resource.failures_in_row + 1
        wait = backoff(
            resource.failures_in_row, jitter, min_delay=MIN_DELAY, max_delay=MAX_DELAY
        )
        resource.due_at = now + wait
        resource.error = self.error = error
        _logger.warning(
            "Resource '%s' %s; it may be opened again in %.1fs",
            self.name,
            "could not be opened" if opened is None else "is broken",
            wait,
            exc_info=error,
            extra={"resource": self.name, "attempt": resource.incarnations},
        )

    def build_unavailable(self) -> ResourceUnavailable:
        """Return the error that one waiting caller gets for this attempt."""
        error = self.error
        if isinstance(error, ResourceUnavailable) and error.resource == self.name:
            return ResourceUnavailable(self.name, error.reason)
        reason = "it was closed" if error is None else safe_str(error, typed=True)
        unavailable = ResourceUnavailable(self.name, reason)
        unavailable.__cause__ = error
        return unavailable


@define(eq=False, repr=False)
class Resource:
    """One resource of one owner, over all its incarnations."""

    node: ResourceNode
    current: Incarnation | None = attrs.field(default=None, init=False)
    """The incarnation that new leases use."""
    incarnations: int = attrs.field(default=0, init=False)
    """Attempts to open it so far."""
    retired: int = attrs.field(default=0, init=False)
    """Retired incarnations that still have leases or are closing."""
    failures_in_row: int = attrs.field(default=0, init=False)
    """Consecutive failures; they lengthen the backoff."""
    due_at: float = attrs.field(default=-inf, init=False)
    """When the next attempt may begin, in the loop's seconds."""
    error: Exception | None = attrs.field(default=None, init=False)
    """The error of the last failure; None before the first."""

    def statistics(self) -> ResourceStatistics:
        """Return the statistics of this resource."""
        now = self.current
        return ResourceStatistics(
            name=self.node.name,
            eager=self.node.eager,
            state=now.state if now is not None else ResourceState.IDLE,
            incarnation=self.incarnations,
            users=now.users if now is not None else 0,
            retired=self.retired,
            last_error=None if self.error is None else safe_str(self.error, typed=True),
        )


@define(eq=False, repr=False)
class Lease:
    """One use of an incarnation."""

    incarnation: Incarnation
    """The incarnation that is used."""
    on_broken: Callable[[Incarnation, Exception], None]
    """Called when the user reports the incarnation as broken."""
    _is_over: bool = attrs.field(default=False, init=False)

    @property
    def value(self) -> object:
        """The value that the resource's context manager returned on entry."""
        return self.incarnation.value

    def release(self) -> None:
        """End the use; further calls have no effect."""
        if self._is_over:
            return
        self._is_over = True
        self.incarnation.users -= 1
        if self.incarnation.is_retired and not self.incarnation.users:
            self.incarnation.close_requested.set()

    def report_broken(self, error: Exception) -> None:
        """Retire this incarnation: no new leases, closed after the last release."""
        self.on_broken(self.incarnation, error)


def open_manager(
    node: ResourceNode, values: dict[str, object]
) -> AbstractAsyncContextManager[object]:
    """Call the user's function and return its context manager."""
    func: Any = node.func
    if not isinstance(func, type) and is_async_generator_function(func):
        func = contextlib.asynccontextmanager(func)
    elif not isinstance(func, type) and is_generator_function(func):
        func = contextlib.contextmanager(func)
    manager: Any = func(**values)
    if hasattr(manager, "__aenter__") and hasattr(manager, "__aexit__"):
        return cast("AbstractAsyncContextManager[object]", manager)
    if hasattr(manager, "__enter__") and hasattr(manager, "__exit__"):
        return _entered(manager)
    raise NoContextManager(node.name, definition_of(func), _kind_of_result(manager))


def _kind_of_result(result: object) -> str:
    """Return what the function of a resource returned, in place of a context manager."""
    if not inspect.iscoroutine(result):
        return type(result).__name__
    result.close()  # it would warn that it was never awaited
    return "coroutine"


@contextlib.asynccontextmanager
async def _entered(manager: AbstractContextManager[object]) -> AsyncGenerator[object]:
    with manager as value:
        yield value
