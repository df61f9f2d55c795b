from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe
from justpipe_actors._plan.lost_updates import find_lost_update
from justpipe_actors.errors import LostUpdateWarning


@dataclass
class Totals:
    """A state."""

    total: int = 0
    prices: dict[int, int] = field(default_factory=dict)
    config: int = 1


async def price(item: int) -> int:
    """Return a price after a wait."""
    await anyio.lowlevel.checkpoint()
    return item


async def adds_what_it_waits_for(s: Totals, item: int) -> None:
    """Add a value that it awaits."""
    s.total += await price(item)


async def reads_waits_assigns(s: Totals, item: int) -> None:
    """Read, await, then assign."""
    before = s.total
    await anyio.lowlevel.checkpoint()
    s.total = before + item


async def key_of_a_dict(s: dict[str, int], item: int) -> None:
    """Change a key of a dict."""
    s["total"] = s["total"] + await price(item)


async def place_of_its_own(s: Totals, item: int) -> None:
    """Write to a place of its own."""
    s.prices[item] = await price(item)


async def adds_after_it_waited(s: Totals, item: int) -> None:
    """Add after a wait."""
    found = await price(item)
    s.total += found


async def only_reads(s: Totals, item: int) -> None:
    """Only read."""
    await price(s.config)
    await price(s.config)


async def assigns_without_reading(s: Totals, item: int) -> None:
    """Assign without reading."""
    s.total = await price(item)


def adds(s: Totals, item: int) -> None:
    """Add without a wait."""
    s.total += item


@pytest.mark.parametrize(
    ("worker", "part"),
    [
        (adds_what_it_waits_for, "s.total"),
        (reads_waits_assigns, "s.total"),
        (key_of_a_dict, "s['total']"),
        (place_of_its_own, None),
        (adds_after_it_waited, None),
        (only_reads, None),
        (assigns_without_reading, None),
        (adds, None),
        (print, None),
    ],
)
def test_only_a_read_before_a_wait_and_an_assignment_after_it_is_reported(
    worker: Any, part: str | None
) -> None:
    """A place of its own, or a change without a wait in between, loses no update."""
    found = find_lost_update(worker, "s", in_thread=False)

    assert (found.part if found else None) == part


def test_a_thread_can_be_interrupted_anywhere() -> None:
    """A synchronous worker in a thread may lose an addition."""
    found = find_lost_update(adds, "s", in_thread=True)

    assert found is not None
    assert found.part == "s.total"


def pipe_of(worker: Any, **options: Any) -> Pipe[Any, Any]:
    """Return a pipe that maps over some items."""
    pipe: Pipe[Any, Any] = Pipe(Totals)
    pipe.map("each", each="worker", **options)(lambda s: [1, 2])
    pipe.step("worker")(worker)
    return pipe


def test_the_warning_points_to_the_line_of_the_worker() -> None:
    """The warning has the user's file and line."""
    with pytest.warns(LostUpdateWarning, match="reads s.total") as caught:
        pipe_of(adds_what_it_waits_for).validate()

    (warning,) = caught
    assert warning.filename == __file__
    line = adds_what_it_waits_for.__code__.co_firstlineno + 2
    assert warning.lineno == line


def test_the_warning_is_given_once() -> None:
    """A pipe that is validated again gives no second warning."""
    pipe = pipe_of(reads_waits_assigns)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        pipe.validate()
        pipe.validate(start="each")

    assert len(caught) == 1


@pytest.mark.parametrize(
    ("worker", "options"),
    [(adds_what_it_waits_for, {"max_concurrency": 1}), (place_of_its_own, {})],
)
def test_safe_maps_give_no_warning(worker: Any, options: dict[str, Any]) -> None:
    """One worker at a time, or a separate place for each worker, is safe."""
    pipe_of(worker, **options).validate()
