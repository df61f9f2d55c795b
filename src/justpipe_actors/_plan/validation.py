"""Validation of a definition before its first run: one function per rule.

A rule reads the definition and yields problems.  ``StrictOnly`` marks those that are
errors only in a strict pipe and warnings otherwise.  ``validate`` warns, and raises all
errors together, so that users correct them in one go.
"""

from __future__ import annotations

import dataclasses
import typing
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from .. import _plan
from .._definition.injection import type_text, without_annotation
from .._definition.registry import Registry
from .._definition.resources import ResourceDef
from .._definition.steps import StepDef
from .._util.callables import is_streaming_function
from .._util.lazy_classes import frozen
from .._util.user_objects import type_hints_of
from ..abc import AnyPlacement
from ..errors import (
    DefinitionError,
    DefinitionErrorGroup,
    LostUpdateWarning,
    PipelineValidationWarning,
    did_you_mean,
)
from ..events import NodeKind
from ..specs import BarrierType, HookSpec, InjectionSource
from . import graph, resource_injection
from .missing_items import missing_items
from .option_checks import options_read_by, unknown_options
from .placement_checks import placement_problems


NO_LISTS = (dict, Mapping, set, frozenset, str, bytes, int, float, bool)
"""Annotations of a field in which a map can collect no results."""


@frozen(eq=False, kw_only=True)
class ValidationContext:
    """The definition to validate, and the settings that the rules depend on."""

    steps: Mapping[str, StepDef]
    """The steps by name."""
    state_type: object
    """The pipe's state type."""
    start: str | None
    """First step of the run to validate for; None is the roots."""
    strict: bool
    """True if doubtful definitions are errors and not warnings."""
    allow_multi_root: bool
    """True if several roots are intended."""
    resources: Mapping[str, ResourceDef] = attrs.field(factory=dict)
    hooks: Mapping[str, HookSpec] = attrs.field(factory=dict)
    """The pipe's hooks and handler, by role."""
    is_isolated: bool = False
    """Whether steps work on copies of the state."""
    middleware_options: frozenset[str] | None = frozenset()
    """Options that its middleware reads; None when that is not known."""
    placements: Mapping[str, AnyPlacement] = attrs.field(factory=dict)
    """Placements by the names that decorators use."""
    context_type: object = None
    """The pipe's context type."""
    topology: graph.Topology = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda self: graph.topology_of(self.steps), takes_self=True
        ),
    )
    """The graph of the steps."""

    @property
    def roots(self) -> tuple[str, ...]:
        """First steps of a run without ``start``."""
        return self.topology.roots


def context_of(
    registry: Registry,
    start: str | None,
    *,
    strict: bool,
    allow_multi_root: bool,
    is_isolated: bool,
    placements: Mapping[str, AnyPlacement],
) -> ValidationContext:
    """Return the validation context of a pipe."""
    return ValidationContext(
        steps=registry.steps,
        state_type=registry.state_type,
        start=start,
        strict=strict,
        allow_multi_root=allow_multi_root,
        is_isolated=is_isolated,
        placements=placements,
        context_type=registry.context_type,
        resources=registry.resources,
        hooks=registry.hook_specs,
        middleware_options=options_read_by(registry.middleware),
    )


@frozen(eq=False)
class StrictOnly:
    """A problem that only a strict pipe refuses."""

    problem: DefinitionError


Finding = DefinitionError | StrictOnly


def validate(context: ValidationContext) -> None:
    """Raise every problem of the definition at once.

    Raises:
        DefinitionError: there is one problem; ``DefinitionErrorGroup`` for several.
    """
    if not context.steps:
        return
    problems: list[DefinitionError] = []
    strict_only: list[DefinitionError] = []
    for finding in _findings(context):
        if isinstance(finding, StrictOnly):
            (problems if context.strict else strict_only).append(finding.problem)
        else:
            problems.append(finding)
    for problem in [*strict_only, *_warnings(context)]:
        _warn(str(problem))
    _warn_about_lost_updates(context)
    raise_problems(problems)


