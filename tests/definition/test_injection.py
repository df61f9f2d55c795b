from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Generic, Optional, TypeVar, Union

import pytest

from justpipe_actors import DefinitionError
from justpipe_actors._definition.injection import analyze_parameters
from justpipe_actors.cancellation import CancellationToken
from justpipe_actors.specs import InjectionMetadata, InjectionSource as Source


T = TypeVar("T")


class Base:
    pass


class State(Base):
    pass


class Context:
    pass


class Page(Generic[T]):
    pass


def sources(func: Callable[..., Any], *types: Any, unknown: int = 9) -> list[str]:
    """Return the sources of a function's parameters, in order, as words."""
    state, context = types or (State, Context)
    found = analyze_parameters(func, state, context, unknown_allowed=unknown, step="it")
    return [source.value for source in found.values()]


def annotated(hint: object, name: str = "x") -> Callable[..., None]:
    """Return a function whose one parameter has this annotation, not as a string."""
    space: dict[str, Any] = {**globals(), "hint": hint}
    exec(f"def func({name}: hint): ...", space)
    func: Callable[..., None] = space["func"]
    return func


NAMES = {
    "s": "state",
    "state": "state",
    "c": "context",
    "ctx": "context",
    "context": "context",
    "e": "error",
    "error": "error",
    "exception": "error",
    "step_name": "step_name",
    "stage": "step_name",
    "cancel": "cancel",
    "cancellation_token": "cancel",
    "token": "unknown",
    "item": "unknown",
}


@pytest.mark.parametrize(("name", "expected"), NAMES.items())
def test_an_untyped_parameter_is_matched_by_its_name(name: str, expected: str) -> None:
    """A fixed list of aliases decides what it gets."""
    assert sources(annotated(Any, name)) == [expected]


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (State, "state"),
        (Base, "state"),
        (State | None, "state"),
        (Optional["State"], "state"),
        (Annotated[State, "the state"], "state"),
        (Context, "context"),
        (Annotated[Context | None, "maybe"], "context"),
        (CancellationToken, "cancel"),
        (Exception, "error"),
        (BaseException, "error"),
        (ValueError, "unknown"),
        (dict[str, Any], "unknown"),
        (Any, "unknown"),
        (5, "unknown"),
    ],
)
def test_a_typed_parameter_is_matched_by_its_type(hint: object, expected: str) -> None:
    """The pipe's type must be the annotation or a subclass of it; wrappers are ignored."""
    assert sources(annotated(hint)) == [expected]


def test_a_type_is_stronger_than_a_name() -> None:
    """A parameter called ``state`` with the type of the context receives the context."""
    assert sources(annotated(Context, "state")) == ["context"]


def test_a_name_decides_where_both_types_fit() -> None:
    """With two equal types, ``ctx`` is the context and all other names are the state."""

    def func(ctx: dict, other: dict, s: dict) -> None:  # type: ignore[type-arg]
        """Take three dicts."""

    assert sources(func, dict, dict) == ["context", "state", "state"]


def test_a_bad_forward_reference_affects_only_its_own_parameter() -> None:
    """The types of the other parameters are still used."""

    def func(one: Nowhere, two: State) -> None:  # type: ignore[name-defined]  # noqa: F821
        """Use a class that does not exist as a type."""

    assert sources(func) == ["unknown", "state"]


def test_a_step_may_use_a_later_step() -> None:
    """A closure over a function that is defined further down can be analysed."""

    class Local:
        pass

    def first(x: Local) -> str:
        return f"{Local.__name__} {later.__name__} {x}"

    found = sources(first, Local, Context)

    def later() -> None:
        """Be defined after the analysis."""

    assert found == ["state"]
    assert first(Local()).startswith("Local later")


def test_parameters_with_a_default_are_not_injected() -> None:
    """Neither are ``*args`` and ``**kwargs``, whatever their type."""

    def func(*args: State, x: State | None = None, **kwargs: State) -> None:
        """Take only parameters with defaults."""

    assert sources(func) == []


def test_an_untyped_pipe_injects_its_state_as_object() -> None:
    """Where the state type is NoneType, ``object`` and ``None`` still match the state."""
    nothing = type(None)

    assert sources(annotated(object), nothing, nothing) == ["state"]
    assert sources(annotated(None), nothing, nothing) == ["state"]


