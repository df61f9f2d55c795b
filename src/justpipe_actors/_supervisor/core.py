"""A supervisor's ``async with`` block: what opens on entry and closes on exit.

::

    the block ──── body                     outer cancellation arrives here,
      └─ owner task, shielded               and is relayed when the block is left
           ├─ resources                     opened on request, closed last
           ├─ services, each shielded       started in order, stopped in reverse
           └─ actors and runs               start after the services, and end before them

The owner task is a separate task of the event loop.  So resources and services outlive
the cancellation of the block for as long as runs need them, and the block may be left
in another task than the one that entered it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio

from .. import _supervisor
from .._backends import Loop, current_loop
from .._backends.base import BlockInterrupt
from .._engine.actor_system import ActorSystem
from .._run.ownership import open_ambient
from .._supervision.children import ChildOwner, Children
from .._supervision.restart_policy import RestartPolicy
from .._util.interrupts import enable_ki_protection
from .._util.user_errors import is_native_cancellation
from ..abc import Journal
from ..errors import OtherLoopError, SupervisionError
from .active_runs import ActiveRuns
from .admission import DRAINING, AdmissionLimiter
from .catalog import Catalog
from .drain import DrainReport, cancel_all, drain, wait_all_ended
from .loop_watchdog import LoopWatchdog


if TYPE_CHECKING:
    from .durable_runs import DurableRuns
    from .listening import Listening


class EventLoopEnded(BaseException):
    """Passed as the error of the block when the event loop ends before it."""


def cancel_reason(error: BaseException) -> str:
    """Return the reason for which runs are cancelled when an error ends a block."""
    if isinstance(error, EventLoopEnded):
        return "The event loop ended"
    if isinstance(error, Exception):
        return f"The supervisor's block failed with {type(error).__name__}"
    return "The supervisor was cancelled"


def _unwrap_single(error: BaseException) -> BaseException:
    """Return the only exception in a group, or the group if it holds several."""
    inner = error
    while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
        inner = inner.exceptions[0]
    return inner


class _CrossLoopEvent:
    """An event for tasks of any loop: a task may wait before the supervisor has a loop."""

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: list[tuple[Loop, anyio.Event]] = []

    def set(self) -> None:
        """Wake the waiting tasks, each by its own loop."""
        self._is_set = True
        for loop, event in tuple(self._waiting):
            loop.call_soon(event.set)

    def is_set(self) -> bool:
        """Tell whether it was set."""
        return self._is_set

    async def wait(self) -> None:
        """Wait until it is set."""
        waiter = current_loop(), anyio.Event()
        self._waiting.append(waiter)  # first: another thread may set it now
        if self._is_set:
            waiter[1].set()
        try:
            await waiter[1].wait()  # a checkpoint in any case
        finally:
            self._waiting.remove(waiter)


_logger = logging.getLogger("justpipe_actors.supervisor")


class SupervisorCore:
    """Opens, owns and closes the parts of a ``Supervisor``.

    Args:
        policy: the restart policy of the services.
        max_runs: maximum number of runs at work; None is no limit.
        grace: seconds that runs may take to finish, and again to clean up.
        blocked_after: seconds after which a blocked event loop is reported; None starts
            no thread.
        journal: stores durable runs; None keeps runs in this process only.
        keep: events of each run that are kept for listeners.
    """

    def __init__(
        self,
        policy: RestartPolicy,
        *,
        max_runs: int | None,
        grace: float,
        blocked_after: float | None,
        journal: Journal | None,
        keep: int = 0,
    ) -> None:
        self.catalog = Catalog()
        self.children = Children(policy)
        """The services."""
        self._max_runs = max_runs
        self._blocked_after = blocked_after
        self.watchdog: LoopWatchdog | None = None
        """Reports a blocked event loop."""
        self.grace = grace
        """Seconds that runs may take to finish, and again to clean up."""
        self.journal = journal
        """Stores durable runs; None keeps runs in this process only."""
        self._keep = keep
        self._listening: Listening | None = None
        self.durable: DurableRuns | None = None
        """The durable runs; None without a journal."""
        self._interrupt: BlockInterrupt | None = None
        self._owner_error: BaseException | None = None
        self._owner_ended = anyio.Event()
        self.active_runs: ActiveRuns | None = None
        """The runs at work; None before the supervisor is opened."""
        self._close_ambient: Callable[[], None] = lambda: None
        self._drained = _CrossLoopEvent()
        self._owner_started = anyio.Event()
        self._leaving = anyio.Event()
        self._has_loop_ended = False
        self._is_closing = False
        # Set when opening has succeeded or failed.
        self._opened = _CrossLoopEvent()
        self.report: DrainReport | None = None
        """The result of the last drain; None before."""

    # -- entering

    @property
    def is_open(self) -> bool:
        """Whether its block is entered and not yet left."""
        return self.active_runs is not None and not self._leaving.is_set()

    @enable_ki_protection
    async def open(self) -> None:
        """Open the eager resources, start the services, and admit runs.

        Raises:
            DefinitionError: a pipe is wired wrongly.
            ResourceUnavailable: an eager resource of a pipe cannot be opened.
            ChildStartFailed: a service did not become ready; started ones are stopped.
            RuntimeError: this supervisor was opened before.
        """
        if self._interrupt is not None:
            msg = "A Supervisor is opened once; build another one."
            raise RuntimeError(msg)
        self.catalog.validate()
        loop = current_loop()
        self._interrupt = loop.new_interrupt(is_needed=self.children.has_any)
        try:
            loop.spawn(self._run_owner)
            await self._owner_started.wait()
            active_runs = self.require_open()
            if self.durable is not None:
                await self.durable.start()
            await active_runs.system.resources.open(self.catalog.eager_resources())
            await self.children.open(
                ChildOwner(
                    active_runs.system.spawn,
                    active_runs.system.now,
                    self._give_up,
                    self._is_loop_ending,
                )
            )
        except BaseException as error:
            await self._abort_opening(error)  # noqa: ASYNC102 - shielded
            raise
        active_runs.admission.open()
        if self.durable is not None:
            self.durable.open()
        self._close_ambient = open_ambient(active_runs)
        self._opened.set()

    async def wait_ready(self) -> None:
        """Wait until the services are ready and runs are admitted.

        Raises:
            RuntimeError: the supervisor was closed, or opening failed.
            OtherLoopError: it was opened in another event loop.
        """
        if self.active_runs is not None:
            self.require_own_loop()
        await self._opened.wait()
        if self.active_runs is not None:
            self.require_own_loop()
        if self._leaving.is_set():
            msg = "The Supervisor is closed; build another one."
            raise RuntimeError(msg)

    async def _abort_opening(self, error: BaseException) -> None:
        """End the owner task after opening has failed."""
        assert self._interrupt is not None
        self._is_closing = True
        self._leaving.set()
        self._opened.set()
        if self.active_runs is not None or self._owner_started.is_set():
            await self._wait_owner_ended()
        await self._interrupt.leave(error)
        own = self._owner_error
        is_interrupt = own is not None and not isinstance(own, Exception)
        if own is not None and (is_interrupt or not isinstance(error, Exception)):
            raise own

    @enable_ki_protection
    async def _run_owner(self) -> None:
        """Own all parts until the block is left or the event loop ends; never raise.

        The event loop owns this task, rather than the task that entered the block,
        because the block may be left in another task, or never.
        """
        try:
            await self._own_runs()
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:
            self._owner_error = _unwrap_single(error)
            if self._is_closing or self._interrupt is None:
                return
            _logger.exception("The supervisor ended because of an error")
            self._interrupt.interrupt()
        finally:
            self._owner_started.set()
            self._owner_ended.set()

    @enable_ki_protection
    async def _own_runs(self) -> None:
        """Own actors and runs, shielded from the cancellation of the block."""
        loop = current_loop()
        async with loop.open_group() as tasks:
            system = ActorSystem(
                tasks.start,
                loop.now,
                loop.watch_task(),
                loop.absorb_native_cancel,
                new_loop_event=loop.new_loop_event,
                new_scope=loop.new_scope,
            )
            admission = AdmissionLimiter(self._max_runs, is_starting=True)
            self.active_runs = ActiveRuns(system, admission, loop, self._keep)
            if self.journal is not None:
                self.durable = _supervisor.DurableRuns(
                    self.journal, self.active_runs, self.catalog
                )
            self._owner_started.set()
            if self._blocked_after is not None:
                self.watchdog = LoopWatchdog(loop, self._blocked_after)
                self.watchdog.start()
            try:
                await self._wait_leaving(loop)
            finally:
                if self.watchdog is not None:
                    self.watchdog.stop()
                with anyio.CancelScope(shield=True):
                    await self.children.aclose()
                    await system.resources.aclose()
                    if self.durable is not None:
                        await self.durable.aclose()
            system.dispatcher.release_idle_tasks()

    async def _wait_leaving(self, loop: Loop) -> None:
        """Wait until the block is left; if the event loop ends first, end the runs."""
        assert self._interrupt is not None
        try:
            while not self._leaving.is_set():
                await self._wait_once(loop)
        except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - raised unless native
            self._has_loop_ended = True
            is_native = loop.absorb_native_cancel()
            _logger.warning(
                "The event loop ended while a Supervisor was open, so its runs were "
                "cancelled. Leave it by 'async with Supervisor() as ...:', or by aclose() "
                "of whatever entered it."
            )
            with anyio.CancelScope(shield=True):
                self._close_ambient()
                await self._end_all_runs(EventLoopEnded())
            if not is_native:
                raise

    async def _wait_once(self, loop: Loop) -> None:
        """Wait until the block is left; absorb a native cancellation of this task alone."""
        assert self._interrupt is not None
        try:
            await self._leaving.wait()
        except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - raised unless absorbed
            # The end of the loop also cancels the task that entered the block.
            if not (self._interrupt.is_body_alive() and loop.absorb_native_cancel()):
                raise
            _logger.warning(
                "The supervisor's own task was cancelled by its event loop's own "
                "means and goes on; cancel runs with RunStream.cancel(), never tasks"
            )

    def _is_loop_ending(self) -> bool:
        """Return whether the loop has cancelled the owner task and the body's, too."""
        if self._has_loop_ended:
            return True
        if self._interrupt is None or self.active_runs is None:
            return False
        is_owner_cancelled = self.active_runs.system.is_owner_cancelled
        return is_owner_cancelled() and not self._interrupt.is_body_alive()

    def _give_up(self, failure: SupervisionError) -> None:
        """End the runs because supervision failed; leaving the block ends the rest."""
        if self.active_runs is not None:
            self.active_runs.close()
            self.active_runs.cancel_others(str(failure))
            if self.durable is not None:
                self.durable.release_now(str(failure))
        if self._interrupt is not None and not self._is_closing:
            self._interrupt.interrupt()

    def listening(self) -> Listening:
        """Return the listeners of this supervisor, created on first use."""
        if self._listening is None:
            self._listening = _supervisor.new_listening(
                self.require_open(), self.catalog, self.durable
            )
        return self._listening

    # -- leaving

    @enable_ki_protection
    async def close(self, error: BaseException | None) -> None:
        """Let runs finish, then end them; the body's own error propagates unwrapped.

        It may be called in a different task from ``open``.

        Raises:
            RestartIntensityExceeded: services ended more often than the policy allows.
            OtherLoopError: the block was entered in another event loop.
        """
        interrupt = self._interrupt
        assert interrupt is not None
        self.require_own_loop()
        self._is_closing = True
        self._close_ambient()
        raised, is_native = error, False
        try:
            if not self._owner_ended.is_set():
                await self._end_all_runs(error)  # bounded by the grace
        except BaseException as interruption:  # noqa: BLE001, ASYNC103 - raised below
            raised, is_native = interruption, is_native_cancellation(interruption)
        native = await self._wait_owner_ended()  # shielded
        if native is not None:
            raised, is_native = native, True
        is_own = await interrupt.leave(raised)  # it does not wait
        is_last = isinstance(raised, KeyboardInterrupt | SystemExit) or (
            is_native and not is_own
        )
        # The body's own error takes precedence, but not over Ctrl-C, an exit, or a
        # native cancellation, which would not come again (as in asyncio.TaskGroup).
        if isinstance(error, Exception) and not is_last:
            return
        failure = self._owner_error
        if failure is None:
            failure = self.children.failure
        if failure is not None:
            raise failure
        if raised is not None and raised is not error and not is_own:
            raise raised

    async def _wait_owner_ended(self) -> BaseException | None:
        """Wait for the owner task; return a native cancellation that arrived meanwhile."""
        interruption: BaseException | None = None
        with anyio.CancelScope(shield=True):  # noqa: ASYNC912 - the loop waits
            while not self._owner_ended.is_set():
                try:
                    await self._owner_ended.wait()
                except anyio.get_cancelled_exc_class() as error:  # noqa: ASYNC103
                    interruption = error  # natively, past the shield; returned
        return interruption

    async def _end_all_runs(self, error: BaseException | None) -> None:
        active_runs = self.require_open()
        if self._listening is not None:
            self._listening.close()
        try:
            await self._end_runs(active_runs, error)
        finally:
            await wait_all_ended(active_runs)  # noqa: ASYNC102 - shielded; logs the runs
            active_runs.close()
            self._leaving.set()

    async def _end_runs(
        self, active_runs: ActiveRuns, error: BaseException | None
    ) -> None:
        self.children.start_draining()
        if self._drained.is_set():
            active_runs.cancel_others("The supervisor was closed")
            if self.durable is not None:
                self.durable.release_now("The supervisor was closed")
        elif error is None:
            reason = "The supervisor was closed"
            self.report = await drain(active_runs, self.durable, self.grace, reason)
        else:
            self.report = await cancel_all(
                active_runs, self.durable, self.grace, cancel_reason(error)
            )

    async def wait_drained(self) -> None:
        """Wait until a call of ``drain`` has completed.

        Raises:
            OtherLoopError: the supervisor was opened in another event loop.
        """
        if self.active_runs is not None:
            self.require_own_loop()
        await self._drained.wait()
        self.require_own_loop()

    def reject_runs(self) -> None:
        """Take no new runs from now on."""
        active_runs = self.require_own_loop()
        self.children.start_draining()
        active_runs.admission.close(DRAINING)

    async def drain(self, grace: float | None) -> DrainReport:
        """Reject new runs, let others finish, cancel the rest; irreversible."""
        seconds = self.grace if grace is None else grace
        active_runs = self.require_own_loop()
        self.children.start_draining()
        reason = "The supervisor was drained"
        report = await drain(
            active_runs, self.durable, seconds, reason, wait_for_readers=True
        )
        self.report = self.report or report
        self._drained.set()
        return report

    def require_own_loop(self) -> ActiveRuns:
        """Return the runs of an open supervisor to a caller in its event loop.

        Raises:
            RuntimeError: the supervisor was not opened.
            OtherLoopError: the caller runs in another loop, or in none.
        """
        active_runs = self.require_open()
        if not (self._owner_ended.is_set() or active_runs.loop.is_current()):
            raise OtherLoopError
        return active_runs

    def require_open(self) -> ActiveRuns:
        """Return the runs of an open supervisor.

        Raises:
            RuntimeError: the supervisor was not opened.
        """
        if self.active_runs is None:
            msg = (
                "The Supervisor is not open; use it in 'async with Supervisor() as ...', "
                "or after 'await nursery.start(supervisor.serve)'."
            )
            raise RuntimeError(msg)
        return self.active_runs
