"""What follows from an invocation: its last event, then its outputs.  Synchronous."""

from __future__ import annotations

import logging
import traceback
import warnings
from typing import assert_never

from .._plan.failure_policy import Cancelled, escalate
from .._plan.plan import StepNode, SwitchNode
from .._plan.step_results import (
    Again,
    Answer,
    Cut,
    Descend,
    Fail,
    FanOut,
    GoTo,
    Halt,
    Pause,
    Proceed,
)
from .._util.text import text_of
from ..errors import IgnoredValueWarning, StepAborted
from ..events import EventType, NodeKind
from ..meta import StepStatus
from ..outcomes import PipelineTerminalStatus
from . import routing as flow, routing as posting
from .invocation import Activation
from .joins import Report
from .messages import Start
from .protocols import NO_LINEAGE
from .run_state import Ledger


TRACEBACK_LIMIT = 4000
"""Characters of a traceback an event carries."""

STATE_LIMIT = 1000
"""Characters of the state the error log shows."""


def log_failure(act: Activation, error: Exception) -> None:
    """Log a failure nobody handled, with the state if it may be shown."""
    ledger = act.ledger
    kind = type(error).__name__
    message = f"Step '{act.node.name}' failed with {kind}: {text_of(error)}"
    extra = {
        "step_name": act.node.name,
        "error_type": kind,
        "state_type": type(ledger.state).__name__,
        "run_id": ledger.run_id,
        # The words every record of the library uses; those above are the reference's.
        "run": ledger.run_id,
        "step": act.node.name,
        "actor": f"{ledger.plan.name}/{act.node.name}",
        "attempt": act.lineage.attempt,
    }
    logging.getLogger().error("%s%s", message, _state_text(ledger), extra=extra)


def _state_text(ledger: Ledger) -> str:
    if not ledger.log_state:
        return ""
    if ledger.log_state is True:
        return f"\nState: {text_of(ledger.state, limit=STATE_LIMIT)}"
    try:
        return f"\nState: {ledger.log_state(ledger.state)[:STATE_LIMIT]}"
    except Exception as error:  # noqa: BLE001 - the user's redaction is not our run
        return f"\nState: <redaction raised {type(error).__name__}>"


def say_end(act: Activation) -> None:
    """Publish STEP_END."""
    ledger, name, said = act.ledger, act.actor.node.name, act.notes.said
    assert said is not None
    seconds = act.seconds
    if act.status is StepStatus.SUCCESS:
        ledger.tally.time(name, seconds)
    notes = act.snapshot(seconds)
    ledger.voice.say_on(said, EventType.STEP_END, name, ledger.state, notes)


def say_error(act: Activation, error: Exception) -> None:
    """Publish STEP_ERROR, with the traceback if it is an invocation's."""
    is_invocation = act.lineage is not NO_LINEAGE
    meta = act.snapshot(act.seconds) if is_invocation else None
    if meta is not None:
        trace = "".join(_format(error))[-TRACEBACK_LIMIT:]
        meta["framework"].update(  # type: ignore[attr-defined]
            error_type=type(error).__name__, traceback=trace
        )
    kind = act.node.kind if is_invocation else NodeKind.STEP
    act.ledger.voice.say(
        EventType.STEP_ERROR, act.node.name, text_of(error), kind, act.lineage, meta
    )


def _format(error: Exception) -> list[str]:
    try:
        return traceback.format_exception(error)
    except Exception:  # noqa: BLE001 - an exception may misbehave when formatted
        return [text_of(error, typed=True)]


def say_suspend(act: Activation, reason: object) -> None:
    """Publish SUSPEND."""
    act.ledger.voice.say(EventType.SUSPEND, act.node.name, reason, lineage=act.lineage)


def warn_ignored(act: Activation, value: object) -> None:
    """Warn of a result that means nothing; a switch's always means something."""
    if isinstance(act.node, SwitchNode):
        return
    text = (
        f"Step '{act.node.name}' returned {type(value).__name__}, which is ignored; "
        "mutate state, or yield to stream values."
    )
    try:
        warnings.warn(text, IgnoredValueWarning, stacklevel=2)
    except Exception:  # noqa: BLE001 - warnings turned into errors end no run
        logging.getLogger("justpipe_actors").warning("%s", text)


