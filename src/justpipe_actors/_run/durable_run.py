"""The parts of a run that differ for a durable one: last row, release, children.

A durable run stores its ``end`` row before FINISH is published, so that once FINISH was
seen the run has ended for every other process too.  A run that this process gives back
is *released*: nothing more is delivered, what runs may finish or wait, a last row is
stored, and then what is left is cancelled without a trace in the rows.  No FINISH is
published, because the run goes on elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from json.encoder import encode_basestring_ascii as quoted
from math import isfinite
from typing import TYPE_CHECKING, Any, cast

import anyio

from .._engine import routing
from .._engine.child_state import look_up
from .._engine.entity_values import dump_error
from .._engine.invocation import Invocation
from .._engine.journal_port import LastRow
from .._engine.restore import ReopenedChild, restore
from .._engine.run_state import ChildOutcome
from .._engine.step_call import isolated as isolated_state
from .._plan.failure_policy import Failure
from .._plan.state_parts import set_part
from .._util.stored_state import state_of
from ..errors import NotStorable, RecordedError, RunReleased
from ..events import EventType
from ..failures import FailureKind, FailureReason
from ..outcomes import PipelineEndData, PipelineTerminalStatus, StepTiming


if TYPE_CHECKING:
    from .._engine.journal_port import JsonValue
    from .._engine.run_journal import RunJournal
    from .run import Run


TAKEN_OVER = "another worker has taken it over"
"""Reason for releasing a run when another worker has begun to write its rows."""

UNSTORED = "it was interrupted while its end was being stored"
"""Reason for releasing a run when storing its last row was cancelled or has failed."""


def publish_beginning(run: Run, journal: RunJournal) -> None:
    """Publish that the run begins or was resumed; a child publishes it only once."""
    if journal.saved is None and journal.stream.incarnation == 1:
        run.publisher.publish(EventType.START, "system", run.request.state)
        return
    if journal.prefix:
        if journal.saved is None:
            run.publisher.publish(EventType.START, "system", run.request.state)
        return
    saved = journal.saved
    again = (
        [] if saved is None else [f"{run.run_state.run_id}:{n}" for n in saved.messages]
    )
    payload = {
        "incarnation": journal.stream.incarnation,
        "invocations": again,
        "version_changed": journal.is_changed,
    }
    run.publisher.publish(EventType.RECOVERED, "system", payload)


def begin_restored(
    run: Run, journal: RunJournal, start_roots: Callable[[Run], None]
) -> None:
    """Continue a run where it stopped; it ends if nothing of it is left."""
    assert journal.saved is not None
    run_state = run.run_state
    run_state.acquire_token()
    try:
        restore(journal)
        if not journal.saved.has_begun:
            start_roots(run)
    finally:
        run_state.release_token()


# -- the end


async def store_end(
    run: Run, end: PipelineEndData, build_end: Callable[[], PipelineEndData]
) -> PipelineEndData | None:
    """Store how a run has ended, and return it; None when another worker has the run.

    A state that cannot be stored fails a run that was about to succeed, too: the journal
    must not say success beside an older state.

    Args:
        run: the run.
        end: its end, if its state can be stored.
        build_end: returns its end after it has failed because of its state.
    """
    journal = run.run_state.journal
    assert journal is not None
    stored = end

    def revise() -> LastRow:
        nonlocal stored
        stored = build_end()
        return _last_row(stored, journal)

    try:
        if await journal.stream.close("end", _last_row(end, journal), revise):
            return stored
    except BaseException:
        if run.released is None:  # else a caller would wait for its end forever
            run.released = RunReleased(run.run_state.run_id, UNSTORED)
        journal.stream.seal()  # it is not an error of the run, so it is not recorded
        raise
    if run.released is None:
        run.released = RunReleased(run.run_state.run_id, TAKEN_OVER)
    return None


def _last_row(end: PipelineEndData, journal: RunJournal) -> LastRow:
    is_suspended = journal.suspended_at is not None
    is_success = end.status is PipelineTerminalStatus.SUCCESS
    return LastRow(
        "suspended" if is_suspended and is_success else end.status.value,
        outcome=dump_outcome(end, journal.suspended_at),
        problem=end.error,
    )


async def is_released(run: Run, journal: RunJournal) -> bool:
    """Return whether a run is released, not ended; store the release if needed."""
    stream = journal.stream
    if run.released is not None and not journal.prefix and not stream.is_sealed:
        await stream.close("release", LastRow("ready"))
    elif stream.is_releasing:
        await stream.wait_idle()  # the row that parks the run may be under way
    return stream.is_sealed


def is_being_parked(run: Run) -> bool:
    """Return whether the row that parks a run is under way."""
    journal = run.run_state.journal
    is_releasing = journal is not None and journal.stream.is_releasing
    return is_releasing and run.released is None


def dump_outcome(end: PipelineEndData, suspended_at: str | None) -> Callable[[], str]:
    """Return a function that returns how a run has ended as JSON text.

    The user's objects in the end are converted here, in the event loop; the returned
    function only formats text and is called in the writer's thread.
    """
    from .. import codec  # noqa: PLC0415 - imports cattrs, for durable runs only

    plain = codec.to_plain(_with_timings(end, {}))
    timings = {} if end.metrics is None else end.metrics.step_latency

    def text() -> str:
        figures = ",".join(
            f"{quoted(step)}:{_timing_text(one)}" for step, one in timings.items()
        )
        return (
            f'{{"end":{json.dumps(plain)},"timings":{{{figures}}},'
            f'"suspended":{json.dumps(suspended_at)}}}'
        )

    return text


def _timing_text(timing: StepTiming) -> str:
    """Return one step's figures as a JSON list.

    perf: ``repr`` of a float is a large part of it, and the three times of a step that
    ran once are the same (bench: durable chain).
    """
    total = _number(timing.total_s)
    if timing.count == 1:
        return f"[1,{total},{total},{total}]"
    shortest, longest = _number(timing.min_s), _number(timing.max_s)
    return f"[{timing.count},{total},{shortest},{longest}]"


def _number(seconds: float) -> str:
    """Return a duration as JSON; an event hook may have put any number there."""
    is_plain = type(seconds) is float and isfinite(seconds)
    return repr(seconds) if is_plain else json.dumps(seconds)


def load_outcome(value: JsonValue) -> PipelineEndData:
    """Return how a run has ended."""
    from .. import codec  # noqa: PLC0415 - as above

    plain = cast("dict[str, Any]", value)
    end = codec.from_plain(plain["end"], PipelineEndData)
    timings = {step: StepTiming(*one) for step, one in plain["timings"].items()}
    return _with_timings(end, timings)


def _with_timings(
    end: PipelineEndData, timings: dict[str, StepTiming]
) -> PipelineEndData:
    if end.metrics is None:
        return end
    return replace(end, metrics=replace(end.metrics, step_latency=timings))


def break_durable(run: Run, error: Exception) -> None:
    """Fail a run because its state cannot be stored; its last row is not changed."""
    journal = run.run_state.journal
    steps = [] if journal is None else list(journal.stream.ended_steps)
    if isinstance(error, NotStorable) and steps:
        names = ", ".join(f"'{step}'" for step in steps)
        reason = f"{error.reason} (since these steps ended: {names})"
        error = NotStorable(error.path, error.type, reason, error.remedy)
    step = steps[0] if len(steps) == 1 else None
    failure = Failure(FailureKind.INFRA, FailureReason.INTERNAL_ERROR, error, step)
    run.run_state.failures.add(failure)
    run.stop(PipelineTerminalStatus.FAILED, None)


# -- releasing


def request_release(run: Run, reason: str) -> None:
    """Release a durable run as soon as none of its user code is at work."""
    journal = run.run_state.journal
    if journal is None or run.released is not None or run.done.is_set():
        return
    run.released = RunReleased(run.run_state.run_id, reason)
    stream = journal.stream
    stream.is_releasing = True
    if not run.is_working:
        if run.scope is not None:
            run.scope.cancel()
        return
    for member in list(stream.members):
        member.take_back()
    run.run_state.needs_attention.set()
    stream.check_rest()


def lost(run: Run) -> None:
    """Stop a run at once that another worker has taken over."""
    if run.released is None:
        run.released = RunReleased(run.run_state.run_id, TAKEN_OVER)
    run.run_state.needs_attention.set()
    run.stop(PipelineTerminalStatus.CANCELLED, TAKEN_OVER)


def parked(run: Run) -> None:
    """Remove a run from memory because it only waits between steps."""
    run.is_parked = True
    run.run_state.interrupt(PipelineTerminalStatus.CANCELLED, "it waits")
    run.run_state.needs_attention.set()


async def finish_release(run: Run) -> None:
    """Store the last row of a run that is released, and cancel its remaining tasks."""
    journal = run.run_state.journal
    assert journal is not None
    assert run.released is not None
    stream = journal.stream
    if not stream.is_sealed:
        with anyio.CancelScope(shield=True):
            await stream.rest.wait()
            await stream.close("release", LastRow("ready"))
    stream.seal()
    run.run_state.interrupt(PipelineTerminalStatus.CANCELLED, run.released.reason)


# -- time


def rearm_timers(run: Run) -> None:
    """Compute again what is left of each timer, because the clock has jumped."""
    journal = run.run_state.journal
    if journal is None or journal.stream.is_sealed:
        return
    stream = journal.stream
    for member in list(stream.members):
        if member.run_state.waits is not None:
            member.run_state.waits.rearm()
        for (join, wave), due in list(member.due.items()):
            left = due - stream.wall_now()
            routing.rearm_timer(member.run_state, join, wave, stream.now() + left)
    if run.time_limit is not None and stream.deadline is not None:
        left = stream.deadline - stream.wall_now()
        run.time_limit.deadline = stream.now() + max(left, 0.0)


# -- children


def child_of(
    journal: RunJournal, number: int, pipe: object, state: object
) -> tuple[object, object, ChildOutcome | None]:
    """Return the pipe and the state of a child run, and how it ended if it has.

    Args:
        journal: the parent's.
        number: the message of the parent's invocation.
        pipe: the child's pipe, or its name.
        state: its state, or what was recorded of a child that had begun.
    """
    if isinstance(pipe, str):
        pipe = journal.stream.find_pipe(pipe)
    if not isinstance(state, ReopenedChild):
        return pipe, state, None
    if state.outcome is not None:
        journal.take_outcome(number)
        return pipe, None, load_child_outcome(state.outcome)
    if state.path is not None:
        return pipe, look_up(journal.run_state.state, state.path), None
    value = state_of(state.saved.parts)
    plan = cast("Any", pipe).plan()
    version = state.saved.counters.get("v")
    if plan.migrate is not None and version not in {
        None,
        journal.stream.version_of(plan),
    }:
        value = plan.migrate(value, version)
    return pipe, journal.stream.codec.load_state(plan, value), None


def adopt_copy(invocation: Invocation, reopened: ReopenedChild, state: object) -> None:
    """Give an invocation back the copy of the state that its child had begun with.

    Args:
        invocation: an invocation of an isolated run.
        reopened: its child.
        state: the child's state, which is the copy, or a part of it.
    """
    if reopened.origin is None:
        return
    journal = invocation.run_state.journal
    assert journal is not None
    value, path = reopened.origin
    plan, codec = journal.run_state.plan, journal.stream.codec
    copied, base = codec.load_state(plan, value), codec.load_state(plan, value)
    if not path:
        copied = state
    else:
        set_part(look_up(copied, path[:-1]), path[-1], state)
    isolated_state(invocation).adopt(copied, base)


def dump_child_outcome(outcome: ChildOutcome) -> JsonValue:
    """Return how a child has ended as a JSON value."""
    return {
        "status": outcome.status.value,
        "error": None if outcome.error is None else dump_error(outcome.error),
        "step": outcome.step,
        "text": outcome.text,
        "suspended": outcome.suspended,
    }


def load_child_outcome(value: JsonValue) -> ChildOutcome:
    """Return how a child has ended."""
    found = cast("dict[str, Any]", value)
    error = found["error"]
    return ChildOutcome(
        PipelineTerminalStatus(found["status"]),
        None if error is None else RecordedError(*error),
        found["step"],
        found["text"],
        found["suspended"],
    )
