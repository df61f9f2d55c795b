"""Measure placements: the price of a tiny call, and what a second core gains.

``python tests/benchmarks/placements.py`` prints the figures and fails when one misses
its aim.  Each is the best of three, because a busy machine only ever makes times longer;
those of a map are interleaved pairs.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from functools import partial
from typing import Any

import anyio

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.placements import ProcessPlacement


CALLS = 10_000
ITEMS = 60
ROUNDS = 3

MOST_CPU = 0.4e-3
"""Seconds of CPU per tiny call, of owner and workers together."""

MOST_OF_INLINE = 0.65
"""What a map may take over two processes, as a part of what it takes on the loop."""

LONGEST_PAUSE = 0.05
"""Seconds that the event loop may stand still meanwhile."""


def nothing(_item: int) -> None: ...


def compute(_item: int) -> None:
    total = 0
    for number in range(400_000):
        total += number


def mapped(func: Any, count: int, placement: Any) -> Pipe[dict[str, int], None]:
    pipe: Pipe[dict[str, int], None] = Pipe(dict, max_map_items=count)
    pipe.map("fan", each="work")(lambda: range(count))
    pipe.step("work", placement=placement)(func)
    return pipe


def cpu() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in usages)


async def cpu_of_tiny_calls() -> float:
    """Return seconds of CPU per call; a pool's own CPU is known when it is closed."""
    pipe = mapped(nothing, CALLS, ProcessPlacement())
    began = cpu()
    async with Supervisor():
        await pipe.run({}).wait()
    return (cpu() - began) / CALLS


async def seconds_of(pipe: Pipe[dict[str, int], None]) -> float:
    began = time.perf_counter()
    await pipe.run({}).wait()
    return time.perf_counter() - began


async def watch(longest: list[float]) -> None:
    """Note the longest time in which the loop did nothing for this task."""
    before = time.perf_counter()
    while True:
        await anyio.sleep(0.001)
        now = time.perf_counter()
        longest[0] = max(longest[0], now - before - 0.001)
        before = now


async def gain_of_processes() -> tuple[float, float]:
    """Return the time of a map over two processes as a part of inline, and a pause."""
    inline = mapped(compute, ITEMS, None)
    spread = mapped(compute, ITEMS, ProcessPlacement(workers=2))
    longest = [0.0]
    ratios = []
    async with Supervisor():
        await spread.run({}).wait()  # the processes are warm from now on
        for _ in range(ROUNDS):
            alone = await seconds_of(inline)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch, longest)
                ratios.append(await seconds_of(spread) / alone)
                tasks.cancel_scope.cancel()
    return min(ratios), longest[0]


async def measure() -> bool:
    tiny = min([await cpu_of_tiny_calls() for _ in range(ROUNDS)])
    ratio, pause = await gain_of_processes()
    print(
        f"  a tiny call         {tiny * 1e3:6.3f} ms CPU     at most {MOST_CPU * 1e3}"
    )
    print(f"  a map of CPU work   {ratio:6.2f} of inline  at most {MOST_OF_INLINE}")
    print(
        f"  the longest pause   {pause * 1e3:6.1f} ms         at most {LONGEST_PAUSE * 1e3}"
    )
    return tiny <= MOST_CPU and ratio <= MOST_OF_INLINE and pause <= LONGEST_PAUSE


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"))
    chosen = options.parse_args().backend
    is_met = True
    for backend in (chosen,) if chosen else ("asyncio", "trio"):
        print(backend)
        is_met &= anyio.run(partial(measure), backend=backend)
    sys.exit(0 if is_met else 1)


if __name__ == "__main__":
    main()
