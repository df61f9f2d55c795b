"""How a supervisor's block is left: whose error comes out, and in what words."""

from __future__ import annotations

from contextlib import suppress

from anyio.abc import TaskGroup


def why(error: BaseException) -> str:
    """Say why runs are cancelled when a block is left by an error."""
    if isinstance(error, Exception):
        return f"The supervisor's block failed with {type(error).__name__}"
    return "The supervisor was cancelled"


async def leave(tasks: TaskGroup, error: BaseException | None) -> None:
    """Leave the task group: the body's error goes out first, then its own, both bare."""
    if isinstance(error, Exception):
        # The body's own error goes out, even if the block is cancelled meanwhile.
        with suppress(BaseException):
            await tasks.__aexit__(None, None, None)
        return
    try:
        await tasks.__aexit__(None, None, None)
    except BaseExceptionGroup as group:
        own = _only(group)
    else:
        return
    # Raised out here, so that its cause stays what it is.
    raise own


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the one exception in a group, or the group when there are several."""
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
        inner = inner.exceptions[0]
    return inner
