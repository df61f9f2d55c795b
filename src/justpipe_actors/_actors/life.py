"""One life of a service: what it is handed, and how it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from math import inf
from typing import Any

import anyio
import attrs
from trio.lowlevel import disable_ki_protection


class ServiceStatus:
    """What a service is handed: to say that it is ready, and to hear that it must stop."""

    __slots__ = ("_on_started", "_stopping", "is_heard")

    def __init__(self, on_started: Callable[[], None]) -> None:
        self._on_started = on_started
        self._stopping = anyio.Event()
        self.is_heard = False
        """Whether the service listens, and will end by itself when asked to."""

    def started(self, value: object = None) -> None:
        """Say that the service is ready; the next one is started only then.

        Args:
            value: accepted as ``anyio``'s ``TaskStatus`` does, and not used.
        """
        self._on_started()

    @property
    def stopping(self) -> anyio.Event:
        """Set when the service is to end.

        Whoever looks at this is expected to end by itself within its ``shutdown``
        seconds; a service that never does is cancelled without being asked.
        """
        self.is_heard = True
        return self._stopping

    def ask(self) -> None:
        """Ask the service to end."""
        self._stopping.set()


@attrs.define(eq=False, repr=False)
class Life:
    """One incarnation of a child."""

    now: Callable[[], float]
    """The loop's clock, in seconds."""
    scope: anyio.CancelScope = attrs.field(
        factory=lambda: anyio.CancelScope(shield=True), init=False
    )
    """Ends it; nothing else does."""
    settled: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    """Set when it is ready, or over."""
    over: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    """Set when nothing of it is left."""
    ready_at: float = attrs.field(default=inf, init=False)
    """When it said that it had started, in the loop's seconds."""
    error: Exception | None = attrs.field(default=None, init=False)
    """What it raised."""
    status: ServiceStatus = attrs.field(init=False)
    """What the function is handed."""
    coroutine: Any = attrs.field(default=None, init=False)
    """What it runs, to be asked where it waits."""

    def __attrs_post_init__(self) -> None:
        self.status = ServiceStatus(self.get_ready)

    @property
    def is_ready(self) -> bool:
        """Whether it said that it had started."""
        return self.ready_at < inf

    def get_ready(self) -> None:
        """Note that it has started."""
        self.ready_at = min(self.ready_at, self.now())
        self.settled.set()

    def end(self) -> None:
        """Note that nothing of it is left."""
        self.coroutine = None
        self.over.set()
        self.settled.set()


@disable_ki_protection
async def call_service(func: Callable[..., Any], life: Life) -> None:
    """Call a service; one that takes no status is ready as soon as it begins."""
    arguments, keywords = _arguments(func, life.status)
    life.coroutine = func(*arguments, **keywords)
    if not inspect.isawaitable(life.coroutine):
        msg = f"A service must be an async function, and {func!r} is not one."
        raise TypeError(msg)
    if not arguments and not keywords:
        life.get_ready()
    await life.coroutine


def _arguments(
    func: Callable[..., Any], status: ServiceStatus
) -> tuple[tuple[ServiceStatus, ...], dict[str, ServiceStatus]]:
    """Hand the status over under its name, else to the one parameter that needs a value."""
    parameters = inspect.signature(func).parameters
    named = parameters.get("task_status")
    if named is not None and named.kind is not named.POSITIONAL_ONLY:
        return (), {"task_status": status}
    positional = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    )
    needy = [
        parameter
        for parameter in parameters.values()
        if parameter.kind in positional and parameter.default is parameter.empty
    ]
    return ((status,), {}) if needy else ((), {})
