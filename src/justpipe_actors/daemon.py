"""``serve``: a daemon's main, from READY to the last signal.

=============================  ==========================================================
SIGTERM or SIGINT              the supervisor drains: no new runs, the others may finish
a second one                   the runs are cancelled; their cleanup is waited for
a third one                    the process ends now, with status 128 + the signal's number
SIGHUP                         the ``reload`` hook is called
=============================  ==========================================================

systemd is notified if its unit asks for it (``Type=notify``, ``WatchdogSec=``).
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, NoReturn

import anyio
import attrs
from anyio.abc import TaskGroup, TaskStatus

from ._backends import current_loop
from ._supervisor.diagnostics import fields_of
from ._supervisor.drain import DrainReport
from ._supervisor.os_signals import RELOAD_SIGNALS, SignalQueue, handle_signals
from ._supervisor.systemd import SystemdNotifier, notifier_from_environment
from ._util.lazy_classes import define
from .supervisor import Supervisor


Reload = Callable[[Supervisor], Awaitable[None]]
"""Called at SIGHUP, to read settings again or to replace pipes."""

STATUS_INTERVAL = 5.0
"""Seconds between status messages to systemd; less if its watchdog asks for it."""

exit_now: Callable[[int], NoReturn] = os._exit
"""Ends the process at once, without cleanup."""

_logger = logging.getLogger("justpipe_actors.daemon")


async def serve(
    supervisor: Supervisor,
    *,
    reload: Reload | None = None,
    task_status: TaskStatus[Any] = anyio.TASK_STATUS_IGNORED,
) -> DrainReport:
    """Serve until a signal asks for the end, or the supervisor is drained.

    Args:
        supervisor: opened here unless it is open, and drained in the end.
        reload: called with the supervisor at SIGHUP; what it raises is logged, and the
            daemon goes on with what it had.
        task_status: notified when everything has started.

    Returns:
        How the runs ended that were at work when draining began.

    Raises:
        RuntimeError: this is not the main thread.
    """
    daemon = _Daemon(
        supervisor, notifier_from_environment(os.environ, os.getpid()), reload
    )
    signals = SignalQueue(current_loop(), daemon.give_up)
    with handle_signals(signals):
        async with AsyncExitStack() as stack:
            if not supervisor.is_open:
                await stack.enter_async_context(supervisor)
            task_status.started(supervisor)
            await daemon.run(signals)
    _logger.info("Served: %s", supervisor.report)
    return supervisor.report or DrainReport()


@define(eq=False, repr=False)
class _Daemon:
    """Signals, status messages and watchdog of a daemon."""

    supervisor: Supervisor
    notifier: SystemdNotifier
    reload: Reload | None
    _reloads: int = attrs.field(default=0, init=False)
    _is_reloading: bool = attrs.field(default=False, init=False)
    _is_draining: bool = attrs.field(default=False, init=False)

    async def run(self, signals: SignalQueue) -> None:
        """Handle signals until the supervisor is drained."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._handle_signals, signals, tasks)
            if self.notifier.address is not None:
                tasks.start_soon(self._send_status)
            self.notifier.ready(self._status())
            _logger.info("Serving")
            await self.supervisor.wait_drained()
            tasks.cancel_scope.cancel()

    async def _handle_signals(self, signals: SignalQueue, tasks: TaskGroup) -> None:
        while True:
            name = await signals.get()
            if name in RELOAD_SIGNALS:
                self._reloads += 1
                if not self._is_reloading:
                    tasks.start_soon(self._reload)
            elif not self._is_draining:
                self._is_draining = True
                # Before the next signal is read: it releases durable runs and never
                # cancels them, and that depends on whether the supervisor drains.
                self.supervisor.reject_runs()
                _logger.info("%s: draining", name.name)
                tasks.start_soon(self._drain)
            else:
                _logger.warning("%s again: cancelling what is left", name.name)
                self.supervisor.cancel_runs(f"The daemon was stopped by {name.name}")

    async def _drain(self) -> None:
        grace = self.supervisor.grace
        self.notifier.stopping(
            f"Draining; {self._status()}", 2 * grace + STATUS_INTERVAL
        )
        await self.supervisor.drain()

    async def _reload(self) -> None:
        self._is_reloading = True
        while self._reloads:
            self._reloads = 0
            self.notifier.reloading()
            await self._call_reload()
            self.notifier.ready(self._status())
        self._is_reloading = False

    async def _call_reload(self) -> None:
        if self.reload is None:
            _logger.warning(
                "SIGHUP: there is nothing to reload; pass serve(reload=...)"
            )
            return
        try:
            await self.reload(self.supervisor)
        except Exception:
            _logger.exception("SIGHUP: the reload failed; going on as before")
        else:
            _logger.info("SIGHUP: reloaded")

    async def _send_status(self) -> None:
        watchdog_seconds = self.notifier.watchdog
        seconds = (
            STATUS_INTERVAL
            if watchdog_seconds is None
            else min(watchdog_seconds / 2, STATUS_INTERVAL)
        )
        while True:
            self.notifier.keep_alive(self._status())
            await anyio.sleep(seconds)

    def _status(self) -> str:
        places = self.supervisor.snapshot().places
        return f"{places.inside} runs at work, {places.waiting} waiting"

    def give_up(self, name: signal.Signals) -> None:
        """End the process at once, without cleanup; called in a signal handler."""
        with suppress(Exception):
            for run in self.supervisor.stuck():
                _logger.critical("Left behind: %s", run, extra=fields_of(run))
            _logger.critical("%s for the third time: giving up", name.name)
        exit_now(128 + name)
