"""What is wrong with a definition: one rule, one function, all problems together.

A rule yields problems.  ``Doubt`` marks those that are errors only in a strict pipe and
warnings otherwise.
"""

from __future__ import annotations

import dataclasses
import difflib
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import attrs

from .._definition.resources import ResourceDef
from .._definition.steps import StepDef
from ..errors import (
    DefinitionError,
    DefinitionErrorGroup,
    PipelineValidationWarning,
    did_you_mean,
)
from ..events import NodeKind
from ..specs import BarrierType, HookSpec, InjectionSource
from . import graph as graph, resource_injection as needs


@attrs.frozen(eq=False, kw_only=True)
class Question:
    """What is to be validated."""

    steps: Mapping[str, StepDef]
    """The definition."""
    state_type: object
    """The pipe's state type."""
    start: str | None
    """Where a run would begin."""
    strict: bool
    """Whether doubts are errors."""
    allow_multi_root: bool
    """Whether several roots are meant."""
    resources: Mapping[str, ResourceDef] = attrs.field(factory=dict)
    """The pipe's resources."""
    hooks: Mapping[str, HookSpec] = attrs.field(factory=dict)
    """The pipe's hooks and handler, by role."""
    readable: frozenset[str] | None = frozenset()
    """Options that its middleware reads; None when that is not known."""
    edges: graph.Edges = attrs.field(
        init=False,
        default=attrs.Factory(lambda self: graph.edges_of(self.steps), takes_self=True),
    )
    """Targets by step."""
    roots: tuple[str, ...] = attrs.field(
        init=False,
        default=attrs.Factory(lambda self: graph.roots_of(self.edges), takes_self=True),
    )
    """Nobody's targets."""


@attrs.frozen(eq=False)
class Doubt:
    """A problem that only a strict pipe refuses."""

    problem: DefinitionError
    """What is wrong."""


Finding = DefinitionError | Doubt


NEAR = 0.8
"""How alike two names must be, from 0 to 1: a letter or two in a word."""

_ALL = {
    "barrier_timeout",
    "barrier_type",
    "breaks",
    "concurrency",
    "name",
    "on_error",
    "placement",
    "retries",
    "routes",
    "timeout",
    "to",
}

_OPTIONS = {
    NodeKind.STEP: _ALL,
    NodeKind.MAP: _ALL | {"each", "max_concurrency"},
    NodeKind.SWITCH: _ALL | {"default"},
    NodeKind.SUB: _ALL | {"pipeline"},
}
"""What the decorators read, by the kind of the step."""


def read_by(middleware: Iterable[Any]) -> frozenset[str] | None:
    """Return the options that middleware reads; None when one of them does not say."""
    found: set[str] = set()
    for one in middleware:
        options: Collection[str] | None = getattr(one, "options", None)
        if options is None:
            return None
        found.update(options)
    return frozenset(found)


def near_misses(
    steps: Iterable[StepDef], readable: frozenset[str]
) -> Iterator[DefinitionError]:
    """Yield a problem for every option that nobody reads and that looks misspelt."""
    for step in steps:
        known = _OPTIONS[step.kind] | readable
        for option in step.options.extra:
            near = [] if option in known else _nearest(option, known)
            if near:
                text = (
                    f"Step '{step.name}' has an option '{option}', which nobody says to read. "
                    f"Did you mean '{near[0]}'? If a middleware reads it, let it say "
                    f"so: decorate it with @reads('{option}')."
                )
                yield DefinitionError(text, step_name=step.name)


def _nearest(option: str, known: Collection[str]) -> list[str]:
    return difflib.get_close_matches(option, sorted(known), n=1, cutoff=NEAR)


def validate(question: Question) -> None:
    """Report everything that is wrong.

    Raises:
        DefinitionError: something is; a ``DefinitionErrorGroup`` when several things are.
    """
    if not question.steps:
        return
    problems: list[DefinitionError] = []
    doubts: list[DefinitionError] = []
    for finding in _findings(question):
        if isinstance(finding, Doubt):
            (problems if question.strict else doubts).append(finding.problem)
        else:
            problems.append(finding)
    for doubt in [*doubts, *_remarks(question)]:
        warnings.warn(str(doubt), PipelineValidationWarning, stacklevel=3)
    raise_problems(problems)


def raise_problems(problems: list[DefinitionError]) -> None:
    """Raise one problem as it is and several as a group.

    Raises:
        DefinitionError: there is one at least.
    """
    if len(problems) == 1:
        raise problems[0]
    if problems:
        msg = f"The pipe has {len(problems)} problems:"
        raise DefinitionErrorGroup(msg, problems)


def _findings(question: Question) -> Iterator[Finding]:
    yield from _unknown_targets(question)
    yield from _worker_traps(question)
    yield from _unknown_workers(question)
    yield from _unknown_routes(question)
    yield from _unknown_hints(question)
    yield from _entry_points(question)
    yield from _cycles(question)
    yield from _starved_joins(question)
    yield from _unfed_parameters(question)
    yield from _resources(question)
    if question.readable is not None:
        yield from near_misses(question.steps.values(), question.readable)


def _unknown_targets(question: Question) -> Iterator[Finding]:
    for name, step in question.steps.items():
        for target in dict.fromkeys(step.to):
            if target not in question.steps:
                text = f"Step '{name}' targets unknown step '{target}'."
                yield _problem(question, name, text, target)


