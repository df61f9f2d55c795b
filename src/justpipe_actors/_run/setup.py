"""Setting up a run, and running a child pipe on behalf of a step.

``new_run`` compiles the plan, binds ``Meta`` on the context, and connects publisher,
observers, recorder and journal; it starts no task.  A child run is set up the same way,
but uses the actor system, the publisher and the journal of its parent.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from .. import _engine, _run
from .._backends import Loop, current_loop
from .._definition.injection import meta_attributes
from .._engine.actor_system import ActorSystem
from .._engine.invocation import Invocation
from .._engine.run_state import ChildOutcome, RunState
from .._engine.user_code import drive_in_context
from .._plan.failure_policy import Failure
from .._publishing.event_publisher import ChildRunSink, EventPublisher, EventSink
from .._publishing.observers import (
    NO_OBSERVERS,
    ObserverGroup,
    ObserverTask,
    RecorderObserver,
)
from .._util import failpoints
from .._util.failpoints import Seam
from ..abc import ObserverMeta, WaitingJoin
from ..errors import DefinitionError, NestedTooDeeply
from ..failures import FailureKind
from ..meta import MetaProxy, RunNotes, current_run_notes
from ..outcomes import PipelineTerminalStatus
from .lifecycle import execute_run
from .run import Run, RunRequest


if TYPE_CHECKING:
    from .._engine.isolation import IsolatedState
    from .._engine.run_journal import RunJournal


PipeT = TypeVar("PipeT")

Override = Callable[[], Any]
"""Returns the pipe that replaces another one; None if it no longer exists."""

_NO_OVERRIDES: Mapping[Any, Override] = MappingProxyType({})

active_overrides: ContextVar[Mapping[Any, Override]] = ContextVar(
    "justpipe_actors_stand_ins", default=_NO_OVERRIDES
)
"""Overrides of pipes in this context; only tests set them."""


def override_of(pipe: PipeT) -> PipeT | None:
    """Return the pipe that replaces this one in the current context."""
    found = active_overrides.get().get(pipe)
    override: PipeT | None = found() if found is not None else None
    return override


def bind_meta(context: object, metadata: Mapping[str, object]) -> RunNotes:
    """Make the notes of a new run, and put a proxy on the context if it asks for one.

    All runs that share the context share the proxy.  The proxy decides at each use
    which run's notes it shows.

    Raises:
        DefinitionError: the context asks twice, or cannot be written to.
    """
    notes = RunNotes(metadata)
    if (name := _meta_attribute(context)) is None:
        return notes
    _check_mutable(context, name)
    proxy = getattr(context, name, None)
    if isinstance(proxy, MetaProxy):
        proxy.latest = notes
    else:
        setattr(context, name, MetaProxy(notes))
    return notes


def _meta_attribute(context: object) -> str | None:
    if context is None:
        return None
    kind: type = type(context)
    names = meta_attributes(kind)
    if len(names) > 1:
        msg = (
            f"Only one Meta field is allowed on {type(context).__name__}, "
            f"found {', '.join(names)}."
        )
        raise DefinitionError(msg)
    return names[0] if names else None


def _check_mutable(context: object, name: str) -> None:
    kind = type(context)
    if dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        msg = (
            f"{kind.__name__}.{name} asks for Meta, which needs a mutable context; "
            "remove frozen=True."
        )
        raise DefinitionError(msg)


MAX_NESTED_RUNS = 500
"""Most nested runs; without a limit, a pipe that contains itself would not end."""


def new_run(
    request: RunRequest, loop: Loop, sink: EventSink, system: ActorSystem | None
) -> Run:
    """Set up a run; ``execute_run`` starts it.

    Raises:
        DefinitionError: the context cannot take the ``Meta`` it asks for, or the state
            cannot be isolated.
    """
    notes = bind_meta(request.context, request.plan.metadata)
    notes.about = (request.run_id, request.plan.name)
    observers = _observers_of(request, loop, lambda: run_state.waiting())
    publisher = EventPublisher(request.run_id, tuple(request.hooks), observers, sink)
    start = request.start
    run_state = RunState(
        run_id=request.run_id,
        plan=request.plan,
        state=request.state,
        context=request.context,
        token=request.token.child(),
        publisher=publisher,
        variables=copy_context(),
        # The run opens a private actor system itself, before its first message.
        system=system,  # type: ignore[arg-type]
        start_child=run_child,
        metrics=publisher.metrics,
        log_state=request.log_state,
        isolation=_isolated(request),
        start=start,
        reached=request.plan.reachable(start) if start is not None else None,
    )
    run = Run(request, loop, publisher, run_state, notes, system)
    if request.open_journal is not None:
        journal = run_state.journal = request.open_journal(run)
        publisher.begin_incarnation(journal.stream.incarnation)
        journal.adopt_notes(notes)
        if journal.saved is not None:
            run_state.termination = journal.saved.termination
            if run_state.termination is not None:
                _engine.restore.restore_log(run_state, journal.saved)
    if publisher.hooks:
        publisher.on_hook_failure = run.abort
    for member in observers.members:
        member.on_abort = run.abort
    return run


def _isolated(request: RunRequest) -> IsolatedState | None:
    """Return the isolated state; None if the invocations share the state.

    Raises:
        StateNotCopyable: a part cannot be copied, or does not equal its own copy.
    """
    if not request.plan.is_isolated:
        return None
    rule = request.plan.state_rule
    assert rule is not None
    isolation = _engine.isolation.IsolatedState(request.state, rule)
    isolation.check()
    return isolation


def _observers_of(
    request: RunRequest, loop: Loop, waiting: Callable[[], tuple[WaitingJoin, ...]]
) -> ObserverGroup:
    if not request.observers and request.record is None:
        return NO_OBSERVERS
    members: list[ObserverTask | RecorderObserver] = []
    if request.observers:
        meta = ObserverMeta(request.plan.name, request.run_id, time.time(), waiting)
        members += [
            ObserverTask(observer, request.state, request.context, meta, loop)
            for observer in request.observers
        ]
    if request.record is not None:
        recorder = request.record(request.run_id)
        recorder.is_hooked = bool(request.hooks)
        recorder.journal = request.journal
        members.append(RecorderObserver(recorder, loop.call_soon))
    return ObserverGroup(members)


def _depth_below(parent: EventPublisher, step: str) -> int:
    """Return the depth of a child run.

    Raises:
        NestedTooDeeply: there are too many runs around it.
    """
    depth = parent.sink.depth + 1
    if depth > MAX_NESTED_RUNS:
        raise NestedTooDeeply(step, MAX_NESTED_RUNS)
    return depth


async def run_child(invocation: Invocation, pipe: Any, state: object) -> ChildOutcome:
    """Run a child pipe for an invocation, with its actor system and publisher."""
    run_state = invocation.run_state
    journal, number = run_state.journal, invocation.message.id
    if journal is not None:
        reopened = journal.reopened_children.get(number)
        pipe, state, outcome = _run.durable_run.child_of(journal, number, pipe, state)
        if outcome is not None:
            return outcome
        if reopened is not None and run_state.isolation is not None:
            _run.durable_run.adopt_copy(invocation, reopened, state)
    _require_pipe(invocation, pipe)
    if getattr(pipe, "overrides_run", False):
        return await _run.overridden_child.run_overridden_child(invocation, pipe, state)
    if failpoints.active is not None:
        await failpoints.active.reach(
            Seam.CHILD, run_state.run_id, invocation.node.name
        )
    request: RunRequest = pipe.build_request(state, run_state.context)
    request = attrs.evolve(request, token=run_state.token.child(request.token))
    if journal is not None:
        request = _with_journal(request, invocation, journal)
    parent, step = run_state.publisher, invocation.node.name
    depth = _depth_below(parent, step)
    run = new_run(
        request,
        current_loop(),
        ChildRunSink(parent, step, invocation.ids.invocation, depth),
        run_state.system,
    )
    around = invocation.variables.get(current_run_notes)
    run.notes.parent = None if around is None else (around, invocation.node.name)
    with _resting_on(run, invocation):
        await drive_in_context(invocation.variables.copy(), execute_run(run))
    outcome = _outcome(run)
    if journal is not None:
        _close_child(invocation, journal, outcome)
    return outcome


@contextmanager
def _resting_on(run: Run, invocation: Invocation) -> Generator[None]:
    """Note that an invocation waits for its child run, which shares its run's place."""
    run_state, child = invocation.run_state, run.run_state
    run_state.metrics.count_task_start()
    invocation.is_resting = True
    place = child.place = run_state.place
    if place is not None:
        place.members.append(child)
    try:
        yield
    finally:
        run_state.metrics.count_task_end()
        invocation.is_resting = False
        if place is not None:
            place.members.remove(child)


