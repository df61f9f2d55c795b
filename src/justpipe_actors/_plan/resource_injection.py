"""Matching of functions with the resources that they need.

Parameters are matched with resources once the definition is complete, so resources may
depend on each other in any order of definition.  This module finds the problems;
``validation`` reports them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from .._definition.resources import ResourceDef, matching_resources
from .._definition.steps import StepDef
from .._util.lazy_classes import frozen
from ..errors import DefinitionError
from ..specs import HookSpec, InjectionMetadata, InjectionSource
from .graph import find_cycle
from .plan import ResourceNode


Function = Callable[..., Any]

Breaks = Mapping[str, tuple[type[Exception], ...]]
"""Errors that mean that a resource is broken, by the parameter that receives it."""

LeaseResources = Callable[[Function, Mapping[str, ResourceNode], Breaks], Function]
"""Returns a function that leases its resources for each call."""

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
    """Return the parameters of a function that receive resources, with candidates."""
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
    """The definitions, by name."""
    nodes: dict[str, ResourceNode] = attrs.field(factory=dict, init=False)
    """The definitions, with their dependencies resolved."""

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
    """Yield the problems of the resources' dependencies on each other."""
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
