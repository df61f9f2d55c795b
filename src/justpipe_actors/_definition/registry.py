"""The mutable definition that decorators add to; the first run freezes it.

Each ``add_...`` checks its part completely before it changes anything, so a refused part
leaves no trace.  What needs the whole definition, such as unknown targets, is checked by
``_plan/validation.py``.  The definition is frozen because runs share its compiled plan.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

import attrs

from .._util.callables import accepts, definition_of
from .._util.lazy_classes import define
from .._util.notebooks import notebook_remedy
from ..abc import (
    AnyPlacement,
    EventHook,
    Middleware,
    ObserverProtocol,
    validate_observer,
)
from ..errors import DefinitionError
from ..specs import (
    HookSpec,
    InjectionMetadata,
    InjectionMetadataMap,
    InjectionSource,
    resolve_name,
)
from .injection import analyze_parameters, fits, parameter_types_of
from .middleware_checks import check_middleware
from .names import check_plain_function
from .resources import ResourceDef, matching_resources
from .steps import StepDef


@define(eq=False, repr=False)
class Registry:
    """The definition of one pipe."""

    state_type: Any
    """Type of the state; parameters of this type or a base of it receive the state."""
    context_type: Any
    """Declared type of the context."""
    middleware: tuple[Middleware, ...]
    """First to last, innermost to outermost."""
    placements: Mapping[str, AnyPlacement] = attrs.field(factory=dict)
    """Placements by the names that decorators use."""
    startup_hooks: tuple[HookSpec, ...] = ()
    """In order of registration."""
    shutdown_hooks: tuple[HookSpec, ...] = ()
    """In order of registration."""
    error_hook: HookSpec | None = None
    """The pipe's handler; the last registration wins."""
    event_hooks: tuple[EventHook, ...] = ()
    """In order of registration."""
    resources: Mapping[str, ResourceDef] = attrs.field(factory=dict)
    """By name, in order of registration."""
    observers: tuple[ObserverProtocol, ...] = ()
    """In order of registration."""
    version: int = 0
    """Number of changes; plans derived from an older version are stale."""
    is_frozen: bool = False
    """Whether a run has begun."""
    _steps: dict[str, StepDef] = attrs.field(factory=dict)

    @property
    def steps(self) -> Mapping[str, StepDef]:
        """The steps by name, in order of registration; a view."""
        return MappingProxyType(self._steps)

    @property
    def injection_metadata(self) -> InjectionMetadataMap:
        """Where each step's parameters come from."""
        return {name: dict(step.injection) for name, step in self._steps.items()}

    @property
    def hooks(self) -> dict[str, list[Callable[..., Any]]]:
        """The functions of the hooks by role, for renderers."""
        return {
            "startup_hooks": [hook.func for hook in self.startup_hooks],
            "shutdown_hooks": [hook.func for hook in self.shutdown_hooks],
        }

    @property
    def hook_specs(self) -> dict[str, HookSpec]:
        """The hooks and the error handler with their injected parameters, by role."""
        groups = (
            ("on_startup", self.startup_hooks),
            ("on_shutdown", self.shutdown_hooks),
            ("on_error", (self.error_hook,) if self.error_hook else ()),
        )
        return {
            f"{role} {resolve_name(hook.func)}": hook
            for role, hooks in groups
            for hook in hooks
        }

    def freeze(self) -> None:
        """Freeze the definition: it has been run."""
        self.is_frozen = True

    def check_not_frozen(self) -> None:
        """Refuse to change a definition that has been run.

        Raises:
            RuntimeError: it is frozen.
        """
        if self.is_frozen:
            msg = (
                "The pipe is frozen after first run; "
                "define everything before running, or build another Pipe."
                + notebook_remedy()
            )
            raise RuntimeError(msg)

    def add_step(self, step: StepDef) -> None:
        """Register a step.

        Raises:
            DefinitionError: the name is taken.
        """
        self.check_name_is_free(step.name)
        self._steps[step.name] = step
        self.version += 1

    def check_name_is_free(self, name: str) -> None:
        """Refuse a name that is taken.

        Raises:
            DefinitionError: the name is taken.
        """
        self.check_not_frozen()
        if name in self._steps:
            msg = (
                f"Step '{name}' is already registered; pass name= to tell them apart."
                + notebook_remedy()
            )
            raise DefinitionError(msg, step_name=name)

    def analyze_step(self, func: Callable[..., Any], step: str) -> InjectionMetadata:
        """Analyse a step's function: one parameter may be unknown, a map's item.

        Raises:
            DefinitionError: several parameters are unknown.
        """
        return self._analyze(func, step, 1)

    def placement_of(self, chosen: str | AnyPlacement | None) -> AnyPlacement | None:
        """Return the placement that a step chose; None for a name that is not known."""
        return self.placements.get(chosen) if isinstance(chosen, str) else chosen

    def analyze_handler(
        self, func: Any, step: str, injection: InjectionMetadata
    ) -> HookSpec | None:
        """Analyse a step's own handler, if it has one.

        It may ask for the item of a map's worker by the name that the step gives it.

        Raises:
            DefinitionError: it has unknown parameters.
        """
        if isinstance(func, str):
            msg = (
                f"{step}.on_error must be callable, not str. To go to step '{func}' "
                "after a failure, pass a function that returns its name."
            )
            raise DefinitionError(msg, step_name=step)
        if not func:
            return None
        free = [
            n for n, source in injection.items() if source is InjectionSource.UNKNOWN
        ]
        return self.analyze_hook(func, f"{step}.on_error", free)

    def analyze_hook(
        self, func: Any, role: str, items: Collection[str] = ()
    ) -> HookSpec:
        """Analyse a hook or handler: it may have no unknown parameter but an item.

        Raises:
            DefinitionError: it has unknown parameters.
        """
        _check_callable(func, role)
        return HookSpec(
            func, self._analyze(func, role, 0, items), parameter_types_of(func, role)
        )

    def _analyze(
        self,
        func: Callable[..., Any],
        label: str,
        unknown_allowed: int,
        items: Collection[str] = (),
    ) -> InjectionMetadata:
        return analyze_parameters(
            func,
            self.state_type,
            self.context_type,
            unknown_allowed=unknown_allowed,
            step=label,
            is_resource=self._is_resource,
            items=items,
        )

    def _is_resource(self, parameter: str, hint: object) -> bool:
        """Tell whether a parameter receives one of the resources defined so far.

        What is typed as the state or the context is no resource, unless it has the name
        of one that is of this type too.
        """
        if not matching_resources(parameter, hint, self.resources):
            return False
        if not (fits(self.state_type, hint) or fits(self.context_type, hint)):
            return True
        namesake = self.resources.get(parameter)
        return namesake is not None and fits(namesake.value_type, hint)

    def add_resource(self, resource: ResourceDef) -> None:
        """Register a resource.

        Raises:
            DefinitionError: the name is taken.
        """
        self.check_not_frozen()
        if resource.name in self.resources:
            msg = (
                f"Resource '{resource.name}' is already registered; "
                "pass name= to tell them apart."
            )
            raise DefinitionError(msg)
        self.resources = {**self.resources, resource.name: resource}
        self.version += 1

    def add_startup(self, func: Callable[..., Any]) -> None:
        """Append a hook that runs before START."""
        self.check_not_frozen()
        self.startup_hooks += (self.analyze_hook(func, "on_startup"),)
        self.version += 1

    def add_shutdown(self, func: Callable[..., Any]) -> None:
        """Append a hook that runs before FINISH."""
        self.check_not_frozen()
        self.shutdown_hooks += (self.analyze_hook(func, "on_shutdown"),)
        self.version += 1

    def set_error_hook(self, func: Callable[..., Any]) -> None:
        """Set the pipe's handler."""
        self.check_not_frozen()
        self.error_hook = self.analyze_hook(func, "on_error")
        self.version += 1

    def add_middleware(self, middleware: Middleware) -> None:
        """Append a middleware: it becomes the outermost.

        Raises:
            DefinitionError: it cannot be called with a function and a ``StepContext``.
        """
        self.check_not_frozen()
        check_middleware(middleware)
        self.middleware += (middleware,)
        self.version += 1

    def add_event_hook(self, hook: EventHook) -> None:
        """Append an event hook.

        Raises:
            DefinitionError: it cannot be called with an event, or returns it later.
        """
        self.check_not_frozen()
        _check_callable(hook, "An event hook")
        label = f"Event hook '{resolve_name(hook)}'"
        check_plain_function(hook, label)
        if not accepts(hook, 1):
            msg = (
                f"{label}{definition_of(hook)} has to take one argument, an event, and "
                "return an event."
            )
            raise DefinitionError(msg)
        self.event_hooks += (hook,)

    def add_observer(self, observer: ObserverProtocol) -> None:
        """Append an observer.

        Raises:
            TypeError: it lacks a hook, or one is not ``async def``.
        """
        self.check_not_frozen()
        validate_observer(observer)
        self.observers += (observer,)


def _check_callable(part: object, role: str) -> None:
    if not callable(part):
        msg = f"{role} must be callable, not {type(part).__name__}."
        raise DefinitionError(msg)
