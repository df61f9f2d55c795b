"""What a decorator's arguments mean, and which of them cannot be."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import attrs

from ..abc import Placement
from ..errors import DefinitionError
from ..shape import BarrierType, HookSpec, Routes
from ..signals import Stop
from .names import name_of, names_of
from .steps import Options


OnFailure = Literal["prune", "continue", "stop"]
"""What an unhandled failure does to the rest of a run."""

TRUTHY = ("1", "true", "yes", "on")
"""What an environment variable says to mean yes."""


@attrs.frozen
class Join:
    """How a step waits for its parents, and who is asked when it fails."""

    barrier_timeout: float | None
    """Seconds to wait for the parents."""
    barrier_type: BarrierType | None
    """How many parents to wait for; None is all."""
    on_error: Callable[..., Any] | None
    """The step's own handler, as the user wrote it."""


def is_on(value: object, variable: str) -> bool:
    """Return what an option says, or what its environment variable says instead."""
    if value is not None:
        return bool(value)
    return os.environ.get(variable, "").strip().lower() in TRUTHY


def check_policy(on_failure: object) -> None:
    """Refuse a policy that does not exist.

    Raises:
        DefinitionError: it does not.
    """
    if on_failure not in ("prune", "continue", "stop"):
        msg = f"on_failure must be 'prune', 'continue' or 'stop', not {on_failure!r}."
        raise DefinitionError(msg)


def check_window(max_concurrency: object) -> None:
    """Refuse a map's window that is not a positive integer; nothing means the default.

    Raises:
        DefinitionError: it is not.
    """
    if not _is_count(max_concurrency or None):
        msg = f"max_concurrency must be a positive integer, not {max_concurrency!r}."
        raise DefinitionError(msg)


def routes_of(to: object, label: str) -> Routes:
    """Return a switch's routes by name; the user's dict may change afterwards.

    Raises:
        DefinitionError: they are neither a dict of steps nor a function.
    """
    if isinstance(to, Mapping):
        routes = {
            value: Stop
            if target is Stop
            else name_of(target, role="a route", step=label)
            for value, target in to.items()
        }
        return MappingProxyType(routes)
    if callable(to):
        return to
    msg = f"Switch '{label}' needs to=, a dict of routes or a function."
    raise DefinitionError(msg, step_name=label)


def options_of(
    func: Callable[..., Any],
    label: str,
    join: Join,
    extra: dict[str, Any],
    handler: HookSpec | None,
) -> Options:
    """Return a step's options; what nobody knows is left to middleware.

    Raises:
        DefinitionError: one of them cannot be.
    """
    extra = dict(extra)
    options = Options(
        barrier_timeout=join.barrier_timeout,
        barrier_type=join.barrier_type or BarrierType.ALL,
        on_error=handler,
        timeout=extra.pop("timeout", None),
        retries=extra.pop("retries", 0),
        concurrency=extra.pop("concurrency", None),
        placement=extra.pop("placement", None),
        breaks=_breaks_of(extra.pop("breaks", None), label),
        may_go=names_of(extra.pop("routes", None), label, role="routes="),
        extra=extra,
    )
    _check_concurrency(label, options.concurrency)
    _check_placement(func, label, options.placement)
    return options


def _breaks_of(breaks: object, label: str) -> Mapping[str, tuple[type[Exception], ...]]:
    """Return the errors that break resources, by parameter; one error may stand alone."""
    given = {} if breaks is None else breaks
    if isinstance(given, Mapping):
        found = {
            str(parameter): kinds if isinstance(kinds, tuple) else (kinds,)
            for parameter, kinds in given.items()
        }
        if all(_is_error(kind) for kinds in found.values() for kind in kinds):
            return found
    msg = (
        f"Step '{label}': breaks must be a dict from parameters to exception classes, "
        f"not {breaks!r}."
    )
    raise DefinitionError(msg, step_name=label)


def _is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)


def _check_concurrency(label: str, concurrency: object) -> None:
    if not _is_count(concurrency):
        msg = f"Step '{label}': concurrency must be an integer of at least 1."
        raise DefinitionError(msg, step_name=label)


def _check_placement(func: Callable[..., Any], label: str, placement: object) -> None:
    if not (placement is None or isinstance(placement, (str, Placement))):
        msg = (
            f"Step '{label}': placement must be a name or a Placement, "
            f"not {type(placement).__name__}."
        )
        raise DefinitionError(msg, step_name=label)
    if placement not in (None, "here") and _is_async(func):
        msg = (
            f"Step '{label}': placement={placement!r} is for synchronous "
            "functions; an async one already shares the loop."
        )
        raise DefinitionError(msg, step_name=label)


def _is_count(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_async(func: Any) -> bool:
    inner = getattr(func, "func", func)
    faces = (func, inner, getattr(inner, "__call__", None))  # noqa: B004 - its code
    return any(
        inspect.iscoroutinefunction(face) or inspect.isasyncgenfunction(face)
        for face in faces
    )
