"""How counts, times and foreign text are written."""

from __future__ import annotations

from ..observability.durations import duration_text as format_duration
from ..observability.showing import one_line


__all__ = ["counted", "format_duration", "printable"]


def printable(text: object) -> str:
    """Return foreign text on one line, what could move the cursor escaped."""
    return one_line(str(text))


def counted(number: int, one: str, many: str | None = None) -> str:
    """Write a number and its noun.

    >>> counted(1, "run"), counted(1200, "run"), counted(2, "match", "matches")
    ('1 run', '1,200 runs', '2 matches')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"
