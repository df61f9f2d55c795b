"""The arguments of the decorators: their meaning, and the checks of their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

import attrs

from .._util.environment import read_variable
from .._util.lazy_classes import define, frozen
from ..abc import AnyPlacement, LocalPlacement, Placement
from ..errors import DefinitionError
from ..events import NodeKind
from ..signals import Stop
from ..specs import BarrierType, HookSpec, InjectionMetadata, Routes
from .ask_targets import ask_targets_of
from .names import check_plain_function, name_of, target_names
from .option_values import check_values, middleware_options


@frozen(eq=False, kw_only=True)
class StepSettings:
    """Arguments that the decorators of all four kinds share."""

    barrier_timeout: float | None = None
    """Seconds to wait for the parents."""
    barrier_type: BarrierType = BarrierType.ALL
    """Number of parents to wait for: ALL or ANY."""
    on_error: HookSpec | None = None
    """The step's own handler."""
    timeout: float | None = None
    """Seconds one invocation may take."""
    retries: Any = 0
    """A count, or tenacity's options."""
    concurrency: Any = None
    """Maximum number of invocations at once; None sets no limit."""
    breaks: Mapping[str, tuple[type[Exception], ...]] = attrs.field(factory=dict)
    """Errors that mean that a resource is broken, by the parameter that receives it."""
    placement: str | AnyPlacement | None = None
    """Placement of its function; None runs it on the event loop."""
    declared_routes: tuple[str, ...] = ()
    """Steps that its results may start, as declared by the user; used in drawings."""
    extra: dict[str, Any] = attrs.field(factory=dict)
    """Keyword arguments for middleware."""


@define(eq=False, repr=False, kw_only=True)
class StepDef:
    """A registered step of any kind."""

    name: str
    """Unique in the pipe."""
    kind: NodeKind
    """STEP, MAP, SWITCH or SUB."""
    func: Callable[..., Any]
    """The user's function."""
    injection: InjectionMetadata
    """Source of each parameter."""
    options: StepSettings
    """The rest of the decorator."""
    parameter_types: Mapping[str, object] = attrs.field(factory=dict)
    """The types of its parameters."""
    to: tuple[str, ...] = ()
    """Static successors, duplicates kept."""
    each: str | None = None
    """A map's worker."""
    max_concurrency: int | None = None
    """A map's window."""
    collect: str | None = None
    """Field or key of the state that receives the results of a map's workers."""
    routes: Routes | None = None
    """A switch's routes."""
    default: str | None = None
    """A switch's default."""
    child: Any = None
    """A sub's pipe."""

    @property
    def barrier_type(self) -> BarrierType:
        """Number of parents to wait for: ALL or ANY."""
        return self.options.barrier_type

    @property
    def handler(self) -> Callable[..., Any] | None:
        """Its own handler, as the user wrote it."""
        return self.options.on_error.func if self.options.on_error else None

    @property
    def declared_routes(self) -> tuple[str, ...]:
        """Steps that its results may start: declared routes and targets of ``Ask``."""
        asked = ask_targets_of(self.func).targets
        return tuple(dict.fromkeys([*self.options.declared_routes, *asked]))

    @property
    def asks(self) -> bool:
        """True if it may return an ``Ask``; its successors receive the answer."""
        return ask_targets_of(self.func).asks

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
        """Every step that the definition shows it may start, each once."""
        worker = (self.each,) if self.each else ()
        return tuple(dict.fromkeys([*self.to, *worker, *self.route_targets]))


StateMode = Literal["shared", "isolated"]
"""Whether steps change one object, or copies of it that are merged."""

OnFailure = Literal["prune", "continue", "stop"]
"""What an unhandled failure does to the rest of a run."""

TRUTHY = ("1", "true", "yes", "on")
"""Values of an environment variable that mean yes."""


