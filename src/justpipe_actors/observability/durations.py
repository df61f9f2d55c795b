"""Durations as text, one rule for every page and command.

Rounding comes before the choice of the unit: 0.9996 seconds are ``1.0s`` and never
``1000ms``, 59.96 are ``1.0m`` and never ``60.0s``.

>>> [duration_text(s) for s in (None, 0.0004, 0.4, 0.9996, 30.5, 59.96, 120, 7200)]
['-', '0ms', '400ms', '1.0s', '30.5s', '1.0m', '2.0m', '2.0h']
"""

from __future__ import annotations

import math


MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def duration_text(seconds: float | None) -> str:
    """Write a duration with one decimal at most, in the unit that suits it.

    Args:
        seconds: may be negative, for a difference; None, NaN and infinity are ``-``.
    """
    if seconds is None or not math.isfinite(seconds):
        return "-"
    size = abs(seconds)
    text = _milliseconds(size) or _larger(size)
    return f"-{text}" if seconds < 0 and text != "0ms" else text


def _milliseconds(size: float) -> str | None:
    whole = round(size * 1000)
    return f"{whole}ms" if whole < 1000 else None


def _larger(size: float) -> str:
    for unit, letter, most in ((1.0, "s", 60), (MINUTE, "m", 60), (HOUR, "h", 48)):
        tenths = round(size / unit * 10)
        if tenths < most * 10:
            return f"{tenths / 10:.1f}{letter}"
    return f"{size / DAY:.1f}d"


def clock_text(seconds: float) -> str:
    """Write the time since a beginning as ``HH:MM:SS.mmm``.

    >>> clock_text(3661.0004), clock_text(59.9996)
    ('01:01:01.000', '00:01:00.000')
    """
    milliseconds = max(0, round(seconds * 1000))
    rest, milliseconds = divmod(milliseconds, 1000)
    rest, whole = divmod(rest, 60)
    hours, minutes = divmod(rest, 60)
    return f"{hours:02}:{minutes:02}:{whole:02}.{milliseconds:03}"
