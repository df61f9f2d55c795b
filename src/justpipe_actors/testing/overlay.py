"""A definition with some functions replaced: a copy, never the user's own.

Replacements are kept by role and place.  The place of a step is its name, and of a step
inside a sub-pipeline ``owner:inner``; the place of a pipe's hooks is the path of the sub
step that runs it, and empty for the pipe under test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from typing import Any

import attrs

from .._definition.registry import Registry
from .._definition.resources import ResourceDef
from .._definition.steps import StepDef
from .._run.stand_ins import stand_in_of
from ..pipe import Pipe
from ..shape import HookSpec


class Role(Enum):
    """What a function is to its pipe."""

    STEP = "step"
    HANDLER = "handler of the step"
    STARTUP = "startup hooks"
    SHUTDOWN = "shutdown hooks"
    ON_ERROR = "error handler"
    RESOURCE = "resource"


_OF_A_PIPE = frozenset({Role.STARTUP, Role.SHUTDOWN, Role.ON_ERROR})
"""Roles a pipe has once: their place is that of the pipe."""


@attrs.frozen
class Replacements:
    """What is to be called instead."""

    functions: Mapping[tuple[Role, str], Callable[..., Any]]
    """By role and place."""
    persist: bool = False
    """Whether the pipes may write into their stores."""
    inline: bool = False
    """Whether synchronous steps stay on the event loop whatever their placement."""

    def get(self, role: Role, place: str) -> Callable[..., Any] | None:
        """Return what is called instead of a function, if anything is."""
        return self.functions.get((role, place))

    def under(self, owner: str) -> Replacements:
        """Return the replacements inside one sub-pipeline, by their places there."""
        inner = {
            (role, place[len(owner) + 1 :]): func
            for (role, place), func in self.functions.items()
            if place.startswith(f"{owner}:") or (place == owner and role in _OF_A_PIPE)
        }
        return attrs.evolve(self, functions=inner)


def overlay(pipe: Pipe[Any, Any], changes: Replacements) -> Pipe[Any, Any]:
    """Return a copy of a pipe and of its sub-pipelines with functions replaced."""
    return _Copier().copy(pipe, changes)


@attrs.define
class _Copier:
    """Copies every pipe once per set of replacements: a pipe may contain itself."""

    unchanged: dict[int, Pipe[Any, Any]] = attrs.field(factory=dict)

    def copy(self, pipe: Pipe[Any, Any], changes: Replacements) -> Pipe[Any, Any]:
        if not changes.functions and id(pipe) in self.unchanged:
            return self.unchanged[id(pipe)]
        persist = pipe.persist and changes.persist
        twin = pipe.redefined(pipe.registry, persist=persist)
        if not changes.functions:
            self.unchanged[id(pipe)] = twin
        twin.registry = self._definition(pipe.registry, changes)
        return twin

    def _definition(self, registry: Registry, changes: Replacements) -> Registry:
        steps = {
            name: self._step(step, changes) for name, step in registry.steps.items()
        }
        handler = registry.error_hook
        return attrs.evolve(
            registry,
            steps=steps,
            startup_hooks=_hooks(registry.startup_hooks, changes, Role.STARTUP),
            shutdown_hooks=_hooks(registry.shutdown_hooks, changes, Role.SHUTDOWN),
            error_hook=handler and _hook(handler, changes.get(Role.ON_ERROR, "")),
            resources={
                name: _resource(one, changes.get(Role.RESOURCE, name))
                for name, one in registry.resources.items()
            },
        )

    def _step(self, step: StepDef, changes: Replacements) -> StepDef:
        func = changes.get(Role.STEP, step.name)
        options = step.options
        handler = options.on_error
        if handler is not None:
            handler = _hook(handler, changes.get(Role.HANDLER, step.name))
        placement = None if func or changes.inline else options.placement
        child = step.child
        if isinstance(child, Pipe):
            twin = stand_in_of(child) or child
            child = self.copy(twin, changes.under(step.name))
        return attrs.evolve(
            step,
            func=func or step.func,
            options=attrs.evolve(options, on_error=handler, placement=placement),
            child=child,
        )


def _hooks(
    hooks: tuple[HookSpec, ...], changes: Replacements, role: Role
) -> tuple[HookSpec, ...]:
    return tuple(_hook(hook, changes.get(role, "")) for hook in hooks)


def _hook(hook: HookSpec, func: Callable[..., Any] | None) -> HookSpec:
    return hook if func is None else replace(hook, func=func)


def _resource(one: ResourceDef, func: Callable[..., Any] | None) -> ResourceDef:
    return one if func is None else attrs.evolve(one, func=func, wants={})


def places(pipe: Pipe[Any, Any], depth: int = 3) -> dict[str, StepDef]:
    """Return every step by its place, those inside sub-pipelines included.

    Args:
        pipe: the pipe under test.
        depth: sub-pipelines inside one another that are looked into; a pipe may
            contain itself.
    """
    found: dict[str, StepDef] = dict(pipe.registry.steps)
    for name, step in pipe.registry.steps.items():
        if isinstance(step.child, Pipe) and depth:
            inner = places(step.child, depth - 1)
            found.update({f"{name}:{place}": it for place, it in inner.items()})
    return found
