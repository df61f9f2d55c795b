"""What becomes of an invocation when it, or whoever performs it, breaks.

A function that fails is data (``blamed``).  A cancellation is ours or foreign (``blamed``
too).  What is left is neither: a defect of the engine, or a receiver killed past all
scopes.  Its message is buried, and its run ends; no other run hears of it.
"""

from __future__ import annotations

from math import inf

import anyio

from .._plan.answers import Fail
from ..errors import ForeignCancellation, ReceiverKilled, StepAborted
from ..outcomes import PipelineTerminalStatus
from .activation import Activation
from .blame import blamed
from .ledger import Ledger
from .messages import Message


OWNER_CANCELLED = "The run's owner was cancelled"
"""Why a run ended when what it ran in was cancelled."""

TASK_CANCELLED = "A task of the run was cancelled from outside"
"""Why it ended when one of its own tasks was, past all scopes."""


def failure_of(act: Activation, error: BaseException) -> Fail | None:
    """Turn whatever user code raised into an answer; None for our own cancellation."""
    host = act.ledger.host
    culprit = blamed(error, act.node.name, host.is_owner_cancelled)
    if culprit is None:
        return None
    if isinstance(culprit, ForeignCancellation) and host.outlive_kill():
        _bury_killed(act)
    return Fail(culprit) if isinstance(culprit, Exception) else _abort(act, culprit)


def _bury_killed(act: Activation) -> None:
    killed = ReceiverKilled(act.node.name)
    act.ledger.host.bury(act.ledger, act.message, "its receiver was killed", killed)


def _abort(act: Activation, error: BaseException) -> Fail:
    act.ledger.aborted = act.ledger.aborted or error
    failure = StepAborted(act.node.name, type(error).__name__)
    failure.__cause__ = error
    return Fail(failure)


def is_outlived(ledger: Ledger, message: Message) -> bool:
    """Tell whether the receiver goes on although it was cancelled, and end the run.

    It does when it was killed between its run's own functions.  Else the invocation is
    gone, and with it the run, unless that is what ended the invocation.
    """
    is_owner = anyio.current_effective_deadline() == -inf
    if not is_owner and ledger.host.outlive_kill():
        bury(ledger, message, ReceiverKilled(message.step))
        return True
    if ledger.ending is None:
        # Its own conductor may be the one that performs this.
        is_owner = is_owner or ledger.host.is_owner_cancelled()
        reason = OWNER_CANCELLED if is_owner else TASK_CANCELLED
        ledger.interrupt(PipelineTerminalStatus.CANCELLED, reason)
    return False


def bury(ledger: Ledger, message: Message, error: BaseException) -> None:
    """Report a message that broke what performed it, and end its run for it."""
    ledger.host.bury(ledger, message, "it ended its run", error)
    ledger.crash(error)
