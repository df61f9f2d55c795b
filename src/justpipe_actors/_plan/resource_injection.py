"""Which resources the functions of a definition need, and whether that can be.

Parameters are matched with resources when everything is defined, so resources may need
each other in any order of definition.  What cannot be is reported by ``checks``; here it
is only found.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping
from contextvars import ContextVar
from types import GeneratorType
from typing import Any, Protocol, cast

import attrs

from .._definition.resources import ResourceDef, candidates
from .._definition.steps import StepDef
from .._util.async_generators import End, Items, relay, relaying
from ..errors import DefinitionError
from ..specs import HookSpec, InjectionMetadata, InjectionSource
from .graph import find_cycle
from .plan import ResourceNode


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


Resources = Mapping[str, ResourceDef]
"""Resources by name, in order of registration."""

Choices = dict[str, tuple[str, ...]]
"""For each parameter that stands for a resource, those it may stand for."""


@attrs.frozen(eq=False)
class Customer:
    """A user's function that may need resources."""

    label: str
    """What to call it in messages."""
    step: str
    """The step at fault when it cannot have them."""
    injection: InjectionMetadata
    """Its parameters."""
    wants: Mapping[str, object]
    """Their types."""


def choices_of(
    injection: InjectionMetadata, wants: Mapping[str, object], resources: Resources
) -> Choices:
    """Return which parameters of a function stand for resources, and for which."""
    found = {
        parameter: candidates(parameter, wants.get(parameter), resources)
        for parameter, source in injection.items()
        if source in (InjectionSource.RESOURCE, InjectionSource.UNKNOWN)
    }
    return {parameter: names for parameter, names in found.items() if names}


@attrs.frozen(eq=False)
class Stock:
    """The resources of a definition, linked to those they need.

    Raises:
        DefinitionError: one needs what is none, or they need each other in a circle.
    """

    resources: Resources
    """As they were defined."""
    nodes: dict[str, ResourceNode] = attrs.field(factory=dict, init=False)
    """The same, linked."""

    def __attrs_post_init__(self) -> None:
        for problem in resource_problems(self.resources):
            raise problem
        for name in self.resources:
            self._link(name)

    def needs_of(
        self, injection: InjectionMetadata, wants: Mapping[str, object]
    ) -> dict[str, ResourceNode]:
        """Return a function's resources by parameter."""
        if not self.resources:
            return {}
        choices = choices_of(injection, wants, self.resources)
        return {parameter: self.nodes[names[0]] for parameter, names in choices.items()}

    def _link(self, name: str) -> ResourceNode:
        if name not in self.nodes:
            one = self.resources[name]
            needs = {
                parameter: self._link(candidates(parameter, hint, self.resources)[0])
                for parameter, hint in one.wants.items()
            }
            self.nodes[name] = ResourceNode(
                name=name,
                func=one.func,
                needs=needs,
                eager=one.eager,
                shutdown=one.shutdown,
                start_timeout=one.start_timeout,
            )
        return self.nodes[name]


# -- what cannot be


def resource_problems(resources: Resources) -> Iterator[DefinitionError]:
    """Yield what is wrong with resources among themselves."""
    edges: dict[str, tuple[str, ...]] = {}
    for name, one in resources.items():
        edges[name] = ()
        for parameter, hint in one.wants.items():
            found = candidates(parameter, hint, resources)
            edges[name] += found
            if not found:
                yield DefinitionError(
                    f"Resource '{name}' needs '{parameter}', which is no resource. "
                    f"There are: {', '.join(resources)}. "
                    "Name the parameter after one, or give it a default."
                )
            yield from _ambiguity(f"Resource '{name}'", "system", parameter, found)
    cycle = find_cycle(edges, list(edges))
    if cycle is not None:
        yield DefinitionError(
            f"Resources need each other in a circle: {' -> '.join(cycle)}. "
            "Let one of them take what it needs as an argument of a method instead."
        )


def customer_problems(
    customers: Iterator[Customer], resources: Resources
) -> Iterator[DefinitionError]:
    """Yield which functions could be given several resources."""
    for one in customers:
        choices = choices_of(one.injection, one.wants, resources)
        for parameter, found in choices.items():
            yield from _ambiguity(one.label, one.step, parameter, found)


def break_problems(
    steps: Mapping[str, StepDef], resources: Resources
) -> Iterator[DefinitionError]:
    """Yield what steps say they break and do not receive."""
    for name, step in steps.items():
        choices = choices_of(step.injection, step.wants, resources)
        for parameter in step.options.breaks:
            if parameter not in choices:
                text = (
                    f"Step '{name}' says what breaks '{parameter}', but it has no "
                    "parameter of that name that receives a resource."
                )
                yield DefinitionError(text, step_name=name)


def customers_of(
    steps: Mapping[str, StepDef], hooks: Mapping[str, HookSpec]
) -> Iterator[Customer]:
    """Yield every function of a definition that resources can be injected into."""
    for name, step in steps.items():
        yield Customer(f"Step '{name}'", name, step.injection, step.wants)
        handler = step.options.on_error
        if handler is not None:
            label = f"The handler of step '{name}'"
            yield Customer(label, name, handler.injection_metadata, handler.wants)
    for role, hook in hooks.items():
        label = f"The hook {role}"
        yield Customer(label, "system", hook.injection_metadata, hook.wants)


def _ambiguity(
    label: str, step: str, parameter: str, found: tuple[str, ...]
) -> Iterator[DefinitionError]:
    if len(found) > 1:
        text = (
            f"{label}: parameter '{parameter}' could be any of {', '.join(found)} "
            "by its type. Name it after the one you mean."
        )
        yield DefinitionError(text, step_name=step)
