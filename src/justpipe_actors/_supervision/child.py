"""One supervised child: what it was asked to be, and the life it is living.

::

    NEW -> STARTING -> RUNNING -> (ended) -> WAITING -> STARTING ...     restarted
                          |          `-----> FINISHED | FAILED           not restarted
                          `-> STOPPING -> STOPPED                        told to

A child's task is shielded.  Outer cancellation reaches the supervisor and not its
children, or a plain nursery would take a dependency down before its users.  So nobody
but ``Child.stop`` ends a life, in four steps: ask, wait, cancel, wait and say who is
stuck.  There is no fifth: a coroutine cannot be killed.

Asking has a point only when somebody listens.  A service that has looked at
``task_status.stopping`` is asked and given its ``shutdown`` seconds; one that never did
is cancelled at once, as a process that traps no exits would be.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from enum import Enum
from math import inf
from typing import Any

import anyio
import attrs
from trio.lowlevel import disable_ki_protection, enable_ki_protection

from .._util.await_chain import format_await_chain
from .._util.sync import wait_and_report
from .._util.text import safe_str
from ..errors import ChildEnded, ChildStartFailed
from .restart_policy import ChildInfo, ChildPhase, Restart


class ServiceStatus:
    """What a service is handed: to say that it is ready, and to hear that it must stop."""

    __slots__ = ("_on_started", "_stopping", "is_observed")

    def __init__(self, on_started: Callable[[], None]) -> None:
        self._on_started = on_started
        self._stopping = anyio.Event()
        self.is_observed = False
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
        self.is_observed = True
        return self._stopping

    def request_stop(self) -> None:
        """Ask the service to end."""
        self._stopping.set()


@attrs.define(eq=False, repr=False)
class ChildInstance:
    """One incarnation of a child."""

    now: Callable[[], float]
    """The loop's clock, in seconds."""
    scope: anyio.CancelScope = attrs.field(
        factory=lambda: anyio.CancelScope(shield=True), init=False
    )
    """Ends it; nothing else does."""
    settled: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    """Set when it is ready, or over."""
    ended: anyio.Event = attrs.field(factory=anyio.Event, init=False)
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
        self.status = ServiceStatus(self.mark_ready)

    @property
    def is_ready(self) -> bool:
        """Whether it said that it had started."""
        return self.ready_at < inf

    def mark_ready(self) -> None:
        """Note that it has started."""
        self.ready_at = min(self.ready_at, self.now())
        self.settled.set()

    def mark_ended(self) -> None:
        """Note that nothing of it is left."""
        self.coroutine = None
        self.ended.set()
        self.settled.set()


@disable_ki_protection
async def call_service(func: Callable[..., Any], instance: ChildInstance) -> None:
    """Call a service; one that takes no status is ready as soon as it begins."""
    arguments, keywords = _status_arguments(func, instance.status)
    instance.coroutine = func(*arguments, **keywords)
    if not inspect.isawaitable(instance.coroutine):
        msg = f"A service must be an async function, and {func!r} is not one."
        raise TypeError(msg)
    if not arguments and not keywords:
        instance.mark_ready()
    await instance.coroutine


