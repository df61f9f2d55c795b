"""A user's function with the resources it needs, as a function without that need.

The function is wrapped *inside* its middleware.  So each try of a retry borrows anew,
and when a try has declared a resource broken the next one is given a fresh one.
Middleware does not see resources among the arguments.

What is borrowed is given back when the call is over: when a generator that the function
returned is exhausted or closed, too, because a map pulls its items long after the call.
No cancel scope is open while a resource is held, only a count is raised.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar
from types import GeneratorType
from typing import Any, Protocol, cast

import attrs

from ..relay import End, Items, relay, relaying
from .resources import ResourceNode


Breaks = Mapping[str, tuple[type[Exception], ...]]
"""Errors that mean that a resource is broken, by the parameter that receives it."""

Function = Callable[..., Any]


class Loan(Protocol):
    """One use of a resource."""

    @property
    def value(self) -> object:
        """What entering it gave."""
        ...

    def give_back(self) -> None:
        """End the use; again does nothing."""

    def report_broken(self, error: Exception) -> None:
        """Let nobody else have this incarnation; it is closed behind its last user."""


class Lender(Protocol):
    """Who owns the resources."""

    async def lend(self, node: ResourceNode) -> Loan:
        """Wait until a resource is open.

        Raises:
            ResourceUnavailable: it cannot be opened.
        """
        ...


current_lender: ContextVar[Lender] = ContextVar("justpipe_actors_lender")
"""Whose resources the running code uses; set for every run."""


def equipped(
    func: Function, needs: Mapping[str, ResourceNode], breaks: Breaks
) -> Function:
    """Return a function that borrows what it needs; as it is if it needs nothing."""
    if not needs:
        return func
    if _is_stream(func):

        async def begin(arguments: dict[str, Any]) -> tuple[Items, End]:
            loans = await _borrow(needs, breaks)
            return func(**arguments, **loans.values()), loans.end

        return relaying(func, begin)

    @functools.wraps(func)
    async def called(**arguments: Any) -> Any:
        loans = await _borrow(needs, breaks)
        try:
            result = func(**arguments, **loans.values())
            if inspect.isawaitable(result):
                result = await result
        except BaseException as error:
            loans.end(error)
            raise
        return _after(result, loans)

    return called


def _is_stream(func: Any) -> bool:
    faces = (func, getattr(func, "__call__", None))  # noqa: B004 - its code
    return any(inspect.isasyncgenfunction(face) for face in faces)


async def _borrow(needs: Mapping[str, ResourceNode], breaks: Breaks) -> _Loans:
    """Borrow everything, one after the other; nothing when one cannot be had."""
    lender = current_lender.get()
    loans = _Loans(breaks)
    try:
        for parameter, node in needs.items():
            loans.held[parameter] = await lender.lend(node)
    except BaseException:
        loans.end()
        raise
    return loans


@attrs.define(eq=False, repr=False)
class _Loans:
    """What one call has borrowed."""

    breaks: Breaks
    held: dict[str, Loan] = attrs.field(factory=dict, init=False)

    def values(self) -> dict[str, object]:
        """Return the arguments."""
        return {parameter: loan.value for parameter, loan in self.held.items()}

    def end(self, error: BaseException | None = None) -> None:
        """Give everything back, once; what the error breaks is not lent again."""
        held, self.held = self.held, {}
        for parameter, loan in held.items():
            kinds = self.breaks.get(parameter, ())
            if isinstance(error, Exception) and _is_among(error, kinds):
                loan.report_broken(error)
            loan.give_back()


def _is_among(error: Exception, kinds: tuple[type[Exception], ...]) -> bool:
    if isinstance(error, kinds):
        return True
    return isinstance(error, ExceptionGroup) and error.subgroup(kinds) is not None


# -- streams and generators use resources after the call


def _after(result: object, loans: _Loans) -> object:
    """Give the loans back now, or when what the function returned is used up."""
    if isinstance(result, GeneratorType):
        held: object = _hold(result, loans)
    elif inspect.isasyncgen(result):
        items = cast("Items", result)

        async def begin(_arguments: dict[str, Any]) -> tuple[Items, End]:
            return items, loans.end

        held = relay(begin)
    else:
        loans.end()
        return result
    # A generator that never began runs none of its own cleanup.
    weakref.finalize(held, loans.end).atexit = False
    return held


def _hold(items: Generator[Any], loans: _Loans) -> Generator[Any]:
    problem: BaseException | None = None
    try:
        yield from items
    except BaseException as error:
        problem = error
        raise
    finally:
        loans.end(problem)
