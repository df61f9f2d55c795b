"""Where KeyboardInterrupt may be raised, in a program that may not use trio.

trio raises KeyboardInterrupt at any line, unless the running function or one of its
callers is protected.  So the engine protects its own functions, and unprotects the
calls of the user's functions.

On asyncio an interrupt cancels the main task, and importing trio takes longer than
importing the engine.  So the decorators of this module only note the code of a
function, and ``mark_functions`` passes the notes to trio when a loop of trio first runs
the engine.  That is early enough also for functions that already run, because trio
looks for their code when a signal arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any, TypeVar


FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
Mark = Callable[["_Function"], object]
"""``enable_ki_protection`` or ``disable_ki_protection`` of trio."""


class _Function:
    """The part of a function that trio looks at; a function would hold its closure."""

    __slots__ = ("__code__",)

    def __init__(self, code: CodeType) -> None:
        self.__code__ = code


class _Marks:
    """Notes which functions are protected, until trio is there to be told."""

    __slots__ = ("_noted", "_protect", "_unprotect")

    def __init__(self) -> None:
        # By identity: the code of two functions may be equal.
        self._noted: dict[int, tuple[CodeType, bool]] = {}
        self._protect: Mark | None = None
        self._unprotect: Mark | None = None

    def note(self, code: CodeType, *, is_protected: bool) -> None:
        """Tell trio about a function, now or when it is used."""
        mark = self._protect if is_protected else self._unprotect
        if mark is None:
            self._noted[id(code)] = code, is_protected
        else:
            mark(_Function(code))

    def set(self, protect: Mark, unprotect: Mark) -> None:
        """Tell trio about all functions that were noted, and about later ones at once."""
        self._protect, self._unprotect = protect, unprotect
        while self._noted:
            _, (code, is_protected) = self._noted.popitem()
            self.note(code, is_protected=is_protected)


_marks = _Marks()
mark_functions = _marks.set


def enable_ki_protection(function: FunctionT) -> FunctionT:
    """Let trio raise no KeyboardInterrupt in a function and in what it calls."""
    _marks.note(function.__code__, is_protected=True)
    return function


def disable_ki_protection(function: FunctionT) -> FunctionT:
    """Let trio raise KeyboardInterrupt in a function, whatever protects its caller."""
    _marks.note(function.__code__, is_protected=False)
    return function
