"""What stays flat: cost per unit, memory, latency and import time, as the numbers grow.

Every figure comes from a fresh process.  Ratios are printed beside the targets; absolute
figures are this machine's.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio


ROOT = Path(__file__).parent.parent.parent


# -- what one process measures


async def map_cost(items: int) -> float:
    """Return CPU microseconds per item of a map over a generator."""
    from justpipe_actors import Pipe

    pipe: Any = Pipe(list, name="map", max_map_items=10_000_000)

    @pipe.map(each="worker")
    async def source(state: Any) -> Any:
        return (number for number in range(state[0] if state else items))

    @pipe.step
    async def worker(state: Any, item: int) -> None:
        pass

    await pipe.run([10]).wait()  # the first run builds the classes it uses
    return await cost(pipe, items)


async def chain_cost(length: int) -> float:
    """Return CPU microseconds per step of a chain."""
    from tests.benchmarks.programs import chain

    import justpipe_actors

    pipe = chain(justpipe_actors, length)
    await cost(pipe, length)  # validates and compiles
    return await cost(pipe, length)


async def cost(pipe: Any, units: int) -> float:
    """Run a pipe once and return CPU microseconds per unit."""
    began = time.process_time()
    async with pipe.run([]) as run:
        async for _ in run:
            pass
    return (time.process_time() - began) / units * 1e6


async def runs_cost(count: int) -> float:
    """Return CPU microseconds per run, with ``count`` runs at once in a supervisor."""
    from justpipe_actors import Pipe, Supervisor

    pipe: Any = Pipe(list, name="waiting")

    @pipe.step(to="b")
    async def a(state: Any) -> None:
        await anyio.lowlevel.checkpoint()

    @pipe.step
    async def b(state: Any) -> None:
        await anyio.lowlevel.checkpoint()

    rounds = max(10_000 // count, 1)
    async with Supervisor() as supervisor:
        await supervisor.run(pipe, []).wait()  # builds the classes it uses
        began = time.process_time()
        for _ in range(rounds):
            runs = [supervisor.submit_nowait(pipe, []) for _ in range(count)]
            for run in runs:
                await run.wait()
        spent = time.process_time() - began
    return spent / rounds / count * 1e6


async def idle_memory(count: int) -> float:
    """Return kilobytes per run that waits for something, with ``count`` of them."""
    from justpipe_actors import Pipe, Supervisor

    pipe: Any = Pipe(list, name="idle")

    @pipe.step
    async def wait(state: Any) -> None:
        await anyio.sleep_forever()

    async with Supervisor(grace=0) as supervisor:
        for _ in range(100):
            supervisor.submit_nowait(pipe, [])
        await anyio.wait_all_tasks_blocked()
        before = resident()
        for _ in range(count):
            supervisor.submit_nowait(pipe, [])
        await anyio.wait_all_tasks_blocked()
        return (resident() - before) / count / 1024


async def map_memory(items: int) -> float:
    """Return the peak of resident memory of a map over a generator, in megabytes."""
    await map_cost(items)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def light_latency(window: int) -> float:
    """Return the 99th percentile of a light run's latency, in microseconds.

    It is CPU time: nothing here ever waits for anything but its turn, and what else the
    machine does must not count.

    Args:
        window: workers in flight of a busy map beside it; 0 is no map at all.
    """
    from justpipe_actors import Pipe, Supervisor

    heavy: Any = Pipe(list, name="heavy", max_map_items=10_000_000)

    @heavy.map(each="work", max_concurrency=window or None)
    async def endless(state: Any) -> Any:
        return itertools.count()

    @heavy.step
    async def work(state: Any, item: int) -> None:
        await anyio.lowlevel.checkpoint()

    light: Any = Pipe(list, name="light")

    @light.step(to="second")
    async def first(state: Any) -> None:
        await anyio.lowlevel.checkpoint()

    @light.step
    async def second(state: Any) -> None:
        await anyio.lowlevel.checkpoint()

    seconds = []
    async with Supervisor(grace=0) as supervisor:
        if window:
            supervisor.submit_nowait(heavy, [])
        for _ in range(300):
            began = time.process_time()
            async with supervisor.run(light, []) as run:
                async for _ in run:
                    pass
            seconds.append(time.process_time() - began)
    return statistics.quantiles(seconds, n=100)[98] * 1e6


def resident() -> int:
    """Return the memory this process has in RAM, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


MEASURES: dict[str, Callable[[int], Awaitable[float]]] = {
    "map_cost": map_cost,
    "chain_cost": chain_cost,
    "runs_cost": runs_cost,
    "idle_memory": idle_memory,
    "map_memory": map_memory,
    "light_latency": light_latency,
}


# -- the table


def measure(name: str, size: int, backend: str, rounds: int = 3) -> float:
    """Measure one figure in fresh processes and return the median."""
    command = [sys.executable, "-m", "tests.benchmarks.scale", "--measure", name]
    command += ["--size", str(size), "--backend", backend]
    values = []
    for _ in range(rounds):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        values.append(float(json.loads(done.stdout)))
    return statistics.median(values)


