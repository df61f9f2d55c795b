"""What decorators accept, what parameters get, and what cannot change a definition."""

from __future__ import annotations

from typing import Any

import pytest

from justpipe_actors import DefinitionError, Pipe
from justpipe_actors.types import (
    InjectionSource,
)

from ..helpers import (
    AnyPipe,
    do_nothing,
    idle_chain,
    run_pipe,
)


# -- decorators without arguments


@pytest.mark.parametrize("kind", ["map", "switch", "sub"])
def test_a_bare_decorator_is_refused(kind: str) -> None:
    """``@pipe.map`` without arguments is an error and registers nothing."""
    pipe: AnyPipe = Pipe(dict)
    with pytest.raises(DefinitionError, match=kind):
        getattr(pipe, kind)(do_nothing)
    assert list(pipe.steps()) == []


def test_a_step_called_with_a_function_is_registered() -> None:
    """``pipe.step(f, timeout=1)`` registers the function with its options."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step(do_nothing, timeout=1)
    assert [(info.name, info.timeout) for info in pipe.steps()] == [("do_nothing", 1)]


# -- what parameters get


class State(dict[str, Any]):
    """A state."""


class Context(dict[str, Any]):
    """A context."""


def test_a_parameter_without_a_source_is_refused() -> None:
    """A step with a parameter for an item that is no worker is refused before it runs."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a", to="b")(do_nothing)
    pipe.step("b")(lambda state, thing: None)
    with pytest.raises(DefinitionError, match="'thing'"):
        pipe.validate()


def test_the_name_decides_between_equal_types() -> None:
    """In ``Pipe(dict, dict)`` the parameter called ``ctx`` gets the context."""
    pipe: Pipe[dict[str, Any], dict[str, Any]] = Pipe(dict, dict)

    @pipe.step
    def a(ctx: dict, other: dict) -> None: ...  # type: ignore[type-arg]

    assert pipe.registry.injection_metadata["a"] == {
        "ctx": InjectionSource.CONTEXT,
        "other": InjectionSource.STATE,
    }


def test_a_bad_annotation_affects_only_its_own_parameter() -> None:
    """The forward reference cannot be resolved; the other annotations are used."""
    pipe: Pipe[State, Context] = Pipe(State, Context)

    @pipe.step
    def a(x: State, y: Context, cancel: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert pipe.registry.injection_metadata["a"] == {
        "x": InjectionSource.STATE,
        "y": InjectionSource.CONTEXT,
        "cancel": InjectionSource.CANCEL,
    }


# -- definitions


async def test_views_of_a_definition_cannot_change_it() -> None:
    """Topology and middleware are views or copies, before the freeze and after."""
    pipe = idle_chain("a", "b")
    for _ in range(2):
        pipe.topology["a"].append("a")
        pipe.topology.clear()
        assert pipe.topology == {"a": ["b"]}
        with pytest.raises((AttributeError, TypeError)):
            pipe.middleware.append(lambda func, context: func)  # type: ignore[attr-defined]
        await run_pipe(pipe)


@pytest.mark.parametrize(
    "options",
    [{"to": [3]}, {"to": {"a": "b"}}, {"to": 3}, {"on_error": 3}, {"concurrency": 0}],
)
def test_a_failed_decoration_registers_nothing(options: dict[str, Any]) -> None:
    """Each mistake is a DefinitionError, and the name is free again."""
    pipe: AnyPipe = Pipe(dict)
    with pytest.raises(DefinitionError):
        pipe.step("a", **options)(do_nothing)
    assert list(pipe.steps()) == []
    pipe.step("a")(do_nothing)


@pytest.mark.parametrize("each", [3, [], b"w"])
def test_a_worker_that_names_no_step_is_refused(each: Any) -> None:
    """A worker that is neither a name nor a function is a DefinitionError."""
    pipe: AnyPipe = Pipe(dict)
    with pytest.raises(DefinitionError):
        pipe.map("m", each=each)(do_nothing)


class CallableObject:
    """A callable object without a name of its own."""

    def __call__(self) -> None:
        """Do nothing."""


def test_a_callable_without_a_name_has_that_of_its_class() -> None:
    """A second one of that class is a DefinitionError."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step(CallableObject())
    with pytest.raises(DefinitionError, match="already registered"):
        pipe.step(CallableObject())
    assert [info.name for info in pipe.steps()] == ["CallableObject"]
