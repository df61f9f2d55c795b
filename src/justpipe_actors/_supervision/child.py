"""One supervised child: its specification, and its current instance.

::

    NEW -> STARTING -> RUNNING -> (ended) -> WAITING -> STARTING ...     restarted
                          |          `-----> FINISHED | FAILED           not restarted
                          `-> STOPPING -> STOPPED                        on request

A child's task is shielded: outer cancellation reaches the supervisor and not its
children.  A plain nursery would cancel a dependency before its users.  Only
``Child.stop`` ends an instance, in four steps: request the stop, wait, cancel, then wait
and log where the child is stuck.  There is no fifth step, as a coroutine cannot be killed.

A stop is requested only from a service that observes it.  A service that has read
``task_status.stopping`` is asked to stop and given its ``shutdown`` seconds; any other
service is cancelled at once, as OTP does with a process that does not trap exits.
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

from .._util.await_chain import format_await_chain
from .._util.interrupts import disable_ki_protection, enable_ki_protection
from .._util.lazy_classes import define, frozen
from .._util.sync import wait_and_report
from .._util.text import safe_repr, safe_str
from ..errors import ChildEnded, ChildStartFailed
from .restart_policy import ChildInfo, ChildPhase, Restart
from .service_function import status_parameter


class ServiceStatus:
    """Passed to a service: it reports readiness and receives the stop request."""

    __slots__ = ("_on_started", "_stopping", "is_observed")

    def __init__(self, on_started: Callable[[], None]) -> None:
        self._on_started = on_started
        self._stopping = anyio.Event()
        self.is_observed: bool = False
        """Whether the service has read ``stopping`` and ends by itself on request."""

    def started(self, value: object = None) -> None:
        """Report that the service is ready; the next service is started only then.

        Args:
            value: accepted as ``anyio``'s ``TaskStatus`` does, and not used.
        """
        self._on_started()

    @property
    def stopping(self) -> anyio.Event:
        """Event that is set when the service must end.

        A service that reads this property is expected to end by itself within its
        ``shutdown`` seconds; any other service is cancelled without a request.
        """
        self.is_observed = True
        return self._stopping

    def request_stop(self) -> None:
        """Ask the service to end."""
        self._stopping.set()


@define(eq=False, repr=False)
class ChildInstance:
    """One incarnation of a child."""

    now: Callable[[], float]
    """The loop's clock, in seconds."""
    scope: anyio.CancelScope = attrs.field(
        factory=lambda: anyio.CancelScope(shield=True), init=False
    )
    """Cancelling this scope is the only way to end the instance by force."""
    settled: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    """Set when the instance is ready or has ended."""
    ended: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    """Set when its task has ended."""
    ready_at: float = attrs.field(default=inf, init=False)
    """When it reported that it was ready, in the loop's seconds."""
    error: Exception | None = attrs.field(default=None, init=False)
    """The exception that it raised; None if it returned or has not ended."""
    status: ServiceStatus = attrs.field(init=False)
    """The status object that the function receives."""
    parameter: inspect.Parameter | None = attrs.field(default=None, init=False)
    """The parameter of the function that receives it; None is no parameter."""
    coroutine: Any = attrs.field(default=None, init=False)
    """The coroutine it runs; its stack shows where a stuck child waits."""

    def __attrs_post_init__(self) -> None:
        self.status = ServiceStatus(self.mark_ready)

    @property
    def is_ready(self) -> bool:
        """Whether it has reported that it is ready."""
        return self.ready_at < inf

    def mark_ready(self) -> None:
        """Record that it is ready."""
        self.ready_at = min(self.ready_at, self.now())
        self.settled.set()

    def mark_ended(self) -> None:
        """Record that its task has ended."""
        self.coroutine = None
        self.ended.set()
        self.settled.set()


@disable_ki_protection
async def call_service(func: Callable[..., Any], instance: ChildInstance) -> None:
    """Call a service; a service without a status parameter is ready at once."""
    parameter = instance.parameter = status_parameter(func)
    if parameter is None:
        instance.coroutine = func()
    elif parameter.kind is parameter.POSITIONAL_ONLY:
        instance.coroutine = func(instance.status)
    else:
        instance.coroutine = func(**{parameter.name: instance.status})
    if not inspect.isawaitable(instance.coroutine):
        msg = (
            f"A service must be an async function, and {safe_repr(func)} is not one. "
            "Await blocking code in it with anyio.to_thread.run_sync()"
        )
        raise TypeError(msg)
    if parameter is None:
        instance.mark_ready()
    await instance.coroutine


_logger = logging.getLogger("justpipe_actors")

Spawn = Callable[..., object]
"""Starts a task that belongs to the supervisor: a coroutine function and its arguments."""


class ChildState(str, Enum):
    """Lifecycle state of a child."""

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


@frozen(eq=False, kw_only=True)
class ChildSpec:
    """Specification of a child."""

    name: str
    """Unique among its siblings."""
    func: Callable[..., Any]
    """An async function; it may take ``task_status``."""
    restart: Restart = "permanent"
    """When it is restarted."""
    shutdown: float = 5.0
    """Seconds that it may take to end after a stop request."""
    start_timeout: float = 30.0
    """Seconds it may take to get ready."""


