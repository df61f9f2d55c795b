"""The differences of two values, at all depths."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from justpipe_actors.observability import deep_diff as diffs
from justpipe_actors.observability.deep_diff import are_equal, fields_of, find_changes


@dataclass
class User:
    name: str
    tags: list[str] = field(default_factory=list)


class Slotted:
    __slots__ = ("left", "never_set", "right")

    def __init__(self, left: int, right: int) -> None:
        self.left, self.right = left, right


@attrs.define
class Sluggish(Slotted):
    extra: Any = None
    left: int = 0
    right: int = 0


class Array:
    """The part of an array that a comparison uses."""

    def __init__(self, *items: int) -> None:
        self.items, self.shape = items, (len(items),)

    def __eq__(self, other: object) -> Any:
        assert isinstance(other, Array)
        pairs = zip(self.items, other.items, strict=True)
        return Answers([mine == theirs for mine, theirs in pairs])

    __hash__ = None  # type: ignore[assignment]


class Answers:
    def __init__(self, answers: list[bool]) -> None:
        self.answers = answers

    def __bool__(self) -> bool:
        raise ValueError("the truth of an array is ambiguous")

    def all(self) -> bool:
        return all(self.answers)


class Hostile:
    """Raises errors when it is compared, shown or inspected."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no eq")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("no attributes")


def change_words(before: object, after: object) -> list[str]:
    """Return the changes as short texts."""
    return [f"{change.sign}{change.path}" for change in find_changes(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (1, 1, []),
        (1, 2, ["~"]),
        ({"a": 1, "b": 2}, {"b": 3, "c": 4}, ["-a", "~b", "+c"]),
        ({1: "x", "a": 1}, {1: "y", "a": 1}, ["~[1]"]),
        ({"two words": 1}, {"two words": 2}, ["~['two words']"]),
        ([1, 2], [1, 3, 4], ["~[1]", "+[2]"]),
        ((1, 2), (1,), ["-[1]"]),
        ({1, 2}, {2, 3}, ["-{1}", "+{3}"]),
        (User("a", ["x"]), User("b", ["x", "y"]), ["~name", "+tags[1]"]),
        (Slotted(1, 2), Slotted(1, 3), ["~right"]),
        (SimpleNamespace(a=1), SimpleNamespace(a=1, b=2), ["+b"]),
        ({"u": [User("a")]}, {"u": [User("b")]}, ["~u[0].name"]),
        (Array(1, 2), Array(1, 2), []),
        ({"x": Array(1, 2)}, {"x": Array(1, 3)}, ["~x"]),
        (Path("/a"), Path("/a"), []),
        (Path("/a"), Path("/b"), ["~"]),
        ([1], (1,), ["~"]),
        (ValueError("a"), ValueError("b"), ["~"]),
        (ValueError("a"), ValueError("a"), []),
        (object(), object(), []),
        (User, User, []),
    ],
)
def test_a_difference_has_its_path(
    before: object, after: object, words: list[str]
) -> None:
    """A change inside a value is reported with its path, whatever the type of the value."""
    assert change_words(before, after) == words


def test_objects_that_raise_errors_count_as_changed() -> None:
    """They do not end the comparison."""
    assert change_words({"a": Hostile(), "b": 1}, {"a": Hostile(), "b": 2}) == [
        "~a",
        "~b",
    ]
    assert fields_of(Hostile()) is None
    assert not are_equal(Hostile(), Hostile())


def test_values_that_contain_themselves_are_compared() -> None:
    """The comparison stops where a cycle closes."""
    before: dict[str, Any] = {"n": 1}
    before["self"] = before
    after = copy.deepcopy(before)
    assert change_words(before, after) == []

    after["n"] = 2
    assert change_words(before, after) == ["~n"]


def test_depth_and_number_of_changes_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Deep values are compared down to a level, long ones up to a number of changes."""
    before: list[Any] = [1]
    after: list[Any] = [2]
    for _ in range(200):
        before, after = [before], [after]
    assert change_words(before, after) == ["~" + "[0]" * diffs.MAX_DEPTH]

    monkeypatch.setattr(diffs, "MAX_CHANGES", 3)
    assert len(find_changes(list(range(100)), list(range(1, 101)))) == 3


def test_inherited_slots_are_compared() -> None:
    """Attributes in the slots of a base class are compared too."""
    assert change_words(Sluggish(extra=1), Sluggish(extra=2, left=1)) == [
        "~extra",
        "~left",
    ]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=2) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(plain, plain)
def test_no_changes_means_equal(before: Any, after: Any) -> None:
    """Values without changes are equal, and a copy has no changes."""
    assert find_changes(before, copy.deepcopy(before)) == []
    assert (not find_changes(before, after)) == (before == after)
