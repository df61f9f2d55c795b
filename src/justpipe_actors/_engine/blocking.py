"""Log a warning when a user's function holds the event loop for long.

A function holds the loop from one of its waits to the next.  The engine resumes each
coroutine by itself, so it measures these parts without a task or a thread: the part up
to the first wait by the times of the invocation, and later ones where they are resumed.
A loop that does not turn again is a matter for ``Supervisor(blocked_after=)``.
"""

from __future__ import annotations

import logging
from pathlib import Path

from .._plan.plan import StepNode, SwitchNode
from .._util.await_chain import format_user_line
from .._util.callables import (
    is_async_generator_function,
    is_coroutine_function,
    unwrap_function,
)
from .invocation import Invocation


BLOCKING_LIMIT = 1.0
"""Seconds that a function may hold the event loop without a warning."""

_logger = logging.getLogger("justpipe_actors.steps")


def check_whole_call(invocation: Invocation, seconds: float) -> None:
    """Warn of a step that took long and never waited."""
    is_call = isinstance(invocation.node, StepNode | SwitchNode)
    if is_call and not invocation.has_waited:
        warn_of_blocking(invocation, seconds)


def check_since(
    invocation: Invocation, since: float | None, role: str = "Step"
) -> None:
    """Warn if the time since a call began is too long; the call has not waited."""
    if since is None:
        return
    seconds = invocation.run_state.system.now() - since
    if seconds > BLOCKING_LIMIT:
        warn_of_blocking(invocation, seconds, role)


def warn_of_blocking(
    invocation: Invocation, seconds: float, role: str = "Step"
) -> None:
    """Log, once for each step of a run, that a function held the event loop."""
    run_state, name = invocation.run_state, invocation.node.name
    if name in run_state.blocking_steps:
        return
    run_state.blocking_steps |= {name}
    func = invocation.node.func
    _logger.warning(
        "%s '%s'%s held the event loop for %.1f s%s, and nothing else ran meanwhile. %s",
        role,
        name,
        _definition_of(func) if role == "Step" else "",
        seconds,
        _next_wait_of(invocation),
        _remedy(func),
        extra={"run": run_state.run_id, "step": name},
    )


def _remedy(func: object) -> str:
    inner = unwrap_function(func)
    if is_coroutine_function(inner) or is_async_generator_function(inner):
        return (
            "Call what blocks with anyio.to_thread.run_sync(), or make the step "
            "synchronous with placement='thread'."
        )
    return "Make it async, or run it with placement='thread'."


def _definition_of(func: object) -> str:
    """Return the file and line of a step's function, in parentheses; empty if unknown."""
    code = getattr(unwrap_function(func), "__code__", None)
    return (
        ""
        if code is None
        else f" ({Path(code.co_filename).name}:{code.co_firstlineno})"
    )


def _next_wait_of(invocation: Invocation) -> str:
    """Return the place of the wait that came after, if the function waits now."""
    waiting = invocation.coroutine
    line = None if waiting is None else format_user_line(waiting)
    return "" if line is None else f", before {line}"
