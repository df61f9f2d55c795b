"""A supervisor after 20,000 runs with all kinds of failures."""

from __future__ import annotations

import gc
import logging
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from anyio.lowlevel import checkpoint

from justpipe_actors import Pipe, Supervisor
from justpipe_actors._supervisor.diagnostics import SupervisorSnapshot
from justpipe_actors.errors import RunRejected


RUNS = int(os.environ.get("SOAK_RUNS", "20000"))
WARM = 2_000
AT_ONCE = 50
IDLE = 64


def mixed() -> Pipe[Any, Any]:
    """Return a pipe with all kinds of steps that fails in many ways."""
    child: Pipe[Any, Any] = Pipe(dict, name="child")
    child.step("inner")(lambda state: None)
    pipe: Pipe[Any, Any] = Pipe(dict, name="mixed", log_state=False)

    @pipe.step(to=["spread", "child"])
    async def begin(state: dict[str, Any]) -> Any:
        yield "hello"
        if state["trouble"] == "raise":
            raise ValueError("mixed")

    @pipe.map(each="work", to="end")
    async def spread(state: dict[str, Any]) -> Any:
        return range(3)

    @pipe.step(timeout=0.05, concurrency=20)
    async def work(state: dict[str, Any], item: int) -> None:
        if state["trouble"] == "slow":
            await anyio.sleep(60)
        await checkpoint()

    pipe.sub("child", pipeline=child, to="end")(lambda state: state)

    @pipe.step(barrier_timeout=30)
    async def end(state: dict[str, Any]) -> None:
        if state["trouble"] == "hang":
            await anyio.sleep_forever()

    return pipe


TROUBLE = ("none",) * 12 + ("raise", "slow", "hang", "cancel", "drop", "close", "twin")


async def one_run(
    supervisor: Supervisor, pipe: Pipe[Any, Any], number: int, trouble: str
) -> str:
    """Run one run, as a client of one kind or another."""
    state = {"trouble": trouble}
    match trouble:
        case "none" | "raise" | "slow" | "twin":
            options: Any = {"run_id": str(number // 100)} if trouble == "twin" else {}
            try:
                run = await supervisor.submit(pipe, state, **options)
            except RunRejected:
                return "rejected"
            return (await run.wait()).status.value
        case "hang":
            run = supervisor.run(pipe, state, timeout=0.01)
            return (await run.wait()).status.value
        case "cancel":
            run = await supervisor.submit(pipe, {"trouble": "hang"})
            run.cancel()
            return (await run.wait()).status.value
        case "close":
            async with supervisor.run(pipe, state) as run:
                await anext(run)
        case _:
            async for _ in supervisor.run(pipe, state):
                break
    return "left"


async def crowd(
    supervisor: Supervisor, pipe: Pipe[Any, Any], numbers: Any, counts: dict[str, int]
) -> None:
    """Run the runs of one client, one after the other."""
    dice = random.Random(0)
    for number in numbers:
        end = await one_run(supervisor, pipe, number, dice.choice(TROUBLE))
        counts[end] = counts.get(end, 0) + 1


async def rest(supervisor: Supervisor) -> None:
    """Wait until no run is at work."""
    await supervisor._require_open().wait_idle()
    await anyio.wait_all_tasks_blocked()
    gc.collect()


@attrs.frozen
class Figures:
    """Figures after some runs."""

    tasks: int
    actors: int
    objects: int
    megabytes: float


def resident() -> float:
    """Return the memory of this process in MB, or 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def soak() -> tuple[list[Figures], dict[str, int], SupervisorSnapshot, float]:
    """Warm up, then run all the runs; return the figures before and after."""
    pipe, counts = mixed(), dict[str, int]()
    figures: list[Figures] = []

    async def play(first: int, last: int) -> None:
        async with anyio.create_task_group() as tasks:
            for client in range(AT_ONCE):
                numbers = range(first + client, last, AT_ONCE)
                tasks.start_soon(crowd, supervisor, pipe, numbers, counts)
        await rest(supervisor)
        figures.append(
            Figures(
                len(anyio.get_running_tasks()),
                len(supervisor.snapshot().actors),
                len(gc.get_objects()),
                resident(),
            )
        )

    async with Supervisor(pipe, max_runs=AT_ONCE // 2) as supervisor:
        await play(0, WARM)
        began = time.perf_counter()
        await play(WARM, WARM + RUNS)
        seconds = time.perf_counter() - began
        return figures, counts, supervisor.snapshot(), seconds


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore:A run of pipe:ResourceWarning")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_twenty_thousand_runs_leave_nothing_behind(
    backend: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Tasks, tokens, actors and memory are the same as before."""
    caplog.set_level(logging.CRITICAL)
    (base, end), counts, snapshot, seconds = anyio.run(soak, backend=backend)

    with capsys.disabled():
        print(  # noqa: T201 - the figures are what a soak is for
            f"\n{backend}, Python {sys.version.split()[0]}: {RUNS:,} runs in "
            f"{seconds:.0f} s, {RUNS / seconds:.0f} per second\n  {counts}\n"
            f"  tasks {base.tasks} -> {end.tasks}, actors {base.actors} -> {end.actors}"
            f", objects {base.objects:,} -> {end.objects:,}"
            f", resident {base.megabytes:.1f} -> {end.megabytes:.1f} MB"
        )
    assert snapshot.runs == {}
    assert (snapshot.places.inside, snapshot.places.waiting) == (0, 0)
    assert snapshot.dead_letters == 0
    assert {(actor.depth, actor.busy) for actor in snapshot.actors} == {(0, 0)}
    # How many dispatcher tasks wait for work depends on the last burst; their number is bounded.
    assert abs(end.tasks - base.tasks) <= IDLE
    assert end.actors == base.actors
    assert end.objects - base.objects < 5_000
