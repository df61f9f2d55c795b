"""The life of one run, from its first event to FINISH.

::

observers are told of the start -> startup hooks -> START
      -> [ actors work; ends when the run holds no token ]
      -> TIMEOUT? -> shutdown hooks -> observers drained -> FINISH

The three lines are ``start_run``, ``step_phase.run_steps`` and ``shutdown.shut_down``.
``execute_run`` raises only its owner's cancellation.  Any other error is in FINISH, or
is raised at the consumer after FINISH.  The part in brackets can be interrupted.  What
comes after it is shielded, because the shutdown hooks must run in any case, after the
steps' own cleanup.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

import anyio

from .. import _run
from .._backends import Group
from .._engine.actor_system import ActorSystem
from .._engine.run_state import step_waits_of
from .._plan.failure_policy import Failure
from .._publishing.lazy_events import START
from .._supervision.resource_calls import current_pool
from .._supervision.resource_pool import ResourcePool
from .._util.interrupts import enable_ki_protection
from .._util.sync import bound
from .._util.text import safe_str
from .._util.user_errors import OWNER_CANCELLED
from ..errors import (
    EmptyPipelineError,
    ResourceUnavailable,
    StateNotCopyable,
)
from ..events import EventType
from ..failures import FailureKind, FailureReason
from ..meta import current_run_notes
from ..outcomes import PipelineTerminalStatus
from ..waiting import current_waiting
from .hooks import add_hook_failure, call_hook
from .loop_resources import loop_resources
from .run import (
    Run,
    enclosing_runs,
)
from .shutdown import shut_down
from .step_phase import run_steps


if TYPE_CHECKING:
    from .._engine.isolation import IsolatedState


NO_VARIABLES = Context()
"""The context variables of a run that is over."""


async def start_run(run: Run, tasks: Group | None) -> bool:
    """Start the run up to START; return whether its steps must run."""
    plan, run_state = run.request.plan, run.run_state
    if plan.startup or plan.eager_resources or run.publisher.observers.may_block_finish:
        with anyio.CancelScope() as run.scope:
            await _start_up(run, tasks)
    elif tasks is not None:
        run.publisher.observers.start(tasks)
    is_over = run.released is not None or run_state.termination is not None
    if is_over or run_state.failures:
        return False
    if not plan.nodes and run.request.start is None:
        _report_empty_pipeline(run)
        return False
    if run_state.journal is None:
        run.publisher.publish(START, "system", run.request.state)
    else:
        _run.durable_run.publish_beginning(run, run_state.journal)
    return run_state.termination is None


async def _start_up(run: Run, tasks: Group | None) -> None:
    if tasks is not None:
        await run.publisher.observers.open(tasks)
    if run.run_state.termination is not None:
        return
    if run.request.plan.eager_resources and not await _open_eager_resources(run):
        return
    for hook in run.request.plan.startup:
        if not await call_hook(run, hook, FailureKind.STARTUP):
            return
    if run.request.plan.startup and run.run_state.isolation is not None:
        _check_again(run, run.run_state.isolation)


def _check_again(run: Run, isolation: IsolatedState) -> None:
    """Check the state again: objects that hooks put there must be copyable, too."""
    try:
        isolation.check()
    except StateNotCopyable as error:
        add_hook_failure(run, FailureKind.STARTUP, error)


async def _open_eager_resources(run: Run) -> bool:
    """Open the eager resources before any step runs; an error is a startup failure."""
    owner = run.resources or (run.system.resources if run.system else None)
    assert owner is not None
    try:
        await owner.open(run.request.plan.eager_resources)
    except ResourceUnavailable as error:
        add_hook_failure(run, FailureKind.STARTUP, error)
        return False
    return True


def _report_empty_pipeline(run: Run) -> None:
    error = EmptyPipelineError(run.request.plan.name)
    run.run_state.failures.add(
        Failure(FailureKind.VALIDATION, FailureReason.NO_STEPS, error)
    )
    run.publisher.publish(EventType.STEP_ERROR, "system", safe_str(error))


@enable_ki_protection
async def execute_run(run: Run) -> None:
    """Execute the run from its first event to FINISH."""
    run.began = run.loop.now()
    current_run_notes.set(run.notes)
    current_waiting.set(bound(step_waits_of, run.run_state))
    enclosing_runs.set((run.request.run_id, *enclosing_runs.get()))
    try:
        if run.system is None or run.publisher.observers.members:
            async with run.loop.open_late_group(run.abort) as tasks:
                try:
                    await _run_with_resources(run, tasks)
                finally:
                    run.publisher.observers.abandon()
        else:
            current_pool.set(run.system.resources)
            async with _ShutDown(run):
                if await start_run(run, None):
                    await run_steps(run, run.system)
    except anyio.get_cancelled_exc_class():
        raise
    except BaseException as error:  # noqa: BLE001 - raised at the consumer
        run.crash(error)
    finally:
        if not run.is_parked:
            run.publisher.sink.end()
        run.done.set()
        _drop_references(run)
        on_done, run.on_done = run.on_done, None
        if on_done is not None:
            on_done(run)
        if run.has_no_consumer:
            run.report_abort_error()


def _drop_references(run: Run) -> None:
    """Drop the references to the run state, so that it needs no garbage collection."""
    run.publisher.release_run()
    run.run_state.variables = NO_VARIABLES
    if run.resources is not None:  # the actor system, if it was needed, is private
        run.resources.release()
        system = run.run_state.system  # None if the run never had a message
        if system is not None:  # pyright: ignore[reportUnnecessaryComparison]
            system.release()


async def _run_with_resources(run: Run, tasks: Group) -> None:
    """Run with the actor system's resources, else with resources of the run's own."""
    if run.system is not None:
        current_pool.set(run.system.resources)
        async with _ShutDown(run):
            if await start_run(run, tasks):
                await run_steps(run, run.system)
        return
    variables = copy_context()

    def spawn(func: Callable[..., Coroutine[Any, Any, object]], *args: Any) -> None:
        # Else a resource would have the context variables of the first step that asks.
        variables.copy().run(tasks.start, func, *args)

    own = run.resources = ResourcePool(spawn, run.loop.now, longer_lived=loop_resources)
    current_pool.set(own)
    try:
        async with _ShutDown(run):
            if await start_run(run, tasks):
                await run_steps(run, _new_system(run, tasks, own))
    finally:
        if own.stop_opening():
            with anyio.CancelScope(shield=True):  # ``aclose`` logs slow resources
                await own.aclose()


class _ShutDown:
    """Shut a run down after its steps, however they have ended.

    perf: a function around them would be one more coroutine, 0.2 kB, of each run that
    waits (scale, idle run).
    """

    __slots__ = ("_run",)

    def __init__(self, run: Run) -> None:
        self._run = run

    async def __aenter__(self) -> None:
        """Do nothing."""

    async def __aexit__(
        self, _kind: object, error: BaseException | None, _traceback: object
    ) -> bool:
        """Shut the run down; only its owner's cancellation goes on."""
        run, is_cancelled = self._run, False
        if error is not None:
            is_cancelled = isinstance(error, anyio.get_cancelled_exc_class())
            if is_cancelled:
                run.stop(PipelineTerminalStatus.CANCELLED, OWNER_CANCELLED)
            else:
                run.crash(error)  # raised at the consumer
        await shut_down(run)  # noqa: ASYNC102 - shielded where it waits
        return not is_cancelled


def _new_system(run: Run, tasks: Group, resources: ResourcePool) -> ActorSystem:
    return ActorSystem(
        tasks.start,
        run.loop.now,
        run.loop.watch_task(),
        new_loop_event=run.loop.new_loop_event,
        new_scope=run.loop.new_scope,
        resources=resources,
    )
