"""Measure one program on one engine, in a process of its own; print JSON.

CPU time of the whole process, not wall time: other programs on the machine then change
little.  A sample is one run (300 for ``small``); the median of the samples is printed.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import statistics
import time
import warnings
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import anyio


def main() -> None:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "engine",
        help="ours, supervised, either with -waited; floor, justpipe, or a peer's module",
    )
    parser.add_argument("program")
    parser.add_argument("--backend", default="asyncio")
    parser.add_argument(
        "--seconds", type=float, default=0.6, help="CPU seconds to spend"
    )
    choice = parser.parse_args()
    warnings.simplefilter("ignore")
    result = anyio.run(measure, choice, backend=choice.backend)
    print(json.dumps(result))


async def measure(choice: argparse.Namespace) -> dict[str, float]:
    """Return the microseconds of CPU per unit, and how many events one run had."""
    programs = importlib.import_module("tests.benchmarks.programs")
    _, runs, units = programs.PROGRAMS[choice.program]
    async with AsyncExitStack() as stack:
        once = await prepare(choice, stack)
        events = await once()
        samples = []
        spent = 0.0
        while spent < choice.seconds or len(samples) < 3:
            gc.collect()
            began = time.process_time()
            for _ in range(runs):
                await once()
            took = time.process_time() - began
            spent += took
            samples.append(took / units * 1e6)
    return {"us": statistics.median(samples), "least": min(samples), "events": events}


async def prepare(
    choice: argparse.Namespace, stack: AsyncExitStack
) -> Callable[[], Awaitable[int]]:
    """Return a function that runs the program once on the engine."""
    programs = importlib.import_module("tests.benchmarks.programs")
    kind, _, is_waited = choice.engine.partition("-")
    if kind not in ("ours", "supervised", "justpipe", "floor"):
        peer = importlib.import_module(f"tests.benchmarks.peers.{kind}_programs")
        once: Callable[[], Awaitable[int]] = peer.PROGRAMS[choice.program]()
        return once
    if kind == "floor":
        floor = importlib.import_module("tests.benchmarks.floor")
        return lambda: floor.run(choice.program)
    name = "justpipe" if kind == "justpipe" else "justpipe_actors"
    library: Any = importlib.import_module(name)
    pipe = programs.PROGRAMS[choice.program][0](library)
    if kind == "justpipe":
        return lambda: programs.drive(pipe.run([]))
    read = wait if is_waited else programs.drive
    if kind == "supervised":
        supervisor = await stack.enter_async_context(library.Supervisor())
        return lambda: read(supervisor.run(pipe, []))
    return lambda: one_shot(read, pipe)


async def wait(run: Any) -> int:
    """Wait for the end of a run without looking at its events."""
    await run.wait()
    return 0


async def one_shot(read: Callable[[Any], Awaitable[int]], pipe: Any) -> int:
    """Run a pipe the way the README teaches."""
    async with pipe.run([]) as run:
        return await read(run)


if __name__ == "__main__":
    main()
