"""Checks of numbers that users pass as arguments, made when they are passed."""

from __future__ import annotations

from typing import Any


def is_real(value: object) -> bool:
    """Tell whether a value is a real number; a bool is one by inheritance only."""
    if type(value) in {int, float}:
        return True
    from numbers import Real  # noqa: PLC0415 - for numbers such as numpy's

    return isinstance(value, Real) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    if type(value) is int:
        return True
    from numbers import Integral  # noqa: PLC0415 - for numbers such as numpy's

    return isinstance(value, Integral) and not isinstance(value, bool)


def check_seconds(
    name: str, value: Any, *, is_optional: bool = False, is_signed: bool = False
) -> None:
    """Refuse a value that is not a number of seconds; infinity is allowed.

    Args:
        name: the argument, for the error.
        value: its value.
        is_optional: whether None is allowed.
        is_signed: whether negative numbers are left to the caller's own check.

    Raises:
        TypeError: it is no number.
        ValueError: it is negative, or NaN.
    """
    if is_optional and value is None:
        return
    allowed = " or None" if is_optional else ""
    if not is_real(value):
        msg = f"{name} must be a number of seconds{allowed}, not {value!r}."
        raise TypeError(msg)
    is_nan = value != value  # only NaN differs from itself
    if is_nan or (value < 0 and not is_signed):
        problem = "be a number" if is_nan else "not be negative"
        msg = f"{name} must {problem}, but it is {value:g}."
        raise ValueError(msg)


def check_count(
    name: str, value: Any, *, is_optional: bool = False, minimum: int | None = 0
) -> None:
    """Refuse a value that is not a whole number.

    Args:
        name: the argument, for the error.
        value: its value.
        is_optional: whether None is allowed.
        minimum: the smallest allowed number; None is no limit.

    Raises:
        TypeError: it is not a whole number.
        ValueError: it is less than the minimum.
    """
    if is_optional and value is None:
        return
    allowed = " or None" if is_optional else ""
    if not _is_whole(value):
        msg = f"{name} must be a count{allowed}, not {value!r}."
        raise TypeError(msg)
    if minimum is not None and int(value) < minimum:
        limit = "not be negative" if minimum == 0 else f"be at least {minimum}"
        hint = "; None is no limit" if is_optional else ""
        msg = f"{name} must {limit}, but it is {value}{hint}."
        raise ValueError(msg)
