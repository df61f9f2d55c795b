"""The chain of awaits of a coroutine, as source lines.

Coroutines, generators and async generators have an attribute with what they await.  The
objects between them, such as the one that ``agen.__anext__()`` returns, have none, so
their references are read from the garbage collector.
"""

from __future__ import annotations

import gc
import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType

import attrs


MAX_DEPTH = 100
"""Awaits that are followed at most."""


def format_await_chain(awaitable: object) -> tuple[str, ...]:
    """Return ``file:line in function`` for each frame, outermost first."""
    return tuple(_line(frame) for frame in awaited_frames(awaitable))


def format_user_line(awaitable: object) -> str | None:
    """Return the deepest line that an awaitable waits at in the user's own code.

    A program may be installed where libraries are; then it is the deepest line outside
    of Python, the event loops and this package.
    """
    frames = list(awaited_frames(awaitable))
    for folders in (PLUMBING + INSTALLED, PLUMBING):
        for frame in reversed(frames):
            if not frame.f_code.co_filename.startswith(("<", *folders)):
                return _line(frame)
    return None


def user_stacklevel() -> int:
    """Return the ``stacklevel`` with which the caller warns at the user's line.

    It is the innermost line on the stack in the user's own code, as for
    ``format_user_line``; if there is none, the caller's own line.
    """
    start = sys._getframe(1)  # noqa: SLF001 - no other way
    for folders in (PLUMBING + INSTALLED, PLUMBING):
        frame: FrameType | None = start
        level = 1
        while frame is not None:
            if not frame.f_code.co_filename.startswith(("<", *folders)):
                return level
            frame, level = frame.f_back, level + 1
    return 1


def _folders(*paths: str | Path) -> tuple[str, ...]:
    return tuple(f"{path}{os.sep}" for path in paths)


_SITE = Path(attrs.__file__).parents[1]  # where anyio and trio are, too

INSTALLED = _folders(
    sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), _SITE
)
"""Folders of installed packages."""

PLUMBING = (
    *_folders(Path(os.__file__).parent / "asyncio", Path(__file__).parents[1]),
    *_folders(*(_SITE / name for name in ("anyio", "trio", "outcome", "sniffio"))),
    *(
        str(Path(os.__file__).parent / name)
        for name in ("contextlib.py", "threading.py")
    ),
)
"""The event loops, what they need of Python, and this package."""


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
