"""Commit an invocation synchronously: its last event first, then its messages.

Nothing here awaits, so no other step runs between the last event, the changes of the
run's state and the messages to the successors.  Consumers therefore see the end of a
step before the start of its successors, and a batch of the journal has all of it or
nothing.  What a result means is decided before, in ``_plan/step_results.py``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import FunctionType
from typing import TYPE_CHECKING, assert_never

from .. import _engine
from .._plan.failure_policy import Cancelled, escalate
from .._plan.plan import Node, StepNode, SwitchNode
from .._plan.step_results import (
    PROCEED,
    AskBetween,
    CollectValue,
    FailStep,
    Proceed,
    RetryStep,
    SkipSuccessors,
    StartChildRun,
    StartMap,
    StartNamedStep,
    StepResult,
    StopRun,
    SuspendRun,
)
from .._publishing.invocation_ids import NO_IDS
from .._publishing.lazy_events import STEP_END
from .._util.blocking_calls import BLOCKING_LIMIT
from .._util.callables import unwrap_function
from .._util.text import safe_str
from .._util.user_objects import warn_or_log
from ..errors import AskTimeout, IgnoredValueWarning, StepAborted
from ..events import EventType
from ..meta import StepStatus
from ..outcomes import PipelineTerminalStatus
from ..signals import Ask, Raise, Retry, Skip, Suspend
from . import routing
from .blocking import check_whole_call
from .failure_reports import report_failure
from .invocation import Invocation
from .joins import ARRIVED, Report
from .messages import Start
from .run_state import RunState, waits_of


if TYPE_CHECKING:
    from .journal_port import JsonValue
    from .wait_records import Place


_SIGNALS = (Suspend, Retry, Skip, Raise, Ask)
"""Signals that a step must return as instances and not as classes."""

# perf: see ``_publishing.lazy_events``.
_SUCCESS = StepStatus.SUCCESS


def publish_step_end(invocation: Invocation) -> None:
    """Publish STEP_END."""
    run_state, node, status = (
        invocation.run_state,
        invocation.actor.node,
        invocation.status,
    )
    began = invocation.began
    seconds = 0.0 if began is None else run_state.system.now() - began
    if status is _SUCCESS:
        if seconds > BLOCKING_LIMIT:
            check_whole_call(invocation, seconds)
        run_state.metrics.add_step_time(node.name, seconds)
    notes = invocation.notes
    noted = notes.noted
    run_state.publisher.publish(
        STEP_END,
        node.name,
        run_state.state,
        node.kind,
        invocation.ids,
        (seconds, status, notes.tries, None if noted is None else noted.snapshot()),
    )


def publish_suspend(invocation: Invocation, reason: object) -> None:
    """Publish SUSPEND."""
    invocation.run_state.publisher.publish(
        EventType.SUSPEND, invocation.node.name, reason, ids=invocation.ids
    )


def warn_ignored(invocation: Invocation, value: object) -> None:
    """Warn of a result that is ignored; the result of a switch is never ignored."""
    if isinstance(invocation.node, SwitchNode):
        return
    name = f"Step '{invocation.node.name}'"
    if invocation.status is StepStatus.ERROR:
        name = f"The error handler of step '{invocation.node.name}'"
    text = (
        f"{name} returned {type(value).__name__}, which is ignored; "
        "mutate state, or yield to stream values."
    )
    if isinstance(value, type) and any(value is one for one in _SIGNALS):
        signal = value.__name__
        text = f"{name} returned the class {signal}, which is ignored; return {signal}(...)."
    elif _are_steps(value, invocation.run_state.plan.nodes):
        text = (
            f"{name} returned {type(value).__name__} of step names, which is ignored; "
            "return one name, or start several steps with to=."
        )
    elif isinstance(value, FunctionType):
        function = value.__name__
        text = (
            f"{name} returned the function {function}, which is ignored; return the name "
            f"'{function}' to go to the step of this name."
        )
    warn_or_log(text, _warn_at, invocation.node.func, text)


def _are_steps(value: object, nodes: Mapping[str, Node]) -> bool:
    """Tell whether a function has returned the names of several steps."""
    if not isinstance(value, list | tuple | set) or not value:
        return False
    return all(isinstance(name, str) and name in nodes for name in value)


def _warn_at(func: object, text: str) -> None:
    """Warn at the line of a user's function, once where warnings are shown once."""
    inner = unwrap_function(func)
    code = getattr(inner, "__code__", None)
    if code is None:
        warnings.warn(text, IgnoredValueWarning, stacklevel=3)
        return
    warnings.warn_explicit(
        text,
        IgnoredValueWarning,
        code.co_filename,
        code.co_firstlineno,
        module=getattr(inner, "__module__", None),
        registry=inner.__globals__.setdefault("__warningregistry__", {}),
    )