def test_any_as_the_state_type_matches_no_annotation() -> None:
    """With ``Pipe(Any)`` parameters are matched only by name."""
    assert sources(annotated(Any, "x"), Any, Any) == ["unknown"]
    assert sources(annotated(State, "state"), Any, Any) == ["state"]


class Steps:
    def method(self, x: State) -> None:
        """Take the state."""

    def __call__(self, x: Context) -> None:
        """Take the context."""


class Odd(typing.Protocol):
    """A type that ``issubclass`` refuses."""

    field: int


def test_every_kind_of_callable_is_analysed() -> None:
    """Methods, callable objects, partials and lambdas are analysed as functions are."""

    def func(x: State, y: Context) -> None:
        """Take both."""

    assert sources(Steps().method) == ["state"]
    assert sources(Steps()) == ["context"]
    assert sources(partial(func, State())) == ["context"]
    assert sources(lambda s: s) == ["state"]


@pytest.mark.parametrize(
    ("state_type", "hint", "expected"),
    [
        (dict[str, Any], dict[str, Any], "state"),
        (dict[str, Any], dict, "state"),
        (dict[str, Any], Mapping[str, Any], "state"),
        (dict[str, Any], typing.Dict[str, Any], "state"),  # noqa: UP006
        (dict[str, Any], dict[str, int], "unknown"),
        (dict, dict[str, Any], "unknown"),
        (list[int], list[int], "state"),
        (Page[str], Page[str], "state"),
        (Page[str], Page, "state"),
        (Page[str], Page[int], "unknown"),
        (State | Context, State | Context, "state"),
        (State | Context, Union[Context, State], "state"),  # noqa: UP007
        (State | Context, Context, "unknown"),
        (State | None, State, "state"),
        (dict[str, int] | None, dict[str, int], "state"),
    ],
    ids=str,
)
def test_generic_types_and_unions_match_the_state(
    state_type: object, hint: object, expected: str
) -> None:
    """The pipe's type fits an annotation with the same type or a wider one."""
    assert sources(annotated(hint), state_type, int) == [expected]


def test_an_item_may_have_the_generic_type_of_the_state() -> None:
    """Beside a parameter named ``state``, another one of the same type is the worker's item."""

    def worker(row: dict[str, Any], state: dict[str, Any]) -> None:
        """Take the item and the state."""

    assert sources(worker, dict[str, Any], int) == ["unknown", "state"]


def test_a_type_that_cannot_be_compared_leaves_the_name() -> None:
    """The name decides where the annotation is a protocol that refuses ``issubclass``."""
    assert sources(annotated(Odd, "ctx")) == ["context"]


def test_too_many_unknown_parameters_are_named() -> None:
    """More unknown parameters than allowed are a DefinitionError that lists them."""

    def func(state: State, one: Any, two: Any) -> None:
        """Take too many unknown parameters."""

    with pytest.raises(
        DefinitionError, match="unrecognized parameters: one, two"
    ) as caught:
        sources(func, unknown=1)
    assert caught.value.step_name == "it"


def test_a_type_that_does_not_fit_is_named() -> None:
    """The message compares the types of unknown parameters with those of the pipe."""

    def func(one: list[int], two: Any) -> None:
        """Take a list, which fits no type of the pipe."""

    with pytest.raises(DefinitionError) as caught:
        sources(func, dict[str, int], type(None), unknown=1)
    text = str(caught.value)
    assert "list[int] fits none of the pipe's types dict[str, int] and None" in text


def test_one_unknown_parameter_may_be_allowed() -> None:
    """A map worker's item is the one unknown parameter of a step."""
    found = analyze_parameters(
        lambda item: item, State, Context, unknown_allowed=1, step="it"
    )

    expected: InjectionMetadata = {"item": Source.UNKNOWN}
    assert found == expected


def test_a_function_without_signature_is_refused() -> None:
    """A callable that Python cannot describe is a DefinitionError."""
    with pytest.raises(DefinitionError, match="cannot read the signature"):
        sources(dict)


def test_an_annotation_of_the_state_does_not_count() -> None:
    """``Annotated`` is read through on the pipe's type and on the parameter's."""

    def plain(data: State) -> None: ...

    def annotated(data: Annotated[State, "of the parameter"]) -> None: ...

    assert sources(plain, Annotated[State, "of the pipe"], Context) == ["state"]
    assert sources(annotated, State, Context) == ["state"]
