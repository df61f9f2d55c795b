"""What durable runs cost beside LangGraph (SqliteSaver) and DBOS (SQLite).

Two programs: a chain of 100 steps with a state of 1 kB in which each step changes a
number, and a map of 200 items that each append 100 characters.  Fresh processes take
turns; each measures the CPU time of three runs after a first one, with all threads, and
the growth of the database file.

Run it with ``python -m tests.benchmarks.durable [--rounds 3]``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from justpipe_actors import Pipe, Supervisor


ROOT = Path(__file__).parent.parent.parent
RUNS = 3
UNITS = {"chain": 100, "map": 200}
ENGINES = {
    "plain": "",
    "group": "",
    "sync": "",
    "sync, fsync": "",
    "LangGraph": "langgraph.checkpoint.sqlite",
    "DBOS": "dbos",
}
"""By name: the module that has to be installed."""

TARGETS = {
    ("group", "plain"): {"chain": 3.0},
    ("sync", "plain"): {"map": 3.0},
    ("sync", "LangGraph"): {"chain": 0.25, "map": 0.12},
    ("sync", "DBOS"): {"chain": 0.12, "map": 0.03},
}
"""Most that a ratio of CPU times may be, by pair and program."""

STORED = 400
"""Most bytes that a step may store beyond what it changed."""

RECOVERY = 20.0
"""Most milliseconds in which a run of 1,000 commits is taken up."""

Once = Callable[[int], Awaitable[object]]


def state_of(program: str) -> dict[str, Any]:
    """Return a new state: 1 kB for the chain."""
    if program == "chain":
        return {"docs": [f"{number:02d}" * 45 for number in range(10)], "n": 0}
    return {"out": []}


def chain(length: int = 100) -> Pipe[Any, Any]:
    """Build steps in a row that change one number."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="chain")
    for number in range(length):
        to = f"s{number + 1}" if number + 1 < length else None
        pipe.step(name=f"s{number}", to=to)(counting(number))
    return pipe


def laps(count: int, last: Any) -> Pipe[Any, Any]:
    """Build a step that runs many times, and a last one: the definition stays small."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="laps")

    @pipe.step
    async def lap(state: dict[str, Any]) -> str:
        state["n"] += 1
        return "lap" if state["n"] < count else "last"

    pipe.step(name="last")(last)
    return pipe


def counting(number: int) -> Any:
    """Return a step that writes its number into the state."""

    async def step(state: dict[str, Any]) -> None:
        state["n"] = number

    return step


def map_items() -> Pipe[Any, Any]:
    """Build a map that appends what its workers made."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="map")

    @pipe.map(each="work")
    async def fan(state: dict[str, Any]) -> list[int]:
        return list(range(UNITS["map"]))

    @pipe.step
    async def work(state: dict[str, Any], item: int) -> None:
        state["out"].append({"i": item, "text": "y" * 100})

    return pipe


async def measure_ours(program: str, engine: str, folder: Path) -> dict[str, float]:
    """Measure this library, plain or with a journal."""
    journal = journal_of(engine, folder / "journal.db")
    pipe = chain() if program == "chain" else map_items()
    async with Supervisor(pipe, journal=journal) as supervisor:

        async def once(number: int) -> object:
            run = await supervisor.submit(pipe, state_of(program))
            return await run.wait()

        return await measured(once, program, folder / "journal.db")


def journal_of(engine: str, path: Path) -> Any:
    """Return the journal of one of our engines."""
    if engine == "plain":
        return None
    journals = importlib.import_module("justpipe_actors.journals")
    mode = "group" if engine == "group" else "sync"
    return journals.SQLiteJournal(path, mode=mode, fsync=engine == "sync, fsync")


async def measured(once: Once, program: str, path: Path) -> dict[str, float]:
    """Return the CPU microseconds and stored bytes of one unit."""
    await once(0)
    before = stored(path)
    began = time.process_time()
    for number in range(RUNS):
        await once(number + 1)
    units = RUNS * UNITS[program]
    taken = (time.process_time() - began) / units * 1e6
    return {"us": taken, "bytes": (stored(path) - before) / units}


def stored(path: Path) -> int:
    """Return the size of a database, after its log was written back."""
    if not path.exists():
        return 0
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.stat().st_size


async def measure_langgraph(program: str, folder: Path) -> dict[str, float]:
    """Measure LangGraph with its SQLite checkpoints, each awaited."""
    path = folder / "langgraph.db"
    graph = importlib.import_module("langgraph.graph")
    saver = importlib.import_module("langgraph.checkpoint.sqlite").SqliteSaver
    connection = sqlite3.connect(path, check_same_thread=False)
    build = importlib.import_module("tests.benchmarks.peers.durable_langgraph")
    app = build.PROGRAMS[program](graph).compile(checkpointer=saver(connection))

    async def once(number: int) -> object:
        config = {"configurable": {"thread_id": f"t{number}"}, "recursion_limit": 1000}
        return app.invoke(build.state_of(program), config, durability="sync")

    return await measured(once, program, path)


async def measure_dbos(program: str, folder: Path) -> dict[str, float]:
    """Measure DBOS with SQLite as its system database."""
    path = folder / "dbos.db"
    build = importlib.import_module("tests.benchmarks.peers.durable_dbos")
    async with build.launched(path) as start:
        return await measured(
            lambda _: start(program, state_of(program), UNITS[program]), program, path
        )