def commit_result(invocation: Invocation, answer: StepResult) -> None:  # noqa: C901, PLR0912, PLR0915 - one row an answer
    """Publish an invocation's last event and put what follows from it."""
    if answer is PROCEED:  # perf: nearly every step; spares a match (bench: chain)
        publish_step_end(invocation)
        _report(invocation, ARRIVED)
        return
    match answer:
        case Proceed():
            if answer.ignored is not None:
                warn_ignored(invocation, answer.ignored)
            publish_step_end(invocation)
            _report(invocation, Report.PRUNED if answer.pruned else Report.ARRIVED)
        case CollectValue():
            _keep_result(invocation, answer)
            publish_step_end(invocation)
            _report(invocation, Report.ARRIVED)
        case FailStep():
            _fail(invocation, answer)
        case RetryStep() if not invocation.run_state.halted:
            _retry(invocation)
        case SuspendRun(reason):
            _pause(invocation, reason)
        case StopRun():
            publish_step_end(invocation)
            invocation.run_state.halt()
        case AskBetween():
            publish_step_end(invocation)
            if not invocation.run_state.halted:
                waits = waits_of(invocation.run_state)
                waits.open_between(invocation, answer, fail_between)
        case StartNamedStep(target):
            _go_to(invocation, target)
        case SkipSuccessors() | RetryStep():
            publish_step_end(invocation)
            _report(invocation, Report.PRUNED)
        case StartMap() | StartChildRun():
            msg = f"{type(answer).__name__} was never carried out"
            raise AssertionError(msg)
        case _:
            assert_never(answer)


def _keep_result(invocation: Invocation, answer: CollectValue) -> None:
    """Store a worker's value in its map, if the map collects results."""
    message, journal = invocation.message, invocation.run_state.journal
    mapping = invocation.run_state.maps.get(message.map_id or "")
    if mapping is None:
        return
    mapping.results[message.item_index] = answer.value
    if journal is not None:
        journal.maps.keep_result(mapping, message.item_index, answer.stored)


def release_map_slot(invocation: Invocation) -> None:
    """Free the slot of a finished worker in its map."""
    if invocation.ids is not NO_IDS:
        invocation.run_state.metrics.workers -= 1
    if (
        mapping := invocation.run_state.maps.get(invocation.message.map_id or "")
    ) is not None:
        mapping.item_done(failed=invocation.failed)
        if invocation.failed and invocation.run_state.journal is not None:
            invocation.run_state.journal.maps.changed(mapping)


def commit_expiry(invocation: Invocation, answer: StepResult) -> None:
    """Put what follows from a barrier's timeout; the join itself does not run."""
    run_state, node = invocation.run_state, invocation.node
    wave = run_state.wave_of(invocation.message)
    report = Report.PRUNED
    match answer:
        case FailStep():
            _fail(invocation, answer)
            return
        case StartNamedStep(target):
            report = Report.ABSENT
            if not run_state.halted and routing.start_named_step(
                run_state, wave, node, target
            ):
                return
        case RetryStep():
            if not run_state.halted:
                routing.start_step(run_state, node.name, wave)
            return
        case SuspendRun(reason):
            publish_suspend(invocation, reason)
            if run_state.journal is not None:
                run_state.journal.suspended_at = node.name
            run_state.halt()
        case StopRun():
            run_state.halt()
        case (
            Proceed()
            | CollectValue()
            | SkipSuccessors()
            | StartMap()
            | StartChildRun()
            | AskBetween()
        ):
            pass
        case _:
            assert_never(answer)
    routing.report_to_successors(run_state, wave, node, report)


def _report(invocation: Invocation, report: Report, chosen: str | None = None) -> None:
    node, run_state = invocation.actor.node, invocation.run_state
    if node.is_leaf or run_state.halted:
        return
    message, cause = invocation.message, invocation.ids.invocation
    # perf: ``wave_of`` opens a wave only for some map workers (bench: chain).
    wave = run_state.waves.get(message.wave) or run_state.wave_of(message)
    if report is ARRIVED and node.starts_successors_directly:
        routing.start_successors(run_state, wave, node, cause)
        return
    routing.report_to_successors(
        run_state, wave, node, report, chosen=chosen, cause=cause
    )


