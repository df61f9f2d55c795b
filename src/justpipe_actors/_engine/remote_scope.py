"""Which call of another process this code is part of.

What exists only where the run is (questions to people, timers, notes) asks here first,
so that it can say why it does not work.
"""

from __future__ import annotations

from contextvars import ContextVar

import attrs

from ..errors import RemoteUnavailable


@attrs.frozen
class RemoteScope:
    """The call that a worker is executing."""

    run_id: str
    """The run."""
    step: str
    """The step."""
    invocation: str | None
    """Id of the invocation."""
    attempt: int
    """1 for the first attempt."""


current_remote_scope: ContextVar[RemoteScope | None] = ContextVar(
    "justpipe_actors_remote_scope", default=None
)
"""The call that is being executed here for a run of another process."""


def refuse_remote(what: str) -> None:
    """Refuse something that exists only where the run is.

    Raises:
        RemoteUnavailable: this code runs elsewhere.
    """
    if current_remote_scope.get() is not None:
        raise RemoteUnavailable(what)
