# ruff: noqa: D103 - the functions are the data
"""Which steps a function may name, found in its source."""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import Enum
from typing import Any, Literal

import pytest

from justpipe_actors import Skip, Stop
from justpipe_actors.visualization.route_analysis import PossibleRoutes, analyze_routes


STEPS = ("a", "b", "c", "retry_1", "retry_2", "other_1")
FIRST = "a"
TABLE = {1: "b", 2: "c"}
MIXED = {1: "b", 2: Stop, 3: Skip()}


class Route(str, Enum):
    ONE = "a"
    TWO = "b"


class Plain(Enum):
    ONE = "c"


def a() -> None:
    """Stand for a step."""


def constant() -> Any:
    return "a"


def named_constant() -> Any:
    return FIRST


def conditional(x: int) -> Any:
    return "a" if x else "b" if x > 1 else None


def either(x: Any) -> Any:
    return (x and "a") or "b"


def f_string(x: int) -> Any:
    return f"retry_{x}"


def f_string_of_known(x: int) -> Any:
    part = "1" if x else "3"
    return f"retry_{part}"


def only_a_variable(x: int) -> Any:
    return f"{x}"


def through_a_variable(x: int) -> Any:
    target = "a"
    if x:
        target = "b"
    return target


def through_itself(x: str) -> Any:
    name = "a"
    while x:
        name = name or x
    return name


def through_a_walrus() -> Any:
    return (way := "c") or way


def from_a_loop(names: list[str]) -> Any:
    for name in names:
        return name
    return "a"


def from_a_table(x: int) -> Any:
    return TABLE[x]


def from_a_table_with_default(x: int) -> Any:
    return {1: "a"}.get(x, "b")


def from_a_mixed_table(x: int) -> Any:
    return MIXED[x]


def from_an_enum(x: int) -> Any:
    return Route.ONE if x else Route.TWO


def from_a_value() -> Any:
    return Plain.ONE.value


def by_match(x: int) -> Any:
    match x:
        case 1:
            return "a"
        case _:
            return "b"


def declared(x: Any) -> Literal["a", "c"] | None:
    return x  # type: ignore[no-any-return]


def stops(x: int) -> Any:
    return Stop if x else Stop()


def skips() -> Any:
    return Skip()


def a_function() -> Any:
    return a


def calls(x: Callable[[], str]) -> Any:
    return x()


def looks_up(x: Any) -> Any:
    return x.name or x[0]


def returns_nothing() -> None:
    return


async def yields() -> Any:
    yield "a"


def with_a_helper() -> Any:
    def helper() -> str:
        return "b"

    return helper()


READ: list[tuple[Callable[..., Any], tuple[str, ...], bool]] = [
    (constant, ("a",), True),
    (named_constant, ("a",), True),
    (conditional, ("a", "b"), True),
    (either, ("a", "b"), False),
    (f_string, ("retry_1", "retry_2"), True),
    (f_string_of_known, ("retry_1",), True),
    (only_a_variable, (), False),
    (through_a_variable, ("a", "b"), True),
    (through_itself, ("a",), False),
    (through_a_walrus, ("c",), True),
    (from_a_loop, ("a",), False),
    (from_a_table, ("b", "c"), True),
    (from_a_table_with_default, ("a", "b"), True),
    (from_a_mixed_table, ("b",), True),
    (from_an_enum, ("a", "b"), True),
    (from_a_value, ("c",), True),
    (by_match, ("a", "b"), True),
    (declared, ("a", "c"), True),
    (stops, (), True),
    (skips, (), True),
    (a_function, ("a",), True),
    (calls, (), False),
    (looks_up, (), False),
    (returns_nothing, (), True),
    (yields, (), True),
    (with_a_helper, ("b",), False),
]


@pytest.mark.parametrize(
    ("func", "names", "is_complete"), READ, ids=[one[0].__name__ for one in READ]
)
def test_returned_names_are_found(
    func: Callable[..., Any], names: tuple[str, ...], is_complete: bool
) -> None:
    """They are in the order of the source, with a mark if there may be others."""
    answers = analyze_routes(func, STEPS)

    assert answers.names == names
    assert answers.is_complete == is_complete


def test_stop_is_found() -> None:
    """The class, an instance, and one in a table are found."""
    assert analyze_routes(stops, STEPS).stops
    assert analyze_routes(from_a_mixed_table, STEPS).stops
    assert not analyze_routes(skips, STEPS).stops


def wrapped(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def outer(*args: Any) -> Any:
        return func(*args)

    return outer


class Caller:
    def __call__(self) -> Any:
        return "a"

    def method(self) -> Any:
        return "b"


CALLABLES: dict[str, tuple[Callable[..., Any], str]] = {
    "partial": (functools.partial(functools.partial(constant)), "a"),
    "wrapped": (wrapped(constant), "a"),
    "object": (Caller(), "a"),
    "method": (Caller().method, "b"),
}


@pytest.mark.parametrize(("func", "name"), CALLABLES.values(), ids=CALLABLES)
def test_any_callable_is_analysed(func: Callable[..., Any], name: str) -> None:
    """The function inside of it is found."""
    assert analyze_routes(func, STEPS).names == (name,)


def test_lambdas_of_one_line_are_told_apart() -> None:
    """Two lambdas on one line, or one inside another, are not mixed up."""
    # fmt: off
    one, two = (lambda: "a"), (lambda x: "b" if x else "c")
    outer: Any = lambda: (lambda: "b")  # noqa: E731
    # fmt: on
    assert analyze_routes(one, STEPS).names == ("a",)
    assert analyze_routes(two, STEPS).names == ("b", "c")
    assert analyze_routes(outer(), STEPS).names == ("b",)
    assert not analyze_routes(outer, STEPS).is_complete


def test_names_of_closures_are_known() -> None:
    """A closure's constants count; one that is not assigned yet may be anything."""
    way = "c"

    def closure() -> Any:
        return way

    def early() -> Any:
        return late

    assert analyze_routes(closure, STEPS).names == ("c",)
    assert analyze_routes(early, STEPS) == PossibleRoutes()
    late = "a"
    assert analyze_routes(early, STEPS).names == (late,)


@pytest.mark.parametrize("func", [len, eval("lambda: 'a'"), int])
def test_a_function_without_source_has_no_routes(func: Callable[..., Any]) -> None:
    """Built-ins, generated code and classes are not analysed and raise nothing."""
    assert analyze_routes(func, STEPS) == PossibleRoutes()
