"""Checks of the steps' placements, made when the definition is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from .._definition.placed_steps import (
    asks_for_meta,
    placement_error,
    remote_problems,
)
from .._definition.resources import ResourceDef
from .._definition.steps import StepDef
from ..abc import AnyPlacement, is_remote
from ..errors import DefinitionError
from ..errors.base import closest_name
from ..specs import InjectionSource
from .resource_injection import resource_choices


def placement_of(
    step: StepDef, placements: Mapping[str, AnyPlacement]
) -> AnyPlacement | None:
    """Return where a step runs; None is on the loop.

    Raises:
        DefinitionError: there is no placement of that name.
    """
    chosen = step.options.placement
    if chosen is None or chosen == "here":
        return None
    placement = placements.get(chosen) if isinstance(chosen, str) else chosen
    if placement is None:
        msg = (
            f"Step '{step.name}' wants placement '{chosen}'; "
            f"there are: here, {', '.join(sorted(placements))}.{_nearest(chosen, placements)}"
        )
        raise DefinitionError(msg, step_name=step.name)
    return placement


def _nearest(name: object, placements: Mapping[str, AnyPlacement]) -> str:
    found = closest_name(str(name), ["here", *placements])
    return "" if found is None else f" Did you mean '{found}'?"


def placement_problems(
    steps: Mapping[str, StepDef],
    placements: Mapping[str, AnyPlacement],
    resources: Mapping[str, ResourceDef],
    context_type: object,
) -> Iterator[DefinitionError]:
    """Yield a problem for every step that cannot run where it is placed."""
    for step in steps.values():
        try:
            placement = placement_of(step, placements)
        except DefinitionError as problem:
            yield problem
            continue
        if placement is None or not is_remote(placement):
            continue
        for text in _problems(step, placement, resources, context_type):
            yield placement_error(step.name, placement, text)


def _problems(
    step: StepDef,
    placement: AnyPlacement,
    resources: Mapping[str, ResourceDef],
    context_type: object,
) -> Iterator[str]:
    yield from remote_problems(
        step.func, placement, step.injection, step.parameter_types
    )
    late = resource_choices(step.injection, step.parameter_types, resources)
    for parameter in late:
        if step.injection[parameter] is not InjectionSource.RESOURCE:
            yield (
                f"it asks for the resource '{parameter}', which stays here. Open what "
                "it needs inside the function, or fetch the data in a step before it"
            )
    asks_context = InjectionSource.CONTEXT in step.injection.values()
    if asks_context and asks_for_meta(context_type):
        yield (
            "it asks for a context with Meta, which exists only where the run is. "
            "Take what it needs from the state, or note things in another step"
        )
    ask: Callable[[], str | None] | None = getattr(placement, "why_unavailable", None)
    problem = ask() if ask is not None else None
    if problem is not None:
        yield problem.rstrip(".")
