"""Which resources the functions of a definition need, and whether that can be.

Parameters are matched with resources when everything is defined, so resources may need
each other in any order of definition.  What cannot be is reported by ``checks``; here it
is only found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from .._definition.resources import ResourceDef, candidates
from .._definition.steps import StepDef
from ..errors import DefinitionError
from ..shape import HookSpec, InjectionMetadata, InjectionSource
from .graph import find_cycle
from .resources import ResourceNode


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
