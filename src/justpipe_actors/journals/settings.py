"""Settings that all journals of this package share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from .._util.arguments import check_count, check_seconds
from ..abc import CommitMode


COMMITS_KEPT = 10_000
"""Rows of a live run's stream that are kept for ``fork``, counted from its last snapshot."""


def check_settings(
    mode: CommitMode,
    keep: object,
    attempts: int,
    lease: float,
    types: Iterable[object],
) -> None:
    """Refuse settings that make no sense.

    Raises:
        TypeError: one of them is of another type; it is named in the text.
        ValueError: one of them, named in the text.
    """
    if not isinstance(keep, timedelta):
        msg = f"keep must be a timedelta, not {keep!r}: keep=timedelta(days=7)."
        raise TypeError(msg)
    for one in types:
        if not isinstance(one, type):
            msg = f"types must be classes, and {one!r} is none."
            raise TypeError(msg)
    check_count("attempts", attempts, minimum=None)
    check_seconds("lease", lease, is_signed=True)
    if mode not in {"sync", "group"}:
        msg = f"mode must be 'sync' or 'group', not {mode!r}."
        raise ValueError(msg)
    if keep < timedelta():
        msg = f"keep must not be negative, but it is {keep}."
        raise ValueError(msg)
    if attempts < 1:
        msg = f"attempts must be at least 1, not {attempts}."
        raise ValueError(msg)
    if lease <= 0:
        msg = f"lease must be positive, not {lease:g}."
        raise ValueError(msg)


def check_flag(name: str, value: object) -> None:
    """Refuse a value that is neither True nor False.

    Raises:
        TypeError: it is something else; the text names the setting.
    """
    if not isinstance(value, bool):
        msg = f"{name} must be True or False, not {value!r}."
        raise TypeError(msg)


def count_deaths(earlier: Sequence[tuple[int, str]]) -> int:
    """Return how many owners in a row died, as the takeover that comes next finds it.

    A takeover counts when the row before it shows that its owner did not release: it is
    neither a release nor the beginning.  A commit ends the search, because its owner
    made progress.

    Args:
        earlier: number and kind of the run's rows before the takeover, the newest first.
    """
    deaths, was_released = 0, False
    for n, kind in earlier:
        is_beginning = kind == "snapshot" and n == 1  # of a fork: it had no owner
        if kind == "redrive" or is_beginning:
            break
        if kind == "release":
            was_released = True
            continue
        deaths += not was_released
        was_released = False
        if kind != "takeover":
            break
    return deaths
