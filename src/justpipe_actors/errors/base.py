"""How an error is put together: from facts, and from what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class Factual:
    """An error built from facts, which stay its attributes.

    ``__match_args__`` names them in the order in which the class takes them.  So
    ``case StepTimeoutError(step, seconds)`` matches, and the error survives pickling.
    """

    __match_args__: tuple[str, ...] = ()

    def __reduce__(self) -> str | tuple[Any, ...]:
        if not self.__match_args__:
            return super().__reduce__()
        return type(self), tuple(getattr(self, fact) for fact in self.__match_args__)


def did_you_mean(name: str, known: Iterable[str], kind: str = "steps") -> str:
    """Word the tail of an "unknown name" message: what exists, and a close match."""
    names = sorted(known)
    text = f" Available {kind}: {', '.join(names) or '(none)'}."
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return text + (f" Did you mean '{close[0]}'?" if close else "")
