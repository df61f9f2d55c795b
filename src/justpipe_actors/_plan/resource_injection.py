"""Matching of functions with the resources that they need, and injection of them.

Parameters are matched with resources once the definition is complete, so resources may
depend on each other in any order of definition.  This module finds the problems;
``validation`` reports them.
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

from .._definition.resources import ResourceDef, matching_resources
from .._definition.steps import StepDef
from .._util.async_generators import OnStreamEnd, Stream, stream_through, wrap_stream
from .._util.callables import is_async_generator_function
from .._util.lazy_classes import define, frozen
from ..errors import DefinitionError
from ..specs import HookSpec, InjectionMetadata, InjectionSource
from .graph import find_cycle
from .plan import ResourceNode


Breaks = Mapping[str, tuple[type[Exception], ...]]
"""Errors that mean that a resource is broken, by the parameter that receives it."""

Function = Callable[..., Any]


class Lease(Protocol):
    """One use of a resource."""

    @property
    def value(self) -> object:
        """The value that entering the resource returned."""
        ...

    def release(self) -> None:
        """End the use; a second call does nothing."""

    def report_broken(self, error: Exception) -> None:
        """Take this instance out of use; the release of its last lease closes it."""


class ResourceProvider(Protocol):
    """The owner of the resources: a supervisor, or a run on its own."""

    async def acquire(self, node: ResourceNode) -> Lease:
        """Wait until a resource is open.

        Raises:
            ResourceUnavailable: it cannot be opened.
        """
        ...

    async def acquire_shared(self, node: ResourceNode) -> Lease:
        """Wait until a resource is open that outlives the requesting run.

        Raises:
            ResourceUnavailable: it cannot be opened.
        """
        ...


current_provider: ContextVar[ResourceProvider] = ContextVar(
    "justpipe_actors_resource_provider"
)
"""The provider that the running code acquires resources from; set for every run."""


awaited_resource: ContextVar[str | None] = ContextVar(
    "justpipe_actors_awaited_resource", default=None
)
"""The resource that the running code waits for, so that a snapshot can tell."""


def with_resources(
    func: Function, dependencies: Mapping[str, ResourceNode], breaks: Breaks
) -> Function:
    """Return a function that acquires its resources; unchanged if it needs none."""
    if not dependencies:
        return func
    if is_async_generator_function(func):

        async def start(arguments: dict[str, Any]) -> tuple[Stream, OnStreamEnd]:
            leases = await _acquire_all(dependencies, breaks)
            return func(**arguments, **leases.values()), leases.release

        return wrap_stream(func, start)

    @functools.wraps(func)
    async def with_leases(**arguments: Any) -> Any:
        leases = await _acquire_all(dependencies, breaks)
        try:
            result = func(**arguments, **leases.values())
            if inspect.isawaitable(result):
                result = await result
        except BaseException as error:
            leases.release(error)
            raise
        return _release_after(result, leases)

    return with_leases


async def _acquire_all(
    dependencies: Mapping[str, ResourceNode], breaks: Breaks
) -> _Leases:
    """Acquire all resources in order; release those already acquired if one fails."""
    provider = current_provider.get()
    leases = _Leases(breaks)
    try:
        for parameter, node in dependencies.items():
            awaited_resource.set(node.name)
            leases.open_leases[parameter] = await provider.acquire(node)
    except BaseException:
        leases.release()
        raise
    finally:
        awaited_resource.set(None)
    return leases


@define(eq=False, repr=False)
class _Leases:
    """The leases of one call."""

    breaks: Breaks
    open_leases: dict[str, Lease] = attrs.field(factory=dict, init=False)

    def values(self) -> dict[str, object]:
        """Return the arguments."""
        return {parameter: lease.value for parameter, lease in self.open_leases.items()}

    def release(self, error: BaseException | None = None) -> None:
        """Release all leases, once; report those that the error breaks as broken."""
        open_leases, self.open_leases = self.open_leases, {}
        for parameter, lease in open_leases.items():
            kinds = self.breaks.get(parameter, ())
            if isinstance(error, Exception) and _matches(error, kinds):
                lease.report_broken(error)
            lease.release()


def _matches(error: Exception, kinds: tuple[type[Exception], ...]) -> bool:
    if isinstance(error, kinds):
        return True
    return isinstance(error, ExceptionGroup) and error.subgroup(kinds) is not None


# -- streams and generators use resources after the call


def _release_after(result: object, leases: _Leases) -> object:
    """Release the leases now, or when the returned stream or generator has ended."""
    if isinstance(result, GeneratorType):
        wrapped: object = _release_when_exhausted(result, leases)
    elif inspect.isasyncgen(result):
        items = cast("Stream", result)

        async def start(_arguments: dict[str, Any]) -> tuple[Stream, OnStreamEnd]:
            return items, leases.release

        wrapped = stream_through(start)
    else:
        leases.release()
        return result
    # A generator that never began runs none of its own cleanup.
    weakref.finalize(wrapped, leases.release).atexit = False
    return wrapped


def _release_when_exhausted(items: Generator[Any], leases: _Leases) -> Generator[Any]:
    failure: BaseException | None = None
    try:
        yield from items
    except BaseException as error:
        failure = error
        raise
    finally:
        leases.release(failure)


Resources = Mapping[str, ResourceDef]
"""Resources by name, in order of registration."""

Choices = dict[str, tuple[str, ...]]
"""For each parameter that stands for a resource, those it may stand for."""


@frozen(eq=False)
class Consumer:
    """A user's function that may need resources."""

    label: str
    """Name for messages."""
    step: str
    """The step to name in an error."""
    injection: InjectionMetadata
    """Source of each parameter."""
    parameter_types: Mapping[str, object]
    """Declared type of each parameter."""


