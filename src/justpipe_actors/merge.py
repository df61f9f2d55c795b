"""Annotations that say how two changes of one part of the state are merged.

Parallel steps of an isolated pipe each change a copy of the state, and their changes are
merged.  Most parts need no annotation: ``docs/how-to/isolate-state.md`` has the rules.
Where the rules find a conflict, an annotation resolves it::

    @dataclass
    class Report:
        pages: Annotated[list[Page], Merge(by_url)]
        done: Annotated[int, Merge.add] = 0
        client: Annotated[Client, Shared] = field(default_factory=Client)

A merge function is three-way: it also gets the value from before both changes.  A
two-way reducer cannot tell an addition from a value that was there before.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, ClassVar, Final

from .errors import DefinitionError


class Missing(Enum):
    """The type of ``Merge.MISSING``."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "Merge.MISSING"


MISSING: Final = Missing.MISSING
"""Represents a missing key or attribute; None is a value."""

MergeFunction = Callable[..., object]
"""Takes ``(base, committed, changed)``, or ``(committed, changed)``."""


class Merge:
    """Says how two changes of one part are merged, by ``Annotated[T, Merge(func)]``.

    Args:
        func: a synchronous function of ``(base, committed, changed)`` that returns the
            merged value: ``base`` is the part before both changes, ``committed`` what
            the run's state has by now, and ``changed`` what the committing step made of
            it.  A function of two parameters gets ``(committed, changed)``.
            ``Merge.MISSING`` stands for a part that is not there, as argument and as
            result.  ``NotImplemented`` as the result means that the default rules apply.

    Raises:
        DefinitionError: it cannot be called, or is an ``async def``.

    Examples:
        >>> from typing import Annotated
        >>> from justpipe_actors import Merge
        >>> class Report:
        ...     words: Annotated[int, Merge.add] = 0
        ...     longest: Annotated[str, Merge(lambda committed, changed: max(committed, changed, key=len))] = ""
    """

    MISSING: ClassVar[Missing] = Missing.MISSING
    """Represents a missing part."""
    add: ClassVar[Merge]
    """Adds both changes: numbers, durations, text, and counters key by key."""
    union: ClassVar[Merge]
    """Keeps what either side has: sets, dicts, and lists without duplicates."""
    last: ClassVar[Merge]
    """Takes the value that is committed last."""

    __slots__ = ("_is_two_way", "func")

    def __init__(self, func: MergeFunction) -> None:
        _check_function(func)
        self.func: MergeFunction = func
        self._is_two_way = _count_parameters(func) == 2

    def __call__(self, base: object, committed: object, changed: object) -> object:
        """Return the merged value, or ``NotImplemented``."""
        if self._is_two_way:
            return self.func(committed, changed)
        return self.func(base, committed, changed)

    def __repr__(self) -> str:
        return f"Merge({getattr(self.func, '__name__', self.func)})"

    def __reduce__(self) -> tuple[object, ...]:
        return Merge, (self.func,)


class Shared:
    """Marks a part that is passed by reference: it is neither copied nor merged.

    For what cannot be copied, such as a client or a lock: ``Annotated[Client, Shared]``.
    """


def _check_function(func: object) -> None:
    if not callable(func):
        msg = f"Merge() takes a function, not {type(func).__name__}."
        raise DefinitionError(msg)
    if inspect.iscoroutinefunction(func) or inspect.isasyncgenfunction(func):
        msg = "Merge() takes a synchronous function; define it without async."
        raise DefinitionError(msg)


def _count_parameters(func: MergeFunction) -> int | None:
    """Return how many positional parameters a call must fill; None if that is unknown."""
    try:
        parameters = inspect.signature(func).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    positional = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    )
    return sum(p.kind in positional and p.default is p.empty for p in parameters)


def add(base: Any, committed: Any, changed: Any) -> object:
    """Return the committed value with the difference of the change added."""
    if committed is MISSING or changed is MISSING:
        return NotImplemented
    kind = type(changed)
    if issubclass(kind, Mapping):
        return _add_by_key({} if base is MISSING else base, committed, changed)
    if issubclass(kind, str | bytes | tuple):
        size = 0 if base is MISSING else len(base)
        is_longer = not size or changed[:size] == base
        return committed + changed[size:] if is_longer else NotImplemented
    try:
        return committed + (changed if base is MISSING else changed - base)
    except TypeError:
        return NotImplemented  # lists, for which the default rule adds


def _add_by_key(base: Any, committed: Any, changed: Any) -> object:
    merged = copy.copy(committed)
    for key in {**base, **changed}:
        before, after = base.get(key, MISSING), changed.get(key, MISSING)
        if before is after or before == after:
            continue
        value = add(before, committed.get(key, 0), after)
        if value is NotImplemented:
            return NotImplemented
        merged[key] = value
    return merged


def union(_base: Any, committed: Any, changed: Any) -> object:
    """Return the items of both sides; a key that both have gets the change's value."""
    if committed is MISSING or changed is MISSING:
        return changed if committed is MISSING else committed
    kind = type(committed)
    if issubclass(kind, list | tuple):
        return committed + kind(one for one in changed if one not in committed)
    try:
        return committed | changed
    except TypeError:
        return NotImplemented


def last(_base: object, _committed: object, changed: object) -> object:
    """Return the value that is committed last."""
    return changed


Merge.add, Merge.union, Merge.last = Merge(add), Merge(union), Merge(last)