@frozen
class JoinSettings:
    """How a step waits for its parents, and its error handler."""

    barrier_timeout: float | None
    """Seconds to wait for the parents."""
    barrier_type: BarrierType | None
    """How many parents to wait for; None is all."""
    on_error: Callable[..., Any] | None
    """The step's own handler, as the user wrote it."""


def is_enabled(value: object, variable: str) -> bool:
    """Return the value of an option, or of its environment variable if it is None."""
    if value is not None:
        return bool(value)
    return read_variable(variable).strip().lower() in TRUTHY


def check_failure_policy(on_failure: object) -> None:
    """Refuse a policy that does not exist.

    Raises:
        DefinitionError: it does not exist.
    """
    if on_failure not in ("prune", "continue", "stop"):
        msg = f"on_failure must be 'prune', 'continue' or 'stop', not {on_failure!r}."
        raise DefinitionError(msg)


def check_state_mode(state_mode: object) -> None:
    """Refuse a mode that does not exist.

    Raises:
        DefinitionError: it does not exist.
    """
    if state_mode not in ("shared", "isolated"):
        msg = f"state_mode must be 'shared' or 'isolated', not {state_mode!r}."
        raise DefinitionError(msg)


def check_window(max_concurrency: object) -> None:
    """Refuse a window that is no positive integer; None and 0 mean the default.

    Raises:
        DefinitionError: it is not positive, or no integer.
    """
    if not _is_count(max_concurrency or None):
        msg = f"max_concurrency must be a positive integer, not {max_concurrency!r}."
        raise DefinitionError(msg)


def check_collect(collect: object) -> None:
    """Refuse a name that no field or key of a state could have.

    Raises:
        DefinitionError: it is no text, or an empty one.
    """
    if not (collect is None or (isinstance(collect, str) and collect)):
        msg = f"collect must be a field or key of the state, not {collect!r}."
        raise DefinitionError(msg)


def build_routes(to: object, label: str) -> Routes:
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
        check_plain_function(to, f"The function in to= of switch '{label}'")
        return to
    msg = (
        "@pipe.switch needs to=, a dict that maps what the function returns to steps, "
        f"or a function, not {type(to).__name__}."
    )
    raise DefinitionError(msg, step_name=label)


def build_options(
    label: str,
    join: JoinSettings,
    given: Mapping[str, Any],
    handler: HookSpec | None,
) -> StepSettings:
    """Return a step's options; unknown names are passed on to middleware.

    Raises:
        DefinitionError: the value of an option is invalid.
    """
    check_values({**attrs.asdict(join, recurse=False), **given}, label)
    extra = middleware_options(given, label)
    options = StepSettings(
        barrier_timeout=join.barrier_timeout,
        barrier_type=join.barrier_type or BarrierType.ALL,
        on_error=handler,
        timeout=extra.pop("timeout", None),
        retries=extra.pop("retries", None) or 0,
        concurrency=extra.pop("concurrency", None),
        placement=extra.pop("placement", None),
        breaks=_breaking_errors(extra.pop("breaks", None), label),
        declared_routes=target_names(extra.pop("routes", None), label, role="routes="),
        extra=extra,
    )
    _check_concurrency(label, options.concurrency)
    _check_placement(label, options.placement)
    return options


def _breaking_errors(
    breaks: object, label: str
) -> Mapping[str, tuple[type[Exception], ...]]:
    """Return the errors that break resources, by parameter; one error may stand alone."""
    given = {} if breaks is None else breaks
    if isinstance(given, Mapping):
        errors = {
            str(parameter): classes if isinstance(classes, tuple) else (classes,)
            for parameter, classes in given.items()
        }
        if all(_is_error(kind) for classes in errors.values() for kind in classes):
            return errors
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


def _check_placement(label: str, placement: object) -> None:
    kinds = (str, Placement, LocalPlacement)
    if not (placement is None or isinstance(placement, kinds)):
        msg = (
            f"Step '{label}': placement must be a name or a Placement, "
            f"not {type(placement).__name__}."
        )
        raise DefinitionError(msg, step_name=label)


def _is_count(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