def resource_choices(
    injection: InjectionMetadata,
    parameter_types: Mapping[str, object],
    resources: Resources,
) -> Choices:
    """Return which parameters of a function stand for resources, and for which."""
    names = {
        parameter: matching_resources(
            parameter, parameter_types.get(parameter), resources
        )
        for parameter, source in injection.items()
        if source in (InjectionSource.RESOURCE, InjectionSource.UNKNOWN)
    }
    return {parameter: names for parameter, names in names.items() if names}


@frozen(eq=False)
class ResourceGraph:
    """The resources of a definition, linked to those they need.

    Raises:
        DefinitionError: a dependency is no resource, or dependencies form a cycle.
    """

    resources: Resources
    """As they were defined."""
    nodes: dict[str, ResourceNode] = attrs.field(factory=dict, init=False)
    """The same, linked."""

    def __attrs_post_init__(self) -> None:
        for failure in resource_problems(self.resources):
            raise failure
        for name in self.resources:
            self._link(name)

    def dependencies_of(
        self, injection: InjectionMetadata, parameter_types: Mapping[str, object]
    ) -> dict[str, ResourceNode]:
        """Return a function's resources by parameter."""
        if not self.resources:
            return {}
        choices = resource_choices(injection, parameter_types, self.resources)
        return {parameter: self.nodes[names[0]] for parameter, names in choices.items()}

    def _link(self, name: str) -> ResourceNode:
        if name not in self.nodes:
            resource = self.resources[name]
            dependencies = {
                parameter: self._link(
                    matching_resources(parameter, hint, self.resources)[0]
                )
                for parameter, hint in resource.parameter_types.items()
            }
            self.nodes[name] = ResourceNode(
                name=name,
                func=resource.func,
                dependencies=dependencies,
                eager=resource.eager,
                shutdown=resource.shutdown,
                start_timeout=resource.start_timeout,
            )
        return self.nodes[name]


# -- what cannot be


def resource_problems(resources: Resources) -> Iterator[DefinitionError]:
    """Yield what is wrong with resources among themselves."""
    edges: dict[str, tuple[str, ...]] = {}
    for name, resource in resources.items():
        edges[name] = ()
        for parameter, hint in resource.parameter_types.items():
            names = matching_resources(parameter, hint, resources)
            edges[name] += names
            if not names:
                yield DefinitionError(
                    f"Resource '{name}' needs '{parameter}', which is no resource. "
                    f"There are: {', '.join(resources)}. "
                    "Name the parameter after one, or give it a default."
                )
            yield from _ambiguity(f"Resource '{name}'", "system", parameter, names)
    cycle = find_cycle(edges, list(edges))
    if cycle is not None:
        yield DefinitionError(
            f"Resources need each other in a circle: {' -> '.join(cycle)}. "
            "Let one of them take what it needs as an argument of a method instead."
        )


def consumer_problems(
    consumers: Iterator[Consumer], resources: Resources
) -> Iterator[DefinitionError]:
    """Yield a problem for each parameter that several resources match."""
    for consumer in consumers:
        choices = resource_choices(
            consumer.injection, consumer.parameter_types, resources
        )
        for parameter, names in choices.items():
            yield from _ambiguity(consumer.label, consumer.step, parameter, names)


def break_problems(
    steps: Mapping[str, StepDef], resources: Resources
) -> Iterator[DefinitionError]:
    """Yield a problem for each ``breaks=`` entry that names no resource of its step."""
    for name, step in steps.items():
        choices = resource_choices(step.injection, step.parameter_types, resources)
        for parameter in step.options.breaks:
            if parameter not in choices:
                text = (
                    f"Step '{name}' says what breaks '{parameter}', but it has no "
                    "parameter of that name that receives a resource."
                )
                yield DefinitionError(text, step_name=name)


def consumers_of(
    steps: Mapping[str, StepDef], hooks: Mapping[str, HookSpec]
) -> Iterator[Consumer]:
    """Yield every function of a definition that resources can be injected into."""
    for name, step in steps.items():
        yield Consumer(f"Step '{name}'", name, step.injection, step.parameter_types)
        handler = step.options.on_error
        if handler is not None:
            label = f"The handler of step '{name}'"
            yield Consumer(
                label, name, handler.injection_metadata, handler.parameter_types
            )
    for role, hook in hooks.items():
        label = f"The hook {role}"
        yield Consumer(label, "system", hook.injection_metadata, hook.parameter_types)


def _ambiguity(
    label: str, step: str, parameter: str, names: tuple[str, ...]
) -> Iterator[DefinitionError]:
    if len(names) > 1:
        text = (
            f"{label}: parameter '{parameter}' could be any of {', '.join(names)} "
            "by its type. Name it after the one you mean."
        )
        yield DefinitionError(text, step_name=step)