FRONT = "from justpipe_actors import Pipe, Supervisor"
FIRST_RUN = """
import anyio
from justpipe_actors import (Pipe)

pipe = Pipe()

@pipe.step(to="second")
async def first(): ...

@pipe.step()
async def second(): ...

async def main():
    async with pipe.run(None) as run:
        await run.wait()

anyio.run(main)
"""
LIBRARIES = "import anyio, attrs"
BASE_RUN = """
import anyio, attrs

async def main():
    await anyio.lowlevel.checkpoint()

anyio.run(main)
"""
PEER_IMPORTS = {
    "import burr.core": "burr",
    "import justpipe": "justpipe",
    "import langgraph.graph": "langgraph",
    "import pydantic_graph": "pydantic_graph",
    "import workflows": "workflows",
}
STARTS = {
    "the interpreter": "",
    LIBRARIES: LIBRARIES,
    "import justpipe_actors": "import justpipe_actors",
    FRONT: FRONT,
    "an empty anyio.run": BASE_RUN,
    "a first run of two steps": FIRST_RUN,
    **{code: code for code, name in PEER_IMPORTS.items() if find_spec(name)},
}
START_TARGETS = {
    FRONT: (LIBRARIES, 1.85),
    "a first run of two steps": ("an empty anyio.run", 2.0),
}
"""The start that another one is compared with, and the most that the ratio may be."""


def start_costs(rounds: int = 9) -> dict[str, float]:
    """Return the CPU milliseconds in which fresh processes start, taking turns.

    Byte code is kept, as an installation keeps it: without it most of what is measured
    is the compiler.
    """
    values: dict[str, list[float]] = {what: [] for what in STARTS}
    with tempfile.TemporaryDirectory() as folder:
        surroundings = os.environ | {"PYTHONPYCACHEPREFIX": folder}
        surroundings.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(rounds + 1):
            for what, code in STARTS.items():
                timed = f"{code}\nimport time\nprint(time.process_time())"
                command = [sys.executable, "-c", timed]
                done = subprocess.run(
                    command, capture_output=True, check=True, env=surroundings
                )
                values[what].append(float(done.stdout) * 1e3)
    return {what: statistics.median(taken[1:]) for what, taken in values.items()}


def report_starts() -> None:
    """Print what it costs to begin."""
    costs = start_costs()
    print("| CPU ms of a fresh process | |\n|---|---|")
    for what, taken in costs.items():
        print(f"| `{what}` | {taken:.0f} |")
    print()
    for what, (other, target) in START_TARGETS.items():
        value = costs[what] / costs[other]
        print(f"{what}: {value:.2f} times {other}, target <= {target}")


def report(backend: str) -> None:
    """Print every figure with its target."""

    def row(what: str, figures: str, verdict: str) -> None:
        print(f"{what:44} {figures:44} {verdict}")

    def flat(what: str, name: str, sizes: tuple[int, ...]) -> None:
        values = [measure(name, size, backend) for size in sizes]
        shown = "  ".join(
            f"{size:,}: {value:.1f}" for size, value in zip(sizes, values, strict=True)
        )
        row(
            what,
            shown,
            f"largest / smallest size {values[-1] / values[0]:.2f}, target <= 1.20",
        )

    print(f"\n{backend}")
    flat("CPU us per map item", "map_cost", (1_000, 10_000, 100_000))
    flat("CPU us per run, so many at once", "runs_cost", (10, 100, 10_000))
    flat("CPU us per step of a chain", "chain_cost", (100, 1_000, 10_000))
    idle = measure("idle_memory", 2_000, backend)
    row("kB per idle run", f"{idle:.1f}", "target <= 12")
    small, large = (
        measure("map_memory", size, backend, 1) for size in (1_000, 1_000_000)
    )
    row(
        "MB peak, map of 1,000 and 1,000,000 items",
        f"{small:.1f}  {large:.1f}",
        f"difference {large - small:.1f}, target <= 30",
    )
    solo = measure("light_latency", 0, backend)
    for window in (16, 1024):
        beside = measure("light_latency", window, backend)
        row(
            f"us p99 of a light run: alone, beside {window:,}",
            f"{solo:.0f}  {beside:.0f}",
            f"ratio {beside / solo:.1f}, target <= 5",
        )


def main() -> None:
    """Print the table, or measure one figure for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", choices=MEASURES)
    parser.add_argument("--size", type=int, default=0)
    parser.add_argument(
        "--starts", action="store_true", help="only what it costs to begin"
    )
    parser.add_argument("--backend", choices=["asyncio", "trio"])
    choice = parser.parse_args()
    if choice.measure:
        print(
            json.dumps(
                anyio.run(
                    MEASURES[choice.measure],
                    choice.size,
                    backend=choice.backend or "asyncio",
                )
            )
        )
        return
    report_starts()
    if choice.starts:
        return
    for backend in [choice.backend] if choice.backend else ["asyncio", "trio"]:
        report(backend)


if __name__ == "__main__":
    main()