def _require_pipe(invocation: Invocation, pipe: object) -> None:
    if not hasattr(pipe, "build_request"):
        msg = (
            f"Step '{invocation.node.name}' runs {type(pipe).__name__} as a sub-pipeline; "
            "pass a Pipe."
        )
        raise DefinitionError(msg, step_name=invocation.node.name)


def _close_child(
    invocation: Invocation, journal: RunJournal, outcome: ChildOutcome
) -> None:
    """Record that a child has ended, with its changes of the parent's state."""
    is_success = outcome.status is PipelineTerminalStatus.SUCCESS
    if invocation.isolated is not None and is_success:
        invocation.isolated.commit_function()
    has_failed = not is_success
    found = _run.durable_run.dump_child_outcome(outcome)
    journal.close_child(invocation.message.id, found, has_failed=has_failed)


def _with_journal(
    request: RunRequest, invocation: Invocation, journal: RunJournal
) -> RunRequest:
    """Have a child run recorded in its parent's journal."""
    number, isolated = invocation.message.id, invocation.isolated

    def open_journal(run: Run) -> RunJournal:
        copied = None if isolated is None else isolated.copied
        name, level = request.plan.name, invocation.level
        return journal.open_child(number, run.run_state, name, level, copied)

    run_id = f"{invocation.run_state.run_id}.{number}"
    return attrs.evolve(request, run_id=run_id, open_journal=open_journal)


def _outcome(run: Run) -> ChildOutcome:
    end = run.end
    if run.run_state.abort_error is not None:
        raise run.run_state.abort_error
    if end is None:
        msg = "The child run ended without an outcome."
        raise RuntimeError(msg)
    primary = run.run_state.failures.primary
    return ChildOutcome(
        end.status,
        primary.error if primary else None,
        _failed_step(primary),
        end.error,
        bool(end.metrics and end.metrics.suspends),
    )


def _failed_step(failure: Failure | None) -> str | None:
    if failure is None:
        return None
    if failure.step is not None:
        return failure.step
    match failure.kind:
        case FailureKind.STARTUP | FailureKind.SHUTDOWN:
            return str(failure.kind.value)
        case _:
            return "system"
