"""Where a coroutine waits: the chain of what it awaits, as lines of source.

Coroutines, generators and async generators know what they wait for.  The objects between
them, such as the one ``agen.__anext__()`` returns, do not say; the garbage collector knows
what they refer to, and that is what is asked here.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType


MAX_DEPTH = 100
"""Awaits that are followed at most."""


def format_await_chain(awaitable: object) -> tuple[str, ...]:
    """Return ``file:line in function`` for each frame, outermost first."""
    return tuple(_line(frame) for frame in awaited_frames(awaitable))


def awaited_frames(awaitable: object) -> Iterator[FrameType]:
    """Return the frames an awaitable waits in, outermost first."""
    current: object | None = awaitable
    for _ in range(MAX_DEPTH):
        frame, current = _step(current)
        if frame is not None:
            yield frame
        if current is None:
            return


def _step(awaitable: object) -> tuple[FrameType | None, object | None]:
    """Return the frame of an awaitable, and what it awaits."""
    match awaitable:
        case CoroutineType():
            return awaitable.cr_frame, awaitable.cr_await
        case AsyncGeneratorType():
            return awaitable.ag_frame, awaitable.ag_await
        case GeneratorType():
            return awaitable.gi_frame, awaitable.gi_yieldfrom
        case _:
            return None, _referenced_awaitable(awaitable)


def _referenced_awaitable(awaitable: object) -> object | None:
    """Return the coroutine or generator that an opaque awaitable drives."""
    return next(
        (
            referent
            for referent in gc.get_referents(awaitable)
            if isinstance(referent, CoroutineType | AsyncGeneratorType | GeneratorType)
        ),
        None,
    )


def _line(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} in {code.co_qualname}"
