from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from justpipe_actors import DefinitionError
from justpipe_actors._definition.names import resolve_name, step_name_of, target_names


def fetch() -> None:
    """Stand for a step."""


class Callable:
    def __call__(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("fetch", "fetch"),
        (fetch, "fetch"),
        (partial(fetch), "fetch"),
        (partial(partial(fetch)), "fetch"),
        (Callable(), "Callable"),
        (Callable, "Callable"),
    ],
    ids=["string", "function", "partial", "nested partial", "object", "class"],
)
def test_a_string_a_callable_or_an_object_names_a_step(
    target: object, expected: str
) -> None:
    """A string names itself, a callable its function, and a nameless callable its class."""
    assert resolve_name(target) == expected


def test_other_objects_name_no_step() -> None:
    """Resolving an object that is neither a string nor callable is a ValueError."""
    with pytest.raises(ValueError, match="not by int"):
        resolve_name(5)


def test_successors_keep_their_order_and_their_duplicates() -> None:
    """A list of targets becomes names in order; a target that is named twice stays twice."""
    assert target_names(["b", fetch, "b"], "a") == ("b", "fetch", "b")


@pytest.mark.parametrize("nothing", [None, []])
def test_no_successors_are_no_edges(nothing: object) -> None:
    """None and an empty list both mean that nothing follows."""
    assert target_names(nothing, "a") == ()


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ({"x": "b"}, r"@pipe\.switch"),
        (("b", "c"), "not tuple"),
        (5, "not int"),
        (["b", 5], "not int"),
        (["b", None], "not NoneType"),
    ],
)
def test_a_bad_successor_is_a_definition_error(to: Any, reason: str) -> None:
    """Each wrong value of ``to`` is a DefinitionError that names the step."""
    with pytest.raises(DefinitionError, match=reason) as caught:
        target_names(to, "a")
    assert caught.value.step_name == "a"


@pytest.mark.parametrize("name", [None, ""])
def test_a_step_without_a_name_gets_that_of_its_function(name: str | None) -> None:
    """This holds for a missing and for an empty name."""
    assert step_name_of(name, fetch) == "fetch"


@pytest.mark.parametrize(("name", "func"), [(5, fetch), ("a", 5), (None, 5)])
def test_a_step_needs_a_string_and_a_function(name: object, func: object) -> None:
    """A name that is no string, or a step that is no function, is a DefinitionError."""
    with pytest.raises(DefinitionError):
        step_name_of(name, func)
