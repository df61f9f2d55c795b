"""Running a child pipe of a class that overrides ``run``.

A subclass may wrap ``Pipe.run`` in an async generator, which does something before and
after the run or rewrites its events.  As a sub-pipeline such a pipe is run by its own
method: a run of its own inside the invocation.  The parent publishes its events.  The
generator belongs to the invocation and is closed with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from .._engine.invocation import Invocation
from .._engine.run_state import ChildOutcome
from .._engine.user_code import drive_in_context
from ..errors import DefinitionError
from ..events import EventType
from ..outcomes import PipelineEndData


async def run_overridden_child(
    invocation: Invocation, pipe: Any, state: object
) -> ChildOutcome:
    """Run a child by the ``run`` of its class, through the publisher of its parent.

    Raises:
        DefinitionError: that method returned no stream of events, or not FINISH.
    """
    run_state = invocation.run_state
    run_state.metrics.count_task_start()
    try:
        end = await drive_in_context(
            invocation.variables.copy(), _forward_events(invocation, pipe, state)
        )
    finally:
        run_state.metrics.count_task_end()
    if not isinstance(end, PipelineEndData):
        problem = "must yield every event of the run, FINISH too"
        raise _wrong_run(invocation, pipe, problem)
    return ChildOutcome(
        end.status,
        end.exception,
        end.failed_step,
        end.error,
        bool(end.metrics and end.metrics.suspends),
    )


async def _forward_events(invocation: Invocation, pipe: Any, state: object) -> object:
    """Publish the events of the child as the parent's; return the payload of FINISH."""
    parent = invocation.run_state.publisher
    step, owner_id = invocation.node.name, invocation.ids.invocation
    events = pipe.run(state, invocation.run_state.context)
    if not isinstance(events, AsyncIterator):
        problem = f"returned {type(events).__name__} and must be an async generator"
        raise _wrong_run(invocation, pipe, problem)
    end: object = None
    async with aclosing(events):  # type: ignore[type-var]
        async for event in events:
            if event.type is EventType.FINISH and event.stage == "system":
                end = event.payload
            if parent.is_full:
                await parent.wait_writable()
            parent.forward_child(event, step, owner_id)
    return end


def _wrong_run(invocation: Invocation, pipe: Any, problem: str) -> DefinitionError:
    msg = (
        f"Step '{invocation.node.name}': {type(pipe).__name__}.run {problem}; "
        "yield from 'async for event in super().run(...)'."
    )
    return DefinitionError(msg, step_name=invocation.node.name)