def _warn(text: str) -> None:
    """Warn at the user's line, also when a run validates its pipe."""
    from .._util.await_chain import user_stacklevel  # noqa: PLC0415 - for the warning only

    warnings.warn(text, PipelineValidationWarning, stacklevel=user_stacklevel())


def raise_problems(problems: list[DefinitionError]) -> None:
    """Raise a single problem itself, and several as a group.

    Raises:
        DefinitionError: the list is not empty.
    """
    if len(problems) == 1:
        raise problems[0]
    if problems:
        msg = f"The pipe has {len(problems)} problems:"
        raise DefinitionErrorGroup(msg, problems)


def _findings(context: ValidationContext) -> Iterator[Finding]:
    yield from _unknown_targets(context)
    yield from _workers_with_successors(context)
    yield from _unknown_workers(context)
    yield from _collected_results(context)
    yield from _unknown_routes(context)
    yield from _unknown_declared_routes(context)
    yield from _entry_points(context)
    yield from _cycles(context)
    yield from _unsatisfiable_joins(context)
    yield from _unsupplied_parameters(context)
    yield from _resources(context)
    if context.middleware_options is not None:
        unknown = unknown_options(context.steps.values(), context.middleware_options)
        yield from (problem for problem, _ in unknown)


def _unknown_targets(context: ValidationContext) -> Iterator[Finding]:
    for name, step in context.steps.items():
        for target in dict.fromkeys(step.to):
            if target not in context.steps:
                text = f"Step '{name}' targets unknown step '{target}'."
                yield _problem(context, name, text, target)


def _workers_with_successors(context: ValidationContext) -> Iterator[Finding]:
    for name, step in context.steps.items():
        worker = context.steps.get(step.each or "")
        if worker is not None and worker.to:
            text = (
                f"Map '{name}' uses '{worker.name}' as its worker, but that step has "
                "successors of its own; put to= on the map instead."
            )
            yield DefinitionError(text, step_name=worker.name)


def _unknown_workers(context: ValidationContext) -> Iterator[Finding]:
    for name, step in context.steps.items():
        if step.each is not None and step.each not in context.steps:
            text = f"Map '{name}' maps over unknown step '{step.each}'."
            yield _problem(context, name, text, step.each)


def _collected_results(context: ValidationContext) -> Iterator[Finding]:
    fields = field_names_of(context.state_type)
    state_type = context.state_type
    hints = (isinstance(state_type, type) and type_hints_of(state_type)) or {}
    for name, step in context.steps.items():
        if step.collect is None:
            continue
        worker = context.steps.get(step.each or "")
        if worker is not None and (reason := _why_not_collected(worker)):
            text = (
                f"Map '{name}' collects what its worker '{worker.name}' returns, but "
                f"{reason}, or leave out collect=."
            )
            yield DefinitionError(text, step_name=name)
        if fields is not None and step.collect not in fields:
            text = (
                f"Map '{name}' collects into '{step.collect}', and the state has no such "
                "field."
            )
            similar = did_you_mean(step.collect, fields, "fields")
            yield DefinitionError(text + similar, step_name=name)
        elif (hint := hints.get(step.collect)) is not None and _refuses_lists(hint):
            text = (
                f"Map '{name}' collects a list into '{step.collect}', which is annotated "
                f"as {type_text(hint)}. Annotate it as a list, or let a step behind the "
                "map build what it holds."
            )
            yield StrictOnly(DefinitionError(text, step_name=name))


def _refuses_lists(hint: object) -> bool:
    """Tell whether an annotation is a builtin that certainly is no list."""
    return (typing.get_origin(hint) or hint) in NO_LISTS


def _why_not_collected(worker: StepDef) -> str:
    """Return why a worker has no result to collect, and what to do; "" if it has one."""
    if is_streaming_function(worker.func):
        return "that step yields. Let it return its value"
    if worker.kind is not NodeKind.STEP:
        return (
            f"that is a {worker.kind.value}, and what it returns is not a result. "
            "Let it write to the state"
        )
    return ""


