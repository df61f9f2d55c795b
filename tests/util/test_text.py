"""Text of user objects and of durations, the same on every page and in every command."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from justpipe_actors._util.text import (
    error_text,
    format_clock,
    format_duration,
    safe_repr,
    safe_str,
    short_text,
)

from ..helpers import Unprintable, UnprintableError


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "0ms"),
        (0.4, "400ms"),
        (0.9994, "999ms"),
        (30.5, "30.5s"),
        (120, "2.0m"),
        (7200, "2.0h"),
        (86_400, "24.0h"),
    ],
)
def test_a_duration_has_a_suitable_unit(seconds: float | None, text: str) -> None:
    """Milliseconds are whole, larger units have one decimal."""
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.9996, "1.0s"),
        (59.94, "59.9s"),
        (59.96, "1.0m"),
        (3599, "1.0h"),
        (48 * 3600, "2.0d"),
        (-2, "-2.0s"),
        (-0.25, "-250ms"),
        (-0.0001, "0ms"),
        (math.nan, "-"),
        (math.inf, "-"),
    ],
)
def test_durations_are_rounded_before_their_unit_is_chosen(
    seconds: float, text: str
) -> None:
    """There is no 1000ms and no 60.0s; differences have a sign; hours are the largest unit."""
    assert format_duration(seconds) == text


@given(st.floats(min_value=0, max_value=1e9))
def test_no_unit_reaches_the_next_one(seconds: float) -> None:
    """For any duration the figure is below the beginning of the next unit."""
    text = format_duration(seconds)
    most = {"ms": 1000, "s": 60, "m": 60, "h": 48, "d": math.inf}
    unit = text.lstrip("0123456789.")

    assert float(text.removesuffix(unit)) < most[unit]


@given(st.floats(min_value=0, max_value=3.5e5))
def test_a_clock_never_shows_sixty_seconds(seconds: float) -> None:
    """Minutes and seconds stay below sixty, however they are rounded."""
    hours, minutes, rest = format_clock(seconds).split(":")

    assert (int(minutes) < 60, float(rest) < 60) == (True, True)
    total = int(hours) * 3600 + int(minutes) * 60 + float(rest)
    assert total == pytest.approx(seconds, abs=0.001)


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class HostileDict(dict[str, int]):
    def __len__(self) -> int:
        raise RuntimeError("no len")


HostileDict.__name__ = "dict"  # so that it is taken for one


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("x" * 200, "x" * 97 + "..."),
        ("two\nlines", "two\\nlines"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        (b"\x00", "b'\\x00'"),
        ([1, "a"], "[1, 'a']"),
        (None, "None"),
    ],
)
def test_a_value_is_one_short_line(value: object, text: str) -> None:
    """Strings are shown without quotes, other values as a repr without line ends."""
    assert short_text(value) == text


def test_a_huge_value_is_not_read_whole() -> None:
    """Only a few elements of a container are read."""

    class Counting:
        seen = 0

        def __repr__(self) -> str:
            Counting.seen += 1
            return "<one>"

    text = short_text([Counting() for _ in range(10_000)])

    assert text.endswith("...]")
    assert Counting.seen < 10


@pytest.mark.parametrize("value", [Hostile(), HostileDict(a=1), [Hostile()]])
def test_values_that_raise_are_shown_too(value: Any) -> None:
    """A repr or a length that raises is replaced by a text."""
    assert short_text(value)


def test_a_replacement_says_what_could_not_be_shown() -> None:
    """It has the type and the error."""
    assert safe_repr(Unprintable()) == (
        "<Unprintable whose repr raised ZeroDivisionError>"
    )
    assert "UnprintableError" in safe_str(UnprintableError())
    assert safe_repr("x" * 300, limit=10) == "'xxxxxx..."


def test_the_text_of_a_group_names_a_limited_number_of_leaves() -> None:
    """A group of ten thousand exceptions has a text of some lines."""
    group = ExceptionGroup("many", [ValueError(str(n)) for n in range(1025)])

    text = error_text(group)

    assert text.startswith("many (1025 sub-exceptions): ValueError: 0; ValueError: 1; ")
    assert text.endswith("; ValueError: 19; and 1,005 more")


def test_a_deeply_nested_group_has_a_text() -> None:
    """Groups may be nested deeper than Python's calls."""
    group: ExceptionGroup[Any] = ExceptionGroup("0", [ValueError("leaf")])
    for depth in range(5000):
        group = ExceptionGroup(str(depth), [group])

    assert error_text(group) == "4999 (1 sub-exception): ValueError: leaf"
