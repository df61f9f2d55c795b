"""CPU time that the pages of the dashboard take on this machine.

``python tests/benchmarks/dashboard.py`` prints the figures and fails when one takes more
than three times its aim, because machines that run this are slower and busier than the
one that the aims are for.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import anyio

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.dashboard.graphs import draw_description
from justpipe_actors.dashboard.live import look
from justpipe_actors.dashboard.run_details import StoredRun
from justpipe_actors.dashboard.runs import RunFilter, runs_page
from justpipe_actors.outcomes import PipelineTerminalStatus
from justpipe_actors.records import RunRecord
from justpipe_actors.storage import PipelineRegistry, SQLiteBackend


SLACK = 3
"""How many times its aim a figure may take."""

Figure = tuple[str, float, float]
"""A name, seconds, and the seconds that are aimed at."""


def best_of(tries: int, work: Callable[[], object]) -> float:
    times = []
    for _ in range(tries):
        begin = time.thread_time()
        work()
        times.append(time.thread_time() - begin)
    return min(times)


def long_run(root: Path) -> Iterator[Figure]:
    """Measure a run of 7,480 events with a state of 2,500 items."""
    pipe: Pipe[Any, Any] = Pipe(dict, persist=True, storage=root, max_map_items=3_000)

    @pipe.map(each="work")
    async def fan(state: Any) -> range:
        state["all"] = list(range(2_500))
        return range(2_492)

    @pipe.step
    async def work(item: int) -> None: ...

    async def run() -> str:
        async with pipe.run({}) as stream:
            await stream.wait()
        return stream.run_id

    found = PipelineRegistry(root).resolve_run(anyio.run(run))
    assert found is not None
    stored = StoredRun(*found)
    last = stored.spans()["next"]
    yield "spans of 7,480 events", best_of(5, stored.spans), 0.010
    yield "one event of them", best_of(5, lambda: stored.one_event(last)), 0.005


def many_runs(root: Path) -> Iterator[Figure]:
    """Measure a page of 50 runs among 10,000."""
    folder = root / "0123456789abcdef"
    folder.mkdir()
    store = SQLiteBackend(folder / "runs.db")
    start, took = datetime.now(UTC) - timedelta(days=20), timedelta(seconds=1)
    with store.transaction():
        for number in range(10_000):
            at = start + timedelta(minutes=number)
            status = PipelineTerminalStatus.SUCCESS
            store.save_run(RunRecord(f"{number:032x}", at, at + took, took, status))
    store.close()
    registry = PipelineRegistry(root)
    page = best_of(5, lambda: runs_page(registry, RunFilter(), 50, None))
    yield "a page of 50 runs among 10,000", page, 0.020


def live(count: int, aim: float) -> Figure:
    """Measure a tick of the Live page, in the loop of the runs."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="waiting")

    @pipe.step
    async def wait() -> None:
        await anyio.sleep_forever()

    async def tick() -> float:
        async with Supervisor(pipe, grace=0) as supervisor:
            for _ in range(count):
                await supervisor.submit(pipe, {})
            await anyio.sleep(0.5)
            seconds = best_of(5, lambda: look(supervisor))
            supervisor.cancel_runs()
            return seconds

    return f"a look at {count:,} runs", anyio.run(tick), aim


def graph(count: int, late: int, aim: float) -> Figure:
    """Measure the drawing of a random graph, some roots of which begin late."""
    chance = Random(1)
    pipe: Pipe[Any, Any] = Pipe(dict, allow_multi_root=True)
    roots = set(chance.sample(range(10, count), late))
    to: dict[int, list[str]] = {number: [] for number in range(count)}
    for number in set(range(1, count)) - roots:
        for parent in chance.sample(range(max(0, number - 6), number), 1):
            to[parent].append(f"step_{number}")
    for number in range(count):
        pipe.step(f"step_{number}", to=to[number] or None)(lambda: None)
    description = pipe.describe()
    begin = time.thread_time()
    draw_description(description, "TD")
    return f"a graph of {count:,} steps", time.thread_time() - begin, aim


def figures() -> Iterator[Figure]:
    """Return all figures, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        yield from long_run(root / "long")
        (root / "many").mkdir()
        yield from many_runs(root / "many")
    yield live(10, 0.002)
    yield live(1_000, 0.010)
    yield graph(300, 40, 0.150)
    yield graph(1_000, 130, 1.0)


def main() -> int:
    """Print every figure, and return 1 if one is too large."""
    is_slow = False
    for name, seconds, aim in figures():
        is_slow |= seconds > SLACK * aim
        print(f"{name:32} {seconds * 1e3:8.1f} ms, the aim is {aim * 1e3:g}")
    return int(is_slow)


if __name__ == "__main__":
    sys.exit(main())
