"""One run, as everybody else sees it; what happens in it is ``conducting``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar

import anyio
import attrs
from anyio.abc import TaskGroup

from .._actors.bell import Latch
from .._actors.ledger import Ledger
from .._actors.parts import Stage
from .._actors.resources import Resources
from .._failure.journal import Ending, Trouble
from ..failures import FailureKind, FailureReason
from ..meta import RunNotes
from ..outcomes import PipelineEndData, PipelineTerminalStatus
from .grace import WANTED_OVER, Grace
from .hosting import Loop
from .order import Order
from .voice import RunVoice


_logger = logging.getLogger("justpipe_actors")

inside_runs: ContextVar[tuple[str, ...]] = ContextVar(
    "justpipe_actors_inside_runs", default=()
)
"""The runs on whose behalf code is running, parents included."""


@attrs.define(eq=False, repr=False)
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
    began: float | None = attrs.field(default=None, init=False)
    """When it began, in the loop's seconds; None before that."""

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
        return 0.0 if self.began is None else self.loop.now() - self.began

    @property
    def is_alive(self) -> bool:
        """Whether it has begun and is not over."""
        return self.began is not None and not self.done.is_set()

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

    def crash(self, error: BaseException) -> None:
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        cause = error if isinstance(error, Exception) else RuntimeError(repr(error))
        if self.ledger.aborted is None:
            self.ledger.aborted = error
            self.ledger.journal.add(
                Trouble(FailureKind.INFRA, FailureReason.INTERNAL_ERROR, cause)
            )