def _go_to(invocation: Invocation, target: str) -> None:
    """Start a step by name; report to the other targets that they were not chosen."""
    publish_step_end(invocation)
    if invocation.run_state.halted:
        return
    wave = invocation.run_state.wave_of(invocation.message)
    scope = invocation.ids.scope
    cause = invocation.ids.invocation
    if routing.start_named_step(
        invocation.run_state, wave, invocation.node, target, cause=cause, scope=scope
    ):
        return
    routed = isinstance(invocation.node, StepNode)
    _report(invocation, Report.ABSENT if routed else Report.ARRIVED, chosen=target)


def _pause(invocation: Invocation, reason: object) -> None:
    publish_suspend(invocation, reason)
    publish_step_end(invocation)
    if invocation.run_state.journal is not None:
        invocation.run_state.journal.suspended_at = invocation.node.name
    invocation.run_state.halt()


def _retry(invocation: Invocation) -> None:
    """Put the next attempt: same wave, same item, same slot, one more on the count."""
    invocation.retried = True
    if invocation.run_state.waits is not None:
        records = invocation.run_state.waits.records
        origin = _engine.wait_records.origin_of(invocation)
        records.retried.add(origin)
    old = invocation.message
    routing.send(
        invocation.run_state,
        invocation.run_state.wave_of(old),
        Start(
            run_id=old.run_id,
            step=old.step,
            wave=old.wave,
            cause=invocation.ids.invocation,
            item=old.item,
            map_id=old.map_id,
            scope=old.scope,
            attempt=invocation.ids.attempt + 1,
            owner=invocation.ids.owner,
            origin=old.origin or old.id,
        ),
    )


# -- failures


def _fail(invocation: Invocation, failure: FailStep) -> None:
    """Record a failure that no handler handled, and apply its consequences."""
    verdict = escalate(failure.error, 0, ())
    if isinstance(verdict, Cancelled):
        _cancel(invocation, verdict.reason)
        return
    invocation.failed = True
    run_state = invocation.run_state
    report_failure(invocation, failure.error, failure.step or invocation.node.name)
    if run_state.journal is not None:
        notes = _retry_notes(run_state, invocation.node, failure.error)
        run_state.journal.note_failed(invocation.message, notes)
    if isinstance(failure.error, StepAborted):
        cause = failure.error.__cause__
        run_state.crash(failure.error if cause is None else cause)
    elif run_state.plan.on_failure == "stop":
        run_state.interrupt(PipelineTerminalStatus.FAILED, None)
    else:
        goes_on = (
            run_state.plan.on_failure == "continue" and invocation.ids is not NO_IDS
        )
        _report(invocation, Report.ARRIVED if goes_on else Report.PRUNED)


def _retry_notes(
    run_state: RunState, node: Node, error: Exception
) -> dict[str, JsonValue]:
    """Return the facts about a failure that a retry of a durable run needs."""
    notes: dict[str, JsonValue] = {}
    if run_state.plan.on_failure == "continue" and not node.is_leaf:
        notes["on"] = True
    if isinstance(error, AskTimeout):
        notes["late"] = True  # the question is asked again
    return notes


def fail_between(run_state: RunState, place: Place, error: Exception) -> None:
    """Record that a step failed after its end: its question was not answered."""
    run_state.add_failure(error, place.node.name)
    if run_state.journal is not None:
        run_state.journal.note_failed_between(
            place, _retry_notes(run_state, place.node, error)
        )
    run_state.publisher.publish(
        EventType.STEP_ERROR,
        place.node.name,
        safe_str(error),
        place.node.kind,
        place.ids,
    )
    if run_state.plan.on_failure == "stop":
        run_state.interrupt(PipelineTerminalStatus.FAILED, None)
        return
    report = Report.PRUNED
    if run_state.plan.on_failure == "continue":
        report = Report.ARRIVED
    routing.report_to_successors(
        run_state,
        run_state.waves[place.wave],
        place.node,
        report,
        cause=place.ids.invocation,
    )


def _cancel(invocation: Invocation, reason: str) -> None:
    """Record a step's cancellation: running steps may finish, no new step starts."""
    invocation.run_state.publisher.publish(
        EventType.CANCELLED,
        invocation.node.name,
        reason,
        invocation.node.kind,
        invocation.ids,
    )
    invocation.run_state.cancel_by_token(reason)