async def measure_recovery(folder: Path, count: int = 1000) -> dict[str, float]:
    """Return the milliseconds in which a run of 1,000 commits is taken up.

    Its process was killed.  The time counts from opening the supervisor to the
    beginning of the step in flight; the first of four times builds classes, too.
    """
    killed = folder / "killed"
    killed.mkdir()
    leave_killed(killed / "journal.db", count)
    times = []
    for number in range(4):
        copied = folder / str(number)
        shutil.copytree(killed, copied)
        times.append(await take_up(copied / "journal.db", count))
    return {"ms": min(times[1:]) * 1e3}


def leave_killed(path: Path, count: int) -> None:
    """Run so many commits in a process that is killed in the step after them."""
    command = [sys.executable, "-m", "tests.benchmarks.durable", "--reach", path]
    with subprocess.Popen(
        [*map(str, command), str(count)], cwd=ROOT, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()


async def take_up(path: Path, count: int, on_reached: Any = checkpoint) -> float:
    """Return the seconds from opening a supervisor to the beginning of the last step."""
    reached = anyio.Event()

    async def last(state: dict[str, Any]) -> None:
        assert state["n"] == count
        reached.set()
        await anyio.sleep_forever()

    pipe = laps(count, last)
    began = time.perf_counter()
    journal = journal_of("sync", path)
    async with Supervisor(pipe, journal=journal, grace=0) as supervisor:
        if await supervisor.find("one") is None:
            options: Any = {"run_id": "one", "start": "lap"}
            await supervisor.submit(pipe, state_of("chain"), **options)
        await reached.wait()
        taken = time.perf_counter() - began
        await on_reached()
        return taken


async def say_and_stay() -> None:
    """Tell the parent that the last step runs, and wait to be killed."""
    print("reached", flush=True)
    await anyio.sleep_forever()


async def measure(program: str, engine: str) -> dict[str, float]:
    """Measure one cell in this process."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if program == "recovery":
            return await measure_recovery(folder)
        if engine == "LangGraph":
            return await measure_langgraph(program, folder)
        if engine == "DBOS":
            return await measure_dbos(program, folder)
        return await measure_ours(program, engine, folder)


def sample(program: str, engine: str) -> dict[str, float]:
    """Measure one cell in a fresh process; NaN where it cannot be."""
    command = [sys.executable, "-m", "tests.benchmarks.durable", "--measure"]
    done = subprocess.run(
        [*command, program, engine],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return {"us": math.nan, "bytes": math.nan, "ms": math.nan}
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Compare, or measure what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", nargs=2, metavar=("PROGRAM", "ENGINE"))
    parser.add_argument("--reach", nargs=2, metavar=("PATH", "COMMITS"))
    choice = parser.parse_args()
    if choice.reach:
        path, count = choice.reach
        anyio.run(take_up, Path(path), int(count), say_and_stay)
    if choice.measure:
        print(json.dumps(anyio.run(measure, *choice.measure)))
        return
    compare(choice.rounds)


def compare(rounds: int) -> None:
    """Measure all cells by turns, print them, and fail when a target is missed."""
    engines = [name for name, module in ENGINES.items() if is_installed(module)]
    for name in ENGINES.keys() - set(engines):
        print(f"{name} is not installed, so its row stays empty.")
    cells: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for _ in range(rounds):
        for program in UNITS:
            for engine in engines:
                cells[program, engine].append(sample(program, engine))
    recovery = statistics.median(
        sample("recovery", "sync")["ms"] for _ in range(rounds)
    )
    missed = report(cells)
    print(f"\na run of 1,000 commits is taken up in {recovery:.1f} ms")
    if not recovery <= RECOVERY:
        missed.append(f"recovery {recovery:.1f} ms > {RECOVERY} ms")
    if missed:
        sys.exit(f"\n{len(missed)} targets are missed: {'; '.join(missed)}")


def is_installed(module: str) -> bool:
    """Tell whether an engine can be measured here."""
    try:
        return not module or find_spec(module) is not None
    except ModuleNotFoundError:  # of the package around it
        return False


def report(cells: dict[tuple[str, str], list[dict[str, float]]]) -> list[str]:
    """Print the table and the ratios; return the targets that are missed."""
    print("\n| | chain: CPU µs | stored bytes | map: CPU µs | stored bytes |")
    print("|---|---|---|---|---|")
    for engine in ENGINES:
        row = [
            f"{statistics.median(one[what] for one in cells[program, engine]):,.0f}"
            if cells[program, engine]
            else "–"
            for program in UNITS
            for what in ("us", "bytes")
        ]
        print(f"| {engine} | {' | '.join(row)} |")
    missed = []
    print()
    for (one, other), targets in TARGETS.items():
        for program, target in targets.items():
            pairs = zip(cells[program, one], cells[program, other], strict=False)
            ratios = [a["us"] / b["us"] for a, b in pairs]
            value = statistics.median(ratios) if ratios else math.nan
            print(f"{program}: {one} / {other} {value:.2f}, target <= {target}")
            if value > target:
                missed.append(f"{program}: {one} / {other} {value:.2f} > {target}")
    stored_bytes = statistics.median(one["bytes"] for one in cells["chain", "sync"])
    if stored_bytes > STORED:
        missed.append(f"chain: {stored_bytes:.0f} bytes a step > {STORED}")
    return missed


if __name__ == "__main__":
    main()
