"""The programs that are measured, written once for both libraries of the same API.

Every program is a pipe and what one run of it has to do.  Steps do nothing, so what is
measured is the engine.  The library is a parameter: ``justpipe_actors`` here, or the
peer it took its API from.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any


State = list[int]


def chain(library: Any, length: int = 200) -> Any:
    """Build ``length`` steps in a row."""
    pipe = library.Pipe(State, name="chain")
    for number in range(length):
        to = f"s{number + 1}" if number + 1 < length else None

        async def step(state: State) -> None:
            pass

        pipe.step(name=f"s{number}", to=to)(step)
    return pipe


def fan(library: Any, width: int = 100) -> Any:
    """Build one step, ``width`` steps beside each other, and a join."""
    pipe = library.Pipe(State, name="fan")

    @pipe.step(to=[f"b{number}" for number in range(width)])
    async def first(state: State) -> None:
        pass

    for number in range(width):

        async def branch(state: State) -> None:
            pass

        pipe.step(name=f"b{number}", to="last")(branch)

    @pipe.step
    async def last(state: State) -> None:
        pass

    return pipe


def diamonds(library: Any, count: int = 40) -> Any:
    """Build ``count`` diamonds of four steps in a row."""
    pipe = library.Pipe(State, name="diamonds")
    for number in range(count):

        async def step(state: State) -> None:
            pass

        after = f"a{number + 1}" if number + 1 < count else None
        pipe.step(name=f"a{number}", to=[f"b{number}", f"c{number}"])(step)
        pipe.step(name=f"b{number}", to=f"d{number}")(step)
        pipe.step(name=f"c{number}", to=f"d{number}")(step)
        pipe.step(name=f"d{number}", to=after)(step)
    return pipe


def map_items(library: Any, items: int = 900) -> Any:
    """Build a map over ``items`` items."""
    pipe = library.Pipe(State, name="map")

    @pipe.map(each="worker")
    async def source(state: State) -> range:
        return range(items)

    @pipe.step
    async def worker(state: State, item: int) -> None:
        pass

    return pipe


def tokens(library: Any, count: int = 20_000) -> Any:
    """Build one step that streams ``count`` tokens."""
    pipe = library.Pipe(State, name="tokens")

    @pipe.step
    async def speak(state: State) -> AsyncIterator[int]:
        for number in range(count):
            yield number

    return pipe


def small(library: Any) -> Any:
    """Build three steps in a row."""
    return chain(library, 3)


PROGRAMS: dict[str, tuple[Callable[[Any], Any], int, int]] = {
    "chain": (chain, 1, 200),
    "fan": (fan, 1, 102),
    "diamonds": (diamonds, 1, 160),
    "map": (map_items, 1, 900),
    "tokens": (tokens, 1, 20_000),
    "small": (small, 300, 300),
}
"""By name: how to build it, runs per sample, units per sample.

A unit is a step, an item, a token, or for ``small`` a whole run of three steps.
"""


async def drive(stream: Any) -> int:
    """Read one run to its end and return how many events it had."""
    count = 0
    async for _ in stream:
        count += 1
    return count
