"""How long is waited before another attempt, and before somebody complains."""

from __future__ import annotations


PATIENCE = 10.0
"""Seconds between two complaints about something that does not end."""


def backoff(streak: int, draw: float, *, shortest: float, longest: float) -> float:
    """Return the seconds to wait before another attempt.

    Args:
        streak: failures in a row, this one included; at least 1.
        draw: a random number from 0 to 1; it takes away up to half of the wait.
        shortest: the wait after the first failure.
        longest: no wait is longer.
    """
    doublings = min(streak - 1, 60)
    return min(longest, shortest * 2.0**doublings) * (1 - draw / 2)
