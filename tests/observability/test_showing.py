"""Users' objects on one line."""

from __future__ import annotations

from typing import Any

import pytest

from justpipe_actors._util.text import short_text


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
    """Strings come bare, the rest as a repr; neither can break out of its line."""
    assert short_text(value) == text


def test_a_huge_value_is_not_looked_at_whole() -> None:
    """Showing a container reads a few of its elements."""

    class Counting:
        seen = 0

        def __repr__(self) -> str:
            Counting.seen += 1
            return "<one>"

    text = short_text([Counting() for _ in range(10_000)])

    assert text.endswith("...]")
    assert Counting.seen < 10


@pytest.mark.parametrize("value", [Hostile(), HostileDict(a=1), [Hostile()]])
def test_hostile_values_are_shown_too(value: Any) -> None:
    """A repr or a length that raises gives a stand-in."""
    assert short_text(value)
