"""Log a warning when a step holds the event loop for long, or outlasts its timeout.

A function holds the loop from one of its waits to the next.  The engine resumes each
coroutine by itself, so it measures these parts without a task or a thread: the part up
to the first wait by the times of the invocation, and later ones where they are resumed.
A loop that does not turn again is a matter for ``Supervisor(blocked_after=)``.
"""

from __future__ import annotations

import logging
from time import monotonic

from .._plan.plan import StepNode, SwitchNode
from .._util.blocking_calls import BLOCKING_LIMIT, log_blocking
from .._util.callables import (
    definition_of,
    is_async_generator_function,
    is_coroutine_function,
    unwrap_function,
)
from .._util.text import format_duration
from .invocation import Invocation


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
    if run_state.publisher.has_hook_blocked_since(monotonic() - seconds):
        return  # the hook was the one that blocked, and is logged
    run_state.blocking_steps |= {name}
    func = invocation.node.func
    log_blocking(
        f"{role} '{name}'{definition_of(func) if role == 'Step' else ''}",
        seconds,
        invocation.coroutine,
        _remedy(func),
        {"run": run_state.run_id, "step": name},
    )


def check_timeout(invocation: Invocation, timeout: float) -> None:
    """Log, once for each step of a run, that a call could not be ended in time."""
    run_state, name = invocation.run_state, invocation.node.name
    seconds = invocation.seconds
    key = f"{name}: timeout"
    if seconds <= timeout or key in run_state.blocking_steps:
        return
    run_state.blocking_steps |= {key}
    func = invocation.node.func
    _logger.warning(
        "Step '%s'%s took %s, and its timeout of %s had no effect: a function that "
        "does not wait cannot be interrupted. %s",
        name,
        definition_of(func),
        format_duration(seconds),
        format_duration(timeout),
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
