"""Checks whether a step can run in its placement, and the errors if not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .._util.callables import (
    is_async_generator_function,
    is_coroutine_function,
    is_streaming_function,
)
from ..abc import AnyPlacement, is_remote
from ..errors import DefinitionError
from ..meta import Meta
from ..specs import InjectionMetadata, InjectionSource
from .injection import meta_attributes


_ASYNC_PROBLEM = (
    "it is async, and an async function already shares the loop. Write CPU work without "
    "async, or use placement='process'"
)


def is_async(func: Any) -> bool:
    """Tell whether calling a function gives an awaitable or an async generator."""
    return is_coroutine_function(func) or is_async_generator_function(func)


def check_placement(
    func: Callable[..., Any],
    label: str,
    placement: AnyPlacement | str | None,
    injection: InjectionMetadata,
    parameter_types: Mapping[str, object],
) -> None:
    """Refuse a step that cannot run where it is placed.

    Args:
        func: the step's function.
        label: the step.
        placement: where it is to run; a name that is not known yet is let through.
        injection: where its parameters come from.
        parameter_types: their types.

    Raises:
        DefinitionError: the step cannot run there.
    """
    if placement is None or isinstance(placement, str):
        return
    if is_remote(placement):
        problems = remote_problems(func, placement, injection, parameter_types)
    elif is_async(func) and placement.name != "here":
        problems = iter((_ASYNC_PROBLEM,))
    else:
        return
    for problem in problems:
        raise placement_error(label, placement, problem)


def placement_error(
    label: str, placement: AnyPlacement, problem: str
) -> DefinitionError:
    """Return the error for a step that cannot run in its placement."""
    text = f"Step '{label}' cannot run in placement '{placement.name}': {problem}."
    return DefinitionError(text, step_name=label)


def remote_problems(
    func: Callable[..., Any],
    placement: AnyPlacement,
    injection: InjectionMetadata,
    parameter_types: Mapping[str, object],
) -> Iterator[str]:
    """Yield the reasons in the definition why a function cannot run remotely."""
    if is_streaming_function(func):
        yield (
            "it yields items, which cannot be sent back one by one. Return a list, "
            "or let it run on the loop"
        )
    for parameter, source in injection.items():
        problem = _parameter_problem(parameter, source, parameter_types.get(parameter))
        if problem is not None:
            yield problem
    check: Callable[[Any], str | None] | None = getattr(placement, "check", None)
    problem = check(func) if check is not None else None
    if problem is not None:
        yield f"{problem}"


def _parameter_problem(
    parameter: str, source: InjectionSource, hint: object
) -> str | None:
    if source is InjectionSource.RESOURCE:
        return (
            f"it asks for the resource '{parameter}', which stays here. Open what it "
            "needs inside the function, or fetch the data in a step before it"
        )
    if source is InjectionSource.CANCEL:
        return (
            f"it asks for the cancellation token ('{parameter}'), which stays here. "
            "Remove the parameter: cancelling the run stops the function"
        )
    if hint is Meta or getattr(hint, "__name__", "") == "RunStream":
        return (
            f"it asks for '{parameter}', which exists only where the run is. "
            "Return the value and note it in a step that runs on the loop"
        )
    return None


def asks_for_meta(context_type: object) -> bool:
    """Tell whether a context has an attribute that receives ``Meta``."""
    return isinstance(context_type, type) and bool(meta_attributes(context_type))
