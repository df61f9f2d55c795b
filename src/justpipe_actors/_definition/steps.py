"""One step as the user wrote it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from ..abc import Placement
from ..events import NodeKind
from ..shape import BarrierType, HookSpec, InjectionMetadata, Routes


@attrs.frozen(eq=False, kw_only=True)
class Options:
    """What the decorators of all four kinds take."""

    barrier_timeout: float | None = None
    """Seconds to wait for the parents."""
    barrier_type: BarrierType = BarrierType.ALL
    """How many parents to wait for."""
    on_error: HookSpec | None = None
    """The step's own handler."""
    timeout: float | None = None
    """Seconds one invocation may take."""
    retries: Any = 0
    """A count, or tenacity's options."""
    concurrency: Any = None
    """Most activations at once."""
    breaks: Mapping[str, tuple[type[Exception], ...]] = attrs.field(factory=dict)
    """Errors that mean that a resource is broken, by the parameter that receives it."""
    placement: str | Placement | None = None
    """Where a synchronous function runs."""
    may_go: tuple[str, ...] = ()
    """Where its answers may lead, as the user says; drawings believe it."""
    extra: dict[str, Any] = attrs.field(factory=dict)
    """Keyword arguments for middleware."""


@attrs.define(eq=False, repr=False, kw_only=True)
class StepDef:
    """A registered step of any kind."""

    name: str
    """Unique in the pipe."""
    kind: NodeKind
    """STEP, MAP, SWITCH or SUB."""
    func: Callable[..., Any]
    """The user's function."""
    injection: InjectionMetadata
    """Where its parameters come from."""
    options: Options
    """The rest of the decorator."""
    wants: Mapping[str, object] = attrs.field(factory=dict)
    """The types of its parameters."""
    to: tuple[str, ...] = ()
    """Static successors, duplicates kept."""
    each: str | None = None
    """A map's worker."""
    max_concurrency: int | None = None
    """A map's window."""
    routes: Routes | None = None
    """A switch's routes."""
    default: str | None = None
    """A switch's default."""
    child: Any = None
    """A sub's pipe."""

    @property
    def barrier_type(self) -> BarrierType:
        """How many parents it waits for."""
        return self.options.barrier_type

    @property
    def handler(self) -> Callable[..., Any] | None:
        """Its own handler, as the user wrote it."""
        return self.options.on_error.func if self.options.on_error else None

    @property
    def may_go(self) -> tuple[str, ...]:
        """Where its answers may lead, as the user says."""
        return self.options.may_go

    @property
    def route_targets(self) -> tuple[str, ...]:
        """Every step a dict switch may start, default last, each once."""
        if self.kind is not NodeKind.SWITCH:
            return ()
        routes = self.routes.values() if isinstance(self.routes, Mapping) else ()
        named = [route for route in routes if isinstance(route, str)]
        return tuple(dict.fromkeys([*named, *([self.default] if self.default else [])]))

    @property
    def targets(self) -> tuple[str, ...]:
        """Every step it may lead to as far as the definition tells, each once."""
        worker = (self.each,) if self.each else ()
        return tuple(dict.fromkeys([*self.to, *worker, *self.route_targets]))
