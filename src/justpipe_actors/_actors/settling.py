"""What follows from an invocation: its last event, then its outputs.  Synchronous."""

from __future__ import annotations

from typing import assert_never

from .._failure.escalate import Cancelled, escalate
from .._plan.answers import (
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
from .._plan.nodes import StepNode
from ..errors import StepAborted
from ..events import EventType
from ..outcomes import PipelineTerminalStatus
from . import flow, posting, saying
from .activation import Activation
from .gate import Report
from .messages import Start
from .voices import NO_LINEAGE


def settle(act: Activation, answer: Answer) -> None:  # noqa: C901 - one row an answer
    """Publish an invocation's last event and put what follows from it."""
    match answer:
        case Proceed():
            if answer.ignored is not None:
                saying.warn_ignored(act, answer.ignored)
            saying.say_end(act)
            _tell(act, Report.PRUNED if answer.pruned else Report.ARRIVED)
        case Fail():
            _fail(act, answer)
        case Again() if not act.ledger.halted:
            _retry(act)
        case Pause(reason):
            _pause(act, reason)
        case Halt():
            saying.say_end(act)
            act.ledger.halt()
        case GoTo(target):
            _go(act, target)
        case Cut() | Again():
            saying.say_end(act)
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
            saying.say_suspend(act, reason)
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
    saying.say_end(act)
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
    saying.say_suspend(act, reason)
    saying.say_end(act)
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
    saying.log_failure(act, failure.error)
    saying.say_error(act, failure.error)
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
