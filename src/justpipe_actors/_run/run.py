"""One run, first event to last.

::

    observers hear the start -> startup hooks -> START
      -> [ actors work; ends when the run holds no token ]
      -> TIMEOUT? -> shutdown hooks -> observers drained -> FINISH

The three lines are ``beginning``, ``working`` and ``winding_up``.
``conduct`` raises nothing but its owner's cancellation.  Whatever goes wrong is data: it
is in FINISH, or raised at the consumer after FINISH.  The part in brackets can be
interrupted; what comes after it is shielded, because hooks must run after the steps'
own cleanup whatever happened.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any

import anyio
import attrs
from anyio.abc import TaskGroup
from trio.lowlevel import enable_ki_protection

from .._actors.bell import Latch
from .._actors.breaking import OWNER_CANCELLED
from .._actors.host import Host
from .._actors.ledger import Ledger
from .._actors.parts import Stage
from .._actors.resources import Resources
from .._failure.journal import Ending, Trouble
from .._plan.equipping import current_lender
from ..failures import FailureKind, FailureReason
from ..meta import RunNotes, current_run_notes
from ..outcomes import PipelineEndData, PipelineTerminalStatus
from .beginning import begin
from .grace import WANTED_OVER, Grace
from .hosting import Group, Loop
from .order import Order
from .voice import RunVoice
from .winding_up import wind_up
from .working import work


_logger = logging.getLogger("justpipe_actors")

inside_runs: ContextVar[tuple[str, ...]] = ContextVar(
    "justpipe_actors_inside_runs", default=()
)
"""The runs on whose behalf code is running, parents included."""


@attrs.define(eq=False)
class Run:
    """One run."""

    order: Order
    """What was asked for."""
    loop: Loop
    """Where it runs."""
    voice: RunVoice
    """How it speaks."""
    ledger: Ledger
    """What its actors know."""
    notes: RunNotes
    """``meta.run``."""
    host: Stage | None = None
    """Whose actors it uses; None opens a host of its own."""
    done: Latch = attrs.field(factory=Latch, init=False)
    """Set when nothing of it is left."""
    on_over: Callable[[], None] | None = attrs.field(default=None, init=False)
    """Called when nothing of it is left: its owner forgets it."""
    end: PipelineEndData | None = attrs.field(default=None, init=False)
    """How it ended."""
    is_orphan: bool = attrs.field(default=False, init=False)
    """Whether its consumer has dropped it."""
    resources: Resources | None = attrs.field(default=None, init=False)
    """Resources of its own, when it has no host to borrow from."""
    scope: anyio.CancelScope | None = attrs.field(default=None, init=False)
    """Interrupts what happens before its steps begin."""
    is_working: bool = attrs.field(default=False, init=False)
    """Whether its steps may be at work."""
    stand_in: anyio.CancelScope | None = attrs.field(default=None, init=False)
    """Ends the watch over a clean-up that its own task is part of."""
    is_wanted_over: bool = attrs.field(default=False, init=False)
    """Whether somebody asked for its end."""
    grace: Grace | None = attrs.field(default=None, init=False)
    """How long its end may take; None before anybody has to wait for that."""
    in_reach: TaskGroup | None = attrs.field(default=None, init=False)
    """Tasks that the cancellation of its owner reaches while its end is shielded."""
    _began: float | None = attrs.field(default=None, init=False)

    # -- from outside

    def stop(self, status: PipelineTerminalStatus, reason: str | None) -> None:
        """End it now; the first reason is the one that counts."""
        if self.done.is_set():
            return
        if self.ledger.ending is None and self.end is None:
            self.ledger.ending = Ending(status, reason)
        if status in WANTED_OVER:
            self.is_wanted_over = True
            if self.grace is not None:
                self.grace.ask()
        if not self.is_working:
            if self.scope is not None:
                self.scope.cancel()
            return
        self.ledger.interrupt(status, reason)

    def break_off(self, error: BaseException) -> None:
        """End it now because of something that is to be raised at the consumer."""
        self.crash(error)
        self.stop(PipelineTerminalStatus.FAILED, None)

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return 0.0 if self._began is None else self.loop.now() - self._began

    @property
    def is_alive(self) -> bool:
        """Whether it has begun and is not over."""
        return self._began is not None and not self.done.is_set()

    # -- its life

    @enable_ki_protection
    async def conduct(self) -> None:
        """Live from the first event to the last."""
        self._began = self.loop.now()
        current_run_notes.set(self.notes)
        inside_runs.set((self.order.run_id, *inside_runs.get()))
        if self.host is not None:
            self.host.conducting.add(self)
        try:
            if self.host is None or self.voice.audience.listeners:
                async with self.loop.open_group() as tasks:
                    await self._live_with_resources(tasks)
            else:
                current_lender.set(self.host.resources)
                await self._live(None)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001 - raised at the consumer
            self.crash(error)
        finally:
            self.voice.sink.end()
            if self.host is not None:
                self.host.conducting.discard(self)
            self.done.set()
            self.voice.forget_run()
            on_over, self.on_over = self.on_over, None
            if on_over is not None:
                on_over()
            if self.is_orphan:
                self.raise_unseen()

    def raise_unseen(self) -> None:
        """Let the program have what no consumer will: an interrupt, or a log record."""
        error, self.ledger.aborted = self.ledger.aborted, None
        if isinstance(error, KeyboardInterrupt | SystemExit):
            self.loop.interrupt(error)
        elif error is not None:
            _logger.error(
                "A run nobody reads has failed",
                exc_info=error,
                extra={"run": self.ledger.run_id},
            )

    async def _live_with_resources(self, listeners: Group) -> None:
        """Live with the host's resources, else with some of its own that end with it."""
        if self.host is not None:
            current_lender.set(self.host.resources)
            await self._live(listeners)
            return
        variables = copy_context()

        def spawn(func: Callable[..., Coroutine[Any, Any, object]], *args: Any) -> None:
            # Not with the variables of whichever step happens to ask first.
            variables.copy().run(listeners.start, func, *args)

        own = self.resources = Resources(spawn, self.loop.now)
        current_lender.set(own)
        try:
            await self._live(listeners)
        finally:
            if own.refuse():
                with anyio.CancelScope(shield=True):  # it says who is slow
                    await own.aclose()

    async def _live(self, tasks: Group | None) -> None:
        try:
            if await begin(self, tasks):
                await work(self, self.host or self._open_host(tasks))
        except anyio.get_cancelled_exc_class():
            self.stop(PipelineTerminalStatus.CANCELLED, OWNER_CANCELLED)
            await wind_up(self)  # noqa: ASYNC102 - shielded where it waits
            raise
        except BaseException as error:  # noqa: BLE001 - raised at the consumer
            self.crash(error)
        await wind_up(self)

    def _open_host(self, tasks: Group | None) -> Host:
        assert tasks is not None
        assert self.resources is not None
        return Host(
            tasks.start,
            self.loop.now,
            self.loop.watch_task(),
            new_signal=self.loop.new_signal,
            resources=self.resources,
        )

    def crash(self, error: BaseException) -> None:
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        cause = error if isinstance(error, Exception) else RuntimeError(repr(error))
        if self.ledger.aborted is None:
            self.ledger.aborted = error
            self.ledger.journal.add(
                Trouble(FailureKind.INFRA, FailureReason.INTERNAL_ERROR, cause)
            )