@frozen
class ChildStatistics:
    """Statistics of a child; plain data."""

    name: str
    state: ChildState
    incarnation: int
    """Number of instances so far, the current one included; 0 before the first."""
    restarts: int
    """Restarts within the supervisor's ``period``."""
    last_error: str | None
    """Type and text of the last error that ended an instance; None if there is none."""
    since: float
    """When it entered this state, in the loop's seconds."""
    age: float = 0.0
    """Seconds since it entered this state."""
    restarts_left: int | None = None
    """Restarts of any child that the period still allows; None is no limit."""


@define(eq=False, repr=False)
class Child:
    """One child of a supervisor."""

    spec: ChildSpec
    now: Callable[[], float]
    """The loop's clock, in seconds."""
    on_instance_end: Callable[[Child, ChildInstance], None]
    """Called synchronously when an instance has ended."""
    state: ChildState = attrs.field(default=ChildState.NEW, init=False)
    incarnation: int = attrs.field(default=0, init=False)
    """Number of instances so far."""
    since: float = attrs.field(init=False)
    """When it entered its state, in the loop's seconds."""
    uptime: float = attrs.field(default=0.0, init=False)
    """Seconds that its last instance was ready; 0 if it never was."""
    due_at: float = attrs.field(default=-inf, init=False)
    """When it is due to start while NEW or WAITING, in the loop's seconds."""
    short_instances: int = attrs.field(default=0, init=False)
    """Consecutive instances that ended early; they lengthen the backoff."""
    error: BaseException | None = attrs.field(default=None, init=False)
    """The last error that ended an instance."""
    instance: ChildInstance | None = attrs.field(default=None, init=False)
    """The current instance, or the last one."""

    def __attrs_post_init__(self) -> None:
        self.since = self.now()

    @property
    def name(self) -> str:
        """Its name."""
        return self.spec.name

    def info(self) -> ChildInfo:
        """Return the facts that a restart decision depends on."""
        phase = _PHASES.get(self.state, ChildPhase.ENDED)
        return ChildInfo(self.name, self.spec.restart, phase)

    def set_state(self, state: ChildState) -> None:
        """Enter a state and record the time."""
        self.state = state
        self.since = self.now()

    def schedule_restart(self, due_at: float) -> None:
        """Enter WAITING until ``due_at``, in the loop's seconds."""
        self.due_at = due_at
        self.set_state(ChildState.WAITING)

    # -- starting

    async def start(self, spawn: Spawn) -> Exception | None:
        """Start an instance and wait until it is ready; return the error if it fails."""
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
            reason = self._describe_unready(instance)
            await self.stop()
            return self._start_failed(reason, None)
        reason = (
            safe_str(instance.error, typed=True)
            if instance.error is not None
            else "it returned before it called task_status.started()"
        )
        return self._start_failed(reason, instance.error)

    def _describe_unready(self, instance: ChildInstance) -> str:
        seconds = f"{self.spec.start_timeout:g}s"
        if instance.parameter is None:
            return f"it was not ready within {seconds}"
        name = instance.parameter.name
        return (
            f"it was not ready within {seconds}: its parameter '{name}' got its status, "
            f"and it did not call {name}.started()"
        )

    def _start_failed(self, reason: str, cause: Exception | None) -> Exception:
        failure = ChildStartFailed(self.name, reason)
        failure.__cause__ = cause
        self.error = failure if cause is None else cause
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
            # This instance's scope would have caught its own cancellation, and the
            # shield stops outer scopes: the task, or a future that it awaited, was
            # cancelled natively.
            failure = ChildEnded(self.name, "was cancelled from outside")
            failure.__cause__ = cancelled
            instance.error = failure
        finally:
            instance.mark_ended()
            self._record_end(instance)

    def _record_end(self, instance: ChildInstance) -> None:
        if instance is not self.instance:
            return
        has_failed = instance.error is not None
        self.error = instance.error if has_failed else self.error
        if self.state in (ChildState.STARTING, ChildState.RUNNING):
            self.set_state(ChildState.FAILED if has_failed else ChildState.FINISHED)
        if instance.is_ready:
            self.uptime = self.now() - instance.ready_at
            self.on_instance_end(self, instance)

    # -- stopping

    async def stop(self) -> None:
        """Request the stop, wait, cancel, wait for the end; the caller shields this."""
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
                    "Service '%s' failed while it stopped",
                    self.name,
                    exc_info=instance.error,
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

    def statistics(
        self, restarts: int, restarts_left: int | None = None
    ) -> ChildStatistics:
        """Return the statistics of this child.

        Args:
            restarts: its restarts within the period.
            restarts_left: restarts of any child that the period still allows.
        """
        return ChildStatistics(
            name=self.name,
            state=self.state,
            incarnation=self.incarnation,
            restarts=restarts,
            last_error=None if self.error is None else safe_str(self.error, typed=True),
            since=self.since,
            age=max(self.now() - self.since, 0.0),
            restarts_left=restarts_left,
        )