def settle(act: Activation, answer: Answer) -> None:  # noqa: C901 - one row an answer
    """Publish an invocation's last event and put what follows from it."""
    match answer:
        case Proceed():
            if answer.ignored is not None:
                warn_ignored(act, answer.ignored)
            say_end(act)
            _tell(act, Report.PRUNED if answer.pruned else Report.ARRIVED)
        case Fail():
            _fail(act, answer)
        case Again() if not act.ledger.halted:
            _retry(act)
        case Pause(reason):
            _pause(act, reason)
        case Halt():
            say_end(act)
            act.ledger.halt()
        case GoTo(target):
            _go(act, target)
        case Cut() | Again():
            say_end(act)
            _tell(act, Report.PRUNED)
        case FanOut() | Descend():
            msg = f"{type(answer).__name__} was never carried out"
            raise AssertionError(msg)
        case _:
            assert_never(answer)


def leave_fan(act: Activation) -> None:
    """Free the place in its map of a worker that is finished."""
    if act.lineage is not NO_LINEAGE:
        act.ledger.tally.workers -= 1
    if (fan := act.ledger.fans.get(act.message.fan or "")) is not None:
        fan.item_done(failed=act.failed)


def settle_expiry(act: Activation, answer: Answer) -> None:  # noqa: C901 - one row an answer
    """Put what follows from a barrier's timeout; the join itself does not run."""
    ledger, node = act.ledger, act.node
    wave = ledger.wave_of(act.message)
    report = Report.PRUNED
    match answer:
        case Fail():
            _fail(act, answer)
            return
        case GoTo(target):
            report = Report.ABSENT
            if not ledger.halted and flow.jump(ledger, wave, node, target):
                return
        case Again():
            if not ledger.halted:
                flow.begin(ledger, node.name, wave)
            return
        case Pause(reason):
            say_suspend(act, reason)
            ledger.halt()
        case Halt():
            ledger.halt()
        case Proceed() | Cut() | FanOut() | Descend():
            pass
        case _:
            assert_never(answer)
    flow.spread(ledger, wave, node, report)


def _tell(act: Activation, report: Report, chosen: str | None = None) -> None:
    node, ledger = act.actor.node, act.ledger
    if node.leads_nowhere:
        return
    wave, cause = ledger.wave_of(act.message), act.lineage.invocation
    flow.spread(ledger, wave, node, report, chosen=chosen, cause=cause)


def _go(act: Activation, target: str) -> None:
    """Start a step by name; the ways not taken hear that they were not."""
    say_end(act)
    if act.ledger.halted:
        return
    wave = act.ledger.wave_of(act.message)
    scope = act.lineage.scope
    cause = act.lineage.invocation
    if flow.jump(act.ledger, wave, act.node, target, cause=cause, scope=scope):
        return
    routed = isinstance(act.node, StepNode)
    _tell(act, Report.ABSENT if routed else Report.ARRIVED, chosen=target)


def _pause(act: Activation, reason: object) -> None:
    say_suspend(act, reason)
    say_end(act)
    act.ledger.halt()


def _retry(act: Activation) -> None:
    """Put the next attempt: same wave, same item, same slot, one more on the count."""
    act.retried = True
    old = act.message
    posting.send(
        act.ledger,
        act.ledger.wave_of(old),
        Start(
            run_id=old.run_id,
            step=old.step,
            wave=old.wave,
            cause=act.lineage.invocation,
            item=old.item,
            fan=old.fan,
            scope=old.scope,
            attempt=act.lineage.attempt + 1,
            owner=act.lineage.owner,
        ),
    )


# -- failures


def _fail(act: Activation, failure: Fail) -> None:
    verdict = escalate(failure.error, 0, ())
    if isinstance(verdict, Cancelled):
        _cancel(act, verdict.reason)
        return
    act.failed = True
    ledger = act.ledger
    ledger.blame(failure.error, failure.step or act.node.name)
    log_failure(act, failure.error)
    say_error(act, failure.error)
    if isinstance(failure.error, StepAborted):
        ledger.crash(failure.error.__cause__ or failure.error)
    elif ledger.plan.on_failure == "stop":
        ledger.interrupt(PipelineTerminalStatus.FAILED, None)
    else:
        goes_on = ledger.plan.on_failure == "continue" and act.lineage is not NO_LINEAGE
        _tell(act, Report.ARRIVED if goes_on else Report.PRUNED)


def _cancel(act: Activation, reason: str) -> None:
    """A cancellation nobody swallowed: what runs may finish, nothing new starts."""
    act.ledger.voice.say(
        EventType.CANCELLED, act.node.name, reason, act.node.kind, act.lineage
    )
    act.ledger.cancelled_by_token(reason)
