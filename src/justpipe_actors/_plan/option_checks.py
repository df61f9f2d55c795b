"""Options of a step that nothing reads: neither its decorator nor a middleware.

A pipe refuses them.  If one of its middleware does not declare the options that it reads,
it only warns of those that resemble a known option.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from .._definition.steps import StepDef
from ..errors import DefinitionError
from ..errors.base import closest_name
from ..events import NodeKind
from ..options import OWN_OPTIONS


LOOKS_MISSPELT = 0.8
"""Similarity, from 0 to 1, from which an option counts as a misspelt known one."""

_COMMON_OPTIONS = OWN_OPTIONS | {
    "barrier_timeout",
    "barrier_type",
    "name",
    "on_error",
    "options",
    "to",
}

_OPTIONS_BY_KIND = {
    NodeKind.STEP: _COMMON_OPTIONS,
    NodeKind.MAP: _COMMON_OPTIONS | {"collect", "each", "max_concurrency"},
    NodeKind.SWITCH: _COMMON_OPTIONS | {"default"},
    NodeKind.SUB: _COMMON_OPTIONS | {"pipeline"},
}
"""Options that the decorators read, by kind of step."""


def options_read_by(middleware: Iterable[Any]) -> frozenset[str] | None:
    """Return the options that middleware reads; None if one of them declares none."""
    declared: set[str] = set()
    for part in middleware:
        options: Collection[str] | None = getattr(part, "options", None)
        if options is None:
            return None
        declared.update(options)
    return frozenset(declared)


def unknown_options(
    steps: Iterable[StepDef], middleware_options: frozenset[str]
) -> Iterator[tuple[DefinitionError, bool]]:
    """Yield a problem per unread option, and whether it resembles a known option."""
    for step in steps:
        known = _OPTIONS_BY_KIND[step.kind] | middleware_options
        for option in step.options.extra:
            if option in known:
                continue
            similar = closest_name(option, sorted(known))
            hint = (
                f"Did you mean '{similar}'?"
                if similar is not None
                else f"There are: {', '.join(sorted(known))}."
            )
            text = (
                f"Step '{step.name}' has an option '{option}' that nothing reads. {hint} "
                "If a middleware of yours reads it, decorate the middleware with "
                f"@reads('{option}')."
            )
            yield DefinitionError(text, step_name=step.name), _is_near(option, known)


def _is_near(option: str, known: Collection[str]) -> bool:
    """Tell whether an option differs from a known one by a letter or an ending only."""
    if closest_name(option, known, LOOKS_MISSPELT) is not None:
        return True
    stem = option[:-1]
    return len(stem) >= 4 and any(name.startswith(stem) for name in known)
