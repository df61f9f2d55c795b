"""Implementation of ``Pipe``'s decorators: check the arguments and register a step.

The decorators themselves are methods of ``Pipe``, for editors and type checkers.  This
module has one function for each, which takes the registry to add to.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from .._util.callables import definition_of, is_streaming_function
from ..errors import DefinitionError, PipelineValidationWarning
from ..events import NodeKind
from ..specs import InjectionSource, Target, Targets, resolve_name
from .injection import parameter_types_of
from .names import check_step_name, name_of, step_name_of, target_names
from .placed_steps import check_placement
from .registry import Registry
from .resources import AMBIGUOUS_TYPES, check_resource_function, define_resource
from .steps import (
    JoinSettings,
    StepDef,
    build_options,
    build_routes,
    check_collect,
    check_window,
)


FuncT = TypeVar("FuncT", bound=Callable[..., Any])


def on_instance(method: FuncT) -> FuncT:
    """Refuse the use of a method of ``Pipe`` on the class, as in ``@Pipe.step``.

    Python would say that ``self`` is missing, or that a function has no ``registry``.
    """

    @functools.wraps(method)
    def checked(*args: Any, **named: Any) -> Any:
        if args and hasattr(type(args[0]), method.__name__):
            return method(*args, **named)
        raise DefinitionError(_used_on_class(method.__name__, (*args, *named.values())))

    return cast("FuncT", checked)


def _used_on_class(method: str, given: tuple[object, ...]) -> str:
    func: object = next(filter(callable, given), None)
    place = "" if func is None else f" for '{resolve_name(func)}'{definition_of(func)}"
    remedy = (
        f"call pipe.{method}" if method.startswith("add_") else f"write @pipe.{method}"
    )
    return (
        f"Pipe.{method} was used on the class Pipe{place}: make a pipe first, such as "
        f"'pipe = Pipe(dict)', and {remedy}."
    )


def is_decorated(first: object) -> bool:
    """Tell whether the first argument of a decorator is what it decorates."""
    if isinstance(first, str):
        return False
    return callable(first) or isinstance(first, classmethod | property)


def define_step(
    registry: Registry,
    name: str | None,
    to: Targets,
    join: JoinSettings,
    options: Mapping[str, Any],
) -> Callable[[FuncT], FuncT]:
    """Return the decorator that registers a plain step.

    Raises:
        DefinitionError: an argument is invalid.
    """
    if name is not None:
        check_step_name(name)
    return _register(registry, NodeKind.STEP, name, join, options, to=to)


def define_map(
    registry: Registry,
    name: str | None,
    each: Target | None,
    to: Targets,
    join: JoinSettings,
    options: Mapping[str, Any],
    *,
    max_concurrency: int | None,
    collect: str | None,
) -> Callable[[FuncT], FuncT]:
    """Return the decorator that registers a map step.

    Raises:
        DefinitionError: an argument is invalid.
    """
    _refuse_bare(registry, "map", name)
    if each is None:
        msg = "@pipe.map needs each=, the step to run for every item."
        raise DefinitionError(msg)
    check_window(max_concurrency)
    check_collect(collect)
    return _register(
        registry,
        NodeKind.MAP,
        name,
        join,
        options,
        to=to,
        each=name_of(each, role="each=", step=str(name or "map")),
        max_concurrency=max_concurrency or None,
        collect=collect,
    )


def define_switch(
    registry: Registry,
    name: str | None,
    to: Mapping[Any, Any] | Callable[..., Any] | None,
    default: Target | None,
    join: JoinSettings,
    options: Mapping[str, Any],
) -> Callable[[FuncT], FuncT]:
    """Return the decorator that registers a switch step.

    Raises:
        DefinitionError: an argument is invalid.
    """
    _refuse_bare(registry, "switch", name)
    label = str(name or "switch")
    return _register(
        registry,
        NodeKind.SWITCH,
        name,
        join,
        options,
        routes=build_routes(to, label),
        default=name_of(default, role="default=", step=label) if default else None,
    )


def define_sub(
    registry: Registry,
    name: str | None,
    pipeline: Any,
    to: Targets,
    join: JoinSettings,
    options: Mapping[str, Any],
) -> Callable[[FuncT], FuncT]:
    """Return the decorator that registers a sub step.

    Raises:
        DefinitionError: an argument is invalid.
    """
    _refuse_bare(registry, "sub", name)
    if pipeline is None:
        msg = "@pipe.sub needs pipeline=, the pipe to run."
        raise DefinitionError(msg)
    if isinstance(pipeline, type):
        msg = (
            f"@pipe.sub needs pipeline=, a Pipe and not the class {pipeline.__name__}."
        )
        raise DefinitionError(msg)
    if isinstance(pipeline, str):
        msg = (
            f"@pipe.sub needs pipeline=, the Pipe itself and not its name {pipeline!r}."
        )
        raise DefinitionError(msg)
    return _register(registry, NodeKind.SUB, name, join, options, to=to, child=pipeline)


def _refuse_bare(registry: Registry, kind: str, name: object) -> None:
    registry.check_not_frozen()
    if name is not None and not isinstance(name, str):
        msg = f"@pipe.{kind} needs arguments: write @pipe.{kind}(...)."
        raise DefinitionError(msg)


def _register(
    registry: Registry,
    kind: NodeKind,
    name: str | None,
    join: JoinSettings,
    given: Mapping[str, Any],
    *,
    to: Any = None,
    **parts: Any,
) -> Callable[[FuncT], FuncT]:
    registry.check_not_frozen()
    targets = target_names(to, str(name or kind.value))

    def register(func: FuncT) -> FuncT:
        label = step_name_of(name, func)
        registry.check_name_is_free(label)
        injection = registry.analyze_step(func, label)
        if InjectionSource.STATE not in injection.values():
            warn_about_default(func, label, registry.state_type)
        handler = registry.analyze_handler(join.on_error, label, injection)
        options = build_options(label, join, given, handler)
        parameter_types = parameter_types_of(func, label)
        placement = registry.placement_of(options.placement)
        check_placement(func, label, placement, injection, parameter_types)
        registry.add_step(
            StepDef(
                name=label,
                kind=kind,
                func=func,
                injection=injection,
                parameter_types=parameter_types,
                options=options,
                to=targets,
                **parts,
            )
        )
        return func

    return register


def define_shared_resource(
    registry: Registry, name: str | None, *, eager: bool, **seconds: float
) -> Callable[[FuncT], FuncT]:
    """Return the decorator that registers a resource."""

    def register(func: FuncT) -> FuncT:
        check_resource_function(func)
        label = step_name_of(name, func)
        registry.add_resource(define_resource(label, func, eager=eager, **seconds))
        return func

    return register


def warn_about_default(func: Any, step: str, state_type: object) -> None:
    """Warn of a parameter for the state that has a default, which it receives."""
    if not (
        getattr(func, "__defaults__", None) or getattr(func, "__kwdefaults__", None)
    ):
        return
    for parameter in inspect.signature(func).parameters.values():
        if parameter.default is not parameter.empty and _is_state(
            parameter, state_type
        ):
            from .._util.await_chain import user_stacklevel  # noqa: PLC0415 - for the warning only

            text = (
                f"Step '{step}' has a default for '{parameter.name}', so it receives the "
                "default and not the state. Remove the default."
            )
            warnings.warn(text, PipelineValidationWarning, stacklevel=user_stacklevel())


def _is_state(parameter: inspect.Parameter, state_type: object) -> bool:
    hint = parameter.annotation
    if parameter.name == "state":
        return True
    if not isinstance(state_type, type) or state_type in AMBIGUOUS_TYPES:
        return False
    return hint is state_type or (isinstance(hint, str) and hint == state_type.__name__)


def warn_about_generator(func: Callable[..., Any]) -> None:
    """Warn of a hook that yields: its author may mean the rest for the run's end."""
    if is_streaming_function(func):
        warnings.warn(
            f"Hook '{resolve_name(func)}' yields: it runs to its end at once, and what it "
            "yields is dropped. Remove the yield, or make it a @pipe.resource, which is "
            "opened and closed.",
            PipelineValidationWarning,
            stacklevel=4,
        )