def _status_arguments(
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
    required = [
        parameter
        for parameter in parameters.values()
        if parameter.kind in positional and parameter.default is parameter.empty
    ]
    return ((status,), {}) if required else ((), {})


_logger = logging.getLogger("justpipe_actors")

Spawn = Callable[..., object]
"""Starts a task that belongs to the supervisor: a coroutine function and its arguments."""


class ChildState(str, Enum):
    """Where a child is in its life."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"


_PHASES = {
    ChildState.STARTING: ChildPhase.RUNNING,
    ChildState.RUNNING: ChildPhase.RUNNING,
    ChildState.STOPPING: ChildPhase.RUNNING,
    ChildState.NEW: ChildPhase.PENDING,
    ChildState.WAITING: ChildPhase.PENDING,
    ChildState.STOPPED: ChildPhase.PENDING,
}


@attrs.frozen(eq=False, kw_only=True)
class ChildSpec:
    """What a child is asked to be."""

    name: str
    """Unique among its siblings."""
    func: Callable[..., Any]
    """An async function; it may take ``task_status``."""
    restart: Restart = "permanent"
    """Whether it comes back."""
    shutdown: float = 5.0
    """Seconds it gets to end when it is asked to."""
    start_timeout: float = 30.0
    """Seconds it may take to get ready."""


@attrs.frozen
class ChildStatistics:
    """How a child is doing; plain data."""

    name: str
    """Its name."""
    state: ChildState
    """Where it is in its life."""
    incarnation: int
    """Its lives so far, this one included; 0 before the first."""
    restarts: int
    """How often it was restarted within the supervisor's period."""
    last_error: str | None
    """What ended a life of it last: type and text; None if nothing did."""
    since: float
    """When it entered this state, in the loop's seconds."""


@attrs.define(eq=False, repr=False)
class Child:
    """One child of a supervisor."""

    spec: ChildSpec
    """What it was asked to be."""
    now: Callable[[], float]
    """The loop's clock, in seconds."""
    on_instance_end: Callable[[Child, ChildInstance], None]
    """Hears, synchronously, that a life is over."""
    state: ChildState = attrs.field(default=ChildState.NEW, init=False)
    """Where it is in its life."""
    incarnation: int = attrs.field(default=0, init=False)
    """Lives so far."""
    since: float = attrs.field(init=False)
    """When it entered its state."""
    uptime: float = attrs.field(default=0.0, init=False)
    """Seconds that its last life was ready; 0 when it never was."""
    due_at: float = attrs.field(default=-inf, init=False)
    """When it is to be started, while it is NEW or WAITING."""
    short_instances: int = attrs.field(default=0, init=False)
    """Lives in a row that were short."""
    error: BaseException | None = attrs.field(default=None, init=False)
    """What ended a life of it last."""
    instance: ChildInstance | None = attrs.field(default=None, init=False)
    """The life it is living, or the last one."""

    def __attrs_post_init__(self) -> None:
        self.since = self.now()

    @property
    def name(self) -> str:
        """Its name."""
        return self.spec.name

    def info(self) -> ChildInfo:
        """Return what a decision must know of it."""
        phase = _PHASES.get(self.state, ChildPhase.ENDED)
        return ChildInfo(self.name, self.spec.restart, phase)

    def set_state(self, state: ChildState) -> None:
        """Note a new state."""
        self.state = state
        self.since = self.now()

    def schedule_restart(self, due_at: float) -> None:
        """Wait for a restart."""
        self.due_at = due_at
        self.set_state(ChildState.WAITING)

    # -- starting

    async def start(self, spawn: Spawn) -> Exception | None:
        """Begin a life and wait until it is ready; return why it did not get there."""
        instance = self.instance = ChildInstance(self.now)
        self.incarnation += 1
        self.uptime = 0.0
        self.set_state(ChildState.STARTING)
        spawn(self._run_instance, instance)
        with anyio.move_on_after(self.spec.start_timeout):
            await instance.settled.wait()
        if instance.is_ready:
            if not instance.ended.is_set():
                self.set_state(ChildState.RUNNING)
            return None
        if not instance.ended.is_set():
            reason = f"it was not ready within {self.spec.start_timeout:g}s"
            await self.stop()
            return self._start_failed(reason, None)
        reason = (
            safe_str(instance.error, typed=True)
            if instance.error
            else "it returned before it called task_status.started()"
        )
        return self._start_failed(reason, instance.error)

    def _start_failed(self, reason: str, cause: Exception | None) -> Exception:
        failure = ChildStartFailed(self.name, reason)
        failure.__cause__ = cause
        self.error = cause or failure
        self.set_state(ChildState.FAILED)
        return failure

    @enable_ki_protection
    async def _run_instance(self, instance: ChildInstance) -> None:
        try:
            with instance.scope:
                await call_service(self.spec.func, instance)
        except Exception as error:  # noqa: BLE001 - a child's failure is data
            instance.error = error
        except anyio.get_cancelled_exc_class() as cancelled:  # noqa: ASYNC103
            # Not our scope, which would have caught it, and outer ones are shielded
            # from: somebody cancelled the task, or what it awaited, natively.
            failure = ChildEnded(self.name, "was cancelled from outside")
            failure.__cause__ = cancelled
            instance.error = failure
        finally:
            instance.mark_ended()
            self._record_end(instance)

    def _record_end(self, instance: ChildInstance) -> None:
        if instance is not self.instance:
            return
        self.error = instance.error or self.error
        if self.state in (ChildState.STARTING, ChildState.RUNNING):
            self.set_state(ChildState.FAILED if instance.error else ChildState.FINISHED)
        if instance.is_ready:
            self.uptime = self.now() - instance.ready_at
            self.on_instance_end(self, instance)

    # -- stopping

    async def stop(self) -> None:
        """Ask, wait, cancel, then wait until nothing is left; the caller shields this."""
        instance = self.instance
        if instance is not None and not instance.ended.is_set():
            self.set_state(ChildState.STOPPING)
            instance.status.request_stop()
            if instance.status.is_observed:
                with anyio.move_on_after(self.spec.shutdown):
                    await instance.ended.wait()
            instance.scope.cancel()
            await self._wait_over(instance)
            if instance.error is not None:
                _logger.warning(
                    "'%s' failed while it stopped", self.name, exc_info=instance.error
                )
        if self.state not in (ChildState.FINISHED, ChildState.FAILED):
            self.set_state(ChildState.STOPPED)

    async def _wait_over(self, instance: ChildInstance) -> None:
        def report() -> None:
            await_chain = " > ".join(format_await_chain(instance.coroutine))
            _logger.critical(
                "'%s' was cancelled and does not end; it waits at %s",
                self.name,
                await_chain or "an unknown place",
                extra={"child": self.name, "incarnation": self.incarnation},
            )

        await wait_and_report(instance.ended.wait, instance.ended.is_set, report)

    def statistics(self, restarts: int) -> ChildStatistics:
        """Return how it is doing."""
        error = safe_str(self.error, typed=True) if self.error else None
        return ChildStatistics(
            self.name, self.state, self.incarnation, restarts, error, self.since
        )
