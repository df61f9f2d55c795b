"""Numbers that users pass are checked where they are given."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.errors import DefinitionError


WRONG_SECONDS: list[tuple[Any, type[Exception]]] = [
    ("3", TypeError),
    (True, TypeError),
    (None, TypeError),
    (nan, ValueError),
    (-1, ValueError),
]


@pytest.mark.parametrize(("value", "kind"), WRONG_SECONDS)
@pytest.mark.parametrize("option", ["grace", "period"])
def test_the_times_of_a_supervisor(
    option: str, value: Any, kind: type[Exception]
) -> None:
    """The error names the argument."""
    with pytest.raises(kind, match=option):
        Supervisor(**{option: value})


@pytest.mark.parametrize(("value", "kind"), WRONG_SECONDS)
@pytest.mark.parametrize("option", ["shutdown", "start_timeout"])
def test_the_times_of_a_service(option: str, value: Any, kind: type[Exception]) -> None:
    """The error names the argument."""
    with pytest.raises(kind, match=option):
        Supervisor().add_service("idle", anyio.sleep_forever, **{option: value})


@pytest.mark.parametrize(("value", "kind"), WRONG_SECONDS)
@pytest.mark.parametrize("option", ["shutdown", "start_timeout"])
def test_the_times_of_a_resource(
    option: str, value: Any, kind: type[Exception]
) -> None:
    """A definition with a wrong time is refused when it is registered."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    with pytest.raises(DefinitionError, match=f"Resource 'pool': {option}"):
        pipe.resource(name="pool", **{option: value})(lambda: None)


@pytest.mark.parametrize("value", ["3", True, 1.5, nan])
@pytest.mark.parametrize("option", ["max_runs", "keep", "intensity"])
def test_the_counts_of_a_supervisor(option: str, value: Any) -> None:
    """The error names the argument."""
    with pytest.raises(TypeError, match=f"{option} must be a count"):
        Supervisor(**{option: value})


@pytest.mark.parametrize("value", ["3", True, 1.5, nan])
@pytest.mark.parametrize("option", ["queue_size", "max_map_items", "max_retries"])
def test_the_counts_of_a_pipe(option: str, value: Any) -> None:
    """A definition with a wrong count is refused."""
    with pytest.raises(DefinitionError, match=f"{option} must be a count"):
        Pipe(dict, **{option: value})


def test_the_time_of_a_run_is_a_number() -> None:
    """NaN is none, and no loop could wait for it."""
    with pytest.raises(ValueError, match=r"run\(timeout=\.\.\.\) must be a number"):
        Pipe(dict).run({}, timeout=nan)


def test_what_is_allowed() -> None:
    """Infinity is a time, and None where it means no limit."""
    Supervisor(grace=inf, blocked_after=None, max_runs=None, intensity=None)
    Pipe(dict, queue_size=0, max_map_items=None)