def field_names_of(kind: object) -> frozenset[str] | None:
    """Return the fields of a state type; None when a state may have any."""
    if dataclasses.is_dataclass(kind):
        return frozenset(field.name for field in dataclasses.fields(kind))
    if isinstance(kind, type) and attrs.has(kind):
        return frozenset(field.name for field in attrs.fields(kind))
    if isinstance(kind, type) and typing.is_typeddict(kind):
        return frozenset(kind.__annotations__)
    fields = getattr(kind, "model_fields", None)  # pydantic
    return frozenset(fields) if isinstance(fields, dict) else None


def _unknown_routes(context: ValidationContext) -> Iterator[Finding]:
    for name, step in context.steps.items():
        for target in step.route_targets:
            if target not in context.steps:
                text = f"Switch '{name}' routes to unknown step '{target}'."
                yield _problem(context, name, text, target)


def _unknown_declared_routes(context: ValidationContext) -> Iterator[Finding]:
    for name, step in context.steps.items():
        for target in step.declared_routes:
            if target not in context.steps:
                text = f"Step '{name}' names unknown step '{target}' in routes=."
                yield _problem(context, name, text, target)


def _entry_points(context: ValidationContext) -> Iterator[Finding]:
    if context.start is not None:
        if context.start not in context.steps:
            text = f"run(start=...) references unknown step '{context.start}'."
            yield _problem(context, "system", text, context.start)
    elif _is_all_cycles(context):
        yield DefinitionError(
            "Circular: no entry points found, every step has a predecessor. "
            "Pass run(start=...) or remove one edge."
        )
    elif len(context.roots) > 1 and context.strict and not context.allow_multi_root:
        yield DefinitionError(
            f"Multiple root steps detected: {', '.join(sorted(context.roots))}. "
            "Connect them, pass run(start=...), name those that a step returns in its "
            "routes=, or set allow_multi_root=True."
        )


def _is_all_cycles(context: ValidationContext) -> bool:
    """Tell whether every step has a static predecessor, so that no run could begin."""
    static = graph.static_edges_of(context.steps)
    led_to = {target for targets in static.values() for target in targets}
    return len(led_to) == len(context.steps)


def _cycles(context: ValidationContext) -> Iterator[Finding]:
    cycle = graph.find_cycle(graph.static_edges_of(context.steps), context.steps)
    if cycle is not None:
        yield DefinitionError(
            f"Circular dependency: {' -> '.join(cycle)}. A run would never leave it. "
            "Let a switch lead back, or return a step's name, instead of a static edge.",
            step_name=cycle[0],
        )


def _unsatisfiable_joins(context: ValidationContext) -> Iterator[Finding]:
    if context.start is None or context.start not in context.steps:
        return
    reached = graph.reach(context.topology.edges, [context.start])
    for name, parents in context.topology.parents.items():
        step = context.steps[name]
        is_any = step.options.barrier_type is BarrierType.ANY
        static = [p for p in parents if name in context.steps[p].to]
        if name not in reached or is_any or len(static) < 2:
            continue
        missing = sorted(set(static) - reached)
        if missing:
            text = (
                f"Step '{name}' requires ALL parents, but start='{context.start}' "
                f"cannot reach parent(s): {', '.join(missing)}."
            )
            yield StrictOnly(DefinitionError(text, step_name=name))


def _resources(context: ValidationContext) -> Iterator[Finding]:
    steps, resources = context.steps, context.resources
    yield from resource_injection.resource_problems(resources)
    yield from resource_injection.consumer_problems(
        resource_injection.consumers_of(steps, context.hooks), resources
    )
    yield from resource_injection.break_problems(steps, resources)
    yield from placement_problems(
        steps, context.placements, resources, context.context_type
    )


_METHOD_REMEDY = "Decorate a function, or pass a bound method: pipe.step()(robot.move)."


