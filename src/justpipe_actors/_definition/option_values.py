"""Checks of the option values of a step, made when the step is registered.

A type checker finds most of these mistakes earlier.  Without one, and for values from
configuration, the error names the step and the option.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .._util.arguments import is_real
from ..errors import DefinitionError
from ..options import OWN_OPTIONS
from ..specs import BarrierType


def _is_seconds(value: Any) -> bool:
    return is_real(value) and bool(value >= 0)


def _is_seconds_or_none(value: object) -> bool:
    return value is None or _is_seconds(value)


def _is_wait(value: object) -> bool:
    from datetime import timedelta  # noqa: PLC0415 - few programs have one

    return _is_seconds(value) or isinstance(value, timedelta)


def _is_retries(value: object) -> bool:
    if value is None or isinstance(value, Mapping):
        return True
    return isinstance(value, int) and value >= 0  # True is one retry


def _is_barrier_type(value: object) -> bool:
    return value is None or isinstance(value, BarrierType)


_RULES: dict[str, tuple[Callable[[object], bool], str]] = {
    "timeout": (_is_seconds_or_none, "a number of seconds, or None for no limit"),
    "barrier_timeout": (_is_seconds_or_none, "a number of seconds, or None"),
    "barrier_type": (_is_barrier_type, "BarrierType.ALL or BarrierType.ANY"),
    "retries": (_is_retries, "a count of at least 0, or a dict of tenacity's options"),
    "retry_wait_min": (_is_wait, "a number of seconds"),
    "retry_wait_max": (_is_wait, "a number of seconds"),
    "retry_reraise": (lambda value: isinstance(value, bool), "True or False"),
}
"""For each option: a check of its value, and a description of the allowed values."""


def check_values(options: Mapping[str, object], step: str) -> None:
    """Refuse values of the wrong type, and negative times and counts.

    Raises:
        DefinitionError: an option has such a value.
    """
    for option, value in options.items():
        fits, expected = _RULES.get(option, (None, ""))
        if fits is not None and not fits(value):
            msg = f"Step '{step}': {option} must be {expected}, not {value!r}."
            raise DefinitionError(msg, step_name=step)
    retries = options.get("retries")
    if isinstance(retries, Mapping):
        _check_tenacity_options(retries, step)


def _check_tenacity_options(retries: Mapping[str, object], step: str) -> None:
    """Refuse a number where tenacity takes a strategy; it would fail at the first retry."""
    for option in ("stop", "wait", "retry"):
        value = retries.get(option)
        if value is not None and not callable(value):
            msg = (
                f"Step '{step}': retries[{option!r}] must be a strategy of tenacity, such "
                f"as {_STRATEGIES[option]}, not {value!r}. For a count alone write retries=3."
            )
            raise DefinitionError(msg, step_name=step)


_STRATEGIES = {
    "stop": "stop_after_attempt(3)",
    "wait": "wait_fixed(1)",
    "retry": "retry_if_exception_type(OSError)",
}
"""An example of each kind of tenacity's strategies."""


def middleware_options(options: Mapping[str, object], step: str) -> dict[str, Any]:
    """Return the options for middleware: ``options=``, and names that are not built in.

    Raises:
        DefinitionError: ``options=`` is no mapping of names, or has a built-in option.
    """
    given = options.get("options")
    nested: Mapping[object, object] = given if isinstance(given, Mapping) else {}
    if nested is not given and given is not None:
        msg = (
            f"Step '{step}': options must be a dict of options for middleware, "
            f"not {given!r}."
        )
        raise DefinitionError(msg, step_name=step)
    for name in nested:
        if not isinstance(name, str) or name in OWN_OPTIONS:
            msg = (
                f"Step '{step}': options= has {name!r}; it is for options of your own "
                f"middleware. Pass {name} to the decorator itself."
            )
            raise DefinitionError(msg, step_name=step)
    direct = {name: value for name, value in options.items() if name != "options"}
    return {**direct, **{str(name): value for name, value in nested.items()}}