def _worker_traps(question: Question) -> Iterator[Finding]:
    for name, step in question.steps.items():
        worker = question.steps.get(step.each or "")
        if worker is not None and worker.to:
            text = (
                f"Map '{name}' uses '{worker.name}' as its worker, but that step has "
                "successors of its own; put to= on the map instead."
            )
            yield DefinitionError(text, step_name=worker.name)


def _unknown_workers(question: Question) -> Iterator[Finding]:
    for name, step in question.steps.items():
        if step.each is not None and step.each not in question.steps:
            text = f"Map '{name}' maps over unknown step '{step.each}'."
            yield _problem(question, name, text, step.each)


def _unknown_routes(question: Question) -> Iterator[Finding]:
    for name, step in question.steps.items():
        for target in step.route_targets:
            if target not in question.steps:
                text = f"Switch '{name}' routes to unknown step '{target}'."
                yield _problem(question, name, text, target)


def _unknown_hints(question: Question) -> Iterator[Finding]:
    for name, step in question.steps.items():
        for target in step.may_go:
            if target not in question.steps:
                text = f"Step '{name}' names unknown step '{target}' in routes=."
                yield _problem(question, name, text, target)


def _entry_points(question: Question) -> Iterator[Finding]:
    if question.start is not None:
        if question.start not in question.steps:
            text = f"run(start=...) references unknown step '{question.start}'."
            yield _problem(question, "system", text, question.start)
    elif not question.roots:
        yield DefinitionError(
            "Circular: no entry points found, every step is somebody's successor. "
            "Pass run(start=...) or remove one edge."
        )
    elif len(question.roots) > 1 and question.strict and not question.allow_multi_root:
        yield DefinitionError(
            f"Multiple root steps detected: {', '.join(sorted(question.roots))}. "
            "Connect them, pass run(start=...), or set allow_multi_root=True."
        )


def _cycles(question: Question) -> Iterator[Finding]:
    starts = _starts(question)
    cycle = graph.find_cycle(question.edges, starts)
    if cycle is not None:
        yield DefinitionError(
            f"Circular dependency: {' -> '.join(cycle)}. "
            "Loop by returning a step's name instead of a static edge.",
            step_name=cycle[0],
        )
    elif question.start is None and question.roots:
        lost = sorted(set(question.steps) - graph.reach(question.edges, starts))
        if lost:
            yield DefinitionError(
                f"Unreachable steps (a cycle apart from the rest): {', '.join(lost)}."
            )


def _starved_joins(question: Question) -> Iterator[Finding]:
    if question.start is None or question.start not in question.steps:
        return
    reached = graph.reach(question.edges, [question.start])
    for name, parents in graph.parents_of(question.steps).items():
        step = question.steps[name]
        is_any = step.options.barrier_type is BarrierType.ANY
        if name not in reached or is_any or len(parents) < 2:
            continue
        missing = sorted(set(parents) - reached)
        if missing:
            text = (
                f"Step '{name}' requires ALL parents, but start='{question.start}' "
                f"cannot reach parent(s): {', '.join(missing)}."
            )
            yield Doubt(DefinitionError(text, step_name=name))


def _resources(question: Question) -> Iterator[Finding]:
    steps, resources = question.steps, question.resources
    yield from needs.resource_problems(resources)
    yield from needs.customer_problems(
        needs.customers_of(steps, question.hooks), resources
    )
    yield from needs.break_problems(steps, resources)


def _unfed_parameters(question: Question) -> Iterator[Finding]:
    workers = {step.each for step in question.steps.values()}
    fed_nothing = {t for step in question.steps.values() for t in step.to}
    fed_nothing |= {t for step in question.steps.values() for t in step.route_targets}
    starts = _starts(question)
    fed_nothing |= set(starts) if len(starts) == 1 else set()
    for name, step in question.steps.items():
        if name in workers or name not in fed_nothing:
            continue
        late = needs.choices_of(step.injection, step.wants, question.resources)
        for parameter, source in step.injection.items():
            if source is InjectionSource.UNKNOWN and parameter not in late:
                text = (
                    f"Step '{name}' has a parameter '{parameter}' that nothing supplies: "
                    "only map workers get an item. Give it a default or a known name."
                )
                yield Doubt(DefinitionError(text, step_name=name))


def _remarks(question: Question) -> Iterator[str]:
    if question.readable is None:
        misses = near_misses(question.steps.values(), frozenset())
        yield from map(str, misses)
    if question.start is None and len(question.roots) > 1 and not question.strict:
        yield f"Multiple root steps detected: {', '.join(sorted(question.roots))}."
    kind = question.state_type
    has_map = any(step.kind is NodeKind.MAP for step in question.steps.values())
    if has_map and _is_mutable_dataclass(kind):
        yield (
            f"{getattr(kind, '__name__', kind)} is a mutable dataclass shared by map "
            "workers that run at once; let each worker write to a place of its own."
        )


def _is_mutable_dataclass(kind: object) -> bool:
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return False
    return not getattr(kind, "__dataclass_params__").frozen  # noqa: B009 - untyped


def _starts(question: Question) -> tuple[str, ...]:
    if question.start is None:
        return question.roots
    return (question.start,) if question.start in question.steps else ()


def _problem(question: Question, step: str, text: str, wanted: str) -> DefinitionError:
    return DefinitionError(text + did_you_mean(wanted, question.steps), step_name=step)