def _unsupplied_parameters(context: ValidationContext) -> Iterator[Finding]:
    workers = {step.each for step in context.steps.values()}
    gets_no_item = {
        t for step in context.steps.values() if not step.asks for t in step.to
    }
    gets_no_item |= {t for step in context.steps.values() for t in step.route_targets}
    starts = _starts(context)
    # Several roots all begin where that is allowed; elsewhere the run names one of them.
    if len(starts) == 1 or context.allow_multi_root:
        gets_no_item |= set(starts)
    for name, step in context.steps.items():
        is_worker = name in workers and name != context.start
        if is_worker or name not in gets_no_item:
            continue
        choices = resource_injection.resource_choices(
            step.injection, step.parameter_types, context.resources
        )
        for parameter, source in step.injection.items():
            if source is InjectionSource.UNKNOWN and parameter not in choices:
                hint = step.parameter_types.get(parameter, Any)
                text = (
                    f"Step '{name}' has a parameter '{parameter}' that nothing supplies: "
                    f"only map workers get an item{_other_type(hint, context)}. "
                    f"{_METHOD_REMEDY if parameter == 'self' else _remedy(context)}"
                )
                yield StrictOnly(DefinitionError(text, step_name=name))


def _remedy(context: ValidationContext) -> str:
    """Return the part of a sentence that says how a parameter is supplied."""
    state = without_annotation(context.state_type)
    is_any = state is None or state is Any or state is type(None)
    typed = "" if is_any else f" or annotate it with {type_text(state)}"
    return (
        f"For the state, which carries values from step to step, name it state{typed}; "
        "for anything else, define a resource of its name above, or give it a default."
    )


def _other_type(hint: object, context: ValidationContext) -> str:
    """Return the part of a sentence that compares a parameter's type with the state's."""
    if hint is Any:
        return ""
    state = type_text(context.state_type)
    return f", and {type_text(hint)} does not fit the state's type {state}"


def _warnings(context: ValidationContext) -> Iterator[str]:
    if context.middleware_options is None:
        unknown = unknown_options(context.steps.values(), frozenset())
        yield from (str(problem) for problem, is_near in unknown if is_near)
    if context.start is None and len(context.roots) > 1 and not context.strict:
        yield f"Multiple root steps detected: {', '.join(sorted(context.roots))}."
    yield from missing_items(context.steps)


def _warn_about_lost_updates(context: ValidationContext) -> None:
    """Warn, at the user's line, of workers that can undo each other's changes."""
    if context.is_isolated:
        return
    for step in context.steps.values():
        worker = context.steps.get(step.each or "")
        if worker is None or step.max_concurrency == 1:
            continue
        state = next(
            (n for n, s in worker.injection.items() if s is InjectionSource.STATE), None
        )
        if state is None:
            continue
        in_thread = worker.options.placement == "thread"
        lost = _plan.lost_updates.find_lost_update(
            worker.func, state, in_thread=in_thread
        )
        if lost is not None:
            text = (
                f"Worker '{worker.name}' of map '{step.name}' reads {lost.part}, lets "
                "other workers go on, and then assigns it, so an update of another "
                "worker can be lost. Let the map collect what workers return "
                "(collect=), let each worker write to a place of its own, set "
                "max_concurrency=1, or isolate the state (state_mode='isolated')."
            )
            scope = getattr(worker.func, "__globals__", {})
            warnings.warn_explicit(
                text,
                LostUpdateWarning,
                lost.filename,
                lost.lineno,
                module=getattr(worker.func, "__module__", None),
                registry=scope.setdefault("__warningregistry__", {}),
            )


def _starts(context: ValidationContext) -> tuple[str, ...]:
    if context.start is None:
        return context.roots
    return (context.start,) if context.start in context.steps else ()


def _problem(
    context: ValidationContext, step: str, text: str, wanted: str
) -> DefinitionError:
    return DefinitionError(text + did_you_mean(wanted, context.steps), step_name=step)
