"""Storage roots for the browser tests: empty, typical, huge and failed, mostly with real runs."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio

from justpipe_actors import Meta, Pipe, Suspend
from justpipe_actors.outcomes import PipelineTerminalStatus
from justpipe_actors.records import OpenStatus, RunRecord, RunStatus
from justpipe_actors.storage import SQLiteBackend


@dataclass(frozen=True)
class Film:
    """The state of the sample pipes."""

    title: str = "The long take"
    quality: str = "final"
    scenes: list[str] = field(default_factory=list)
    captions: dict[str, str] = field(default_factory=dict)
    facts: dict[str, float] = field(default_factory=dict)


@dataclass
class Studio:
    """The context of the sample pipes."""

    meta: Meta = field(init=False)


def takes(seconds: float) -> Callable[[], Coroutine[Any, Any, None]]:
    """Return a step that takes some time."""

    async def work() -> None:
        await anyio.sleep(seconds)

    return work


def soundtrack(*, is_failing: bool) -> Pipe[Any, Any]:
    """Return the child pipe; its last step may fail."""
    pipe: Pipe[Any, Any] = Pipe(Film, Studio, name="soundtrack")
    pipe.step("mix", to="master")(takes(0.05))

    @pipe.step
    async def master() -> None:
        await anyio.sleep(0.03)
        if is_failing:
            msg = "mastering device lost: /dev/snd0 is gone (errno 19)"
            raise RuntimeError(msg)

    return pipe


def render_pipe(root: Path, *, is_failing: bool = False) -> Pipe[Any, Any]:
    """Return a pipe with all kinds of steps."""
    pipe: Pipe[Any, Any] = Pipe(
        Film, Studio, name="video render", storage=root, persist=True
    )

    @pipe.step(to=["probe", "script"])
    async def ingest(context: Any) -> None:
        context.meta.run.set("title", "The long take")
        context.meta.run.add_tag("team-media")
        await anyio.sleep(0.02)

    @pipe.step(to="plan")
    async def probe(state: Any) -> None:
        await anyio.sleep(0.06)
        state.facts["seconds"] = 42.5

    @pipe.step(to="plan")
    async def script() -> AsyncIterator[str]:
        for word in [
            "It",
            "opens",
            "on",
            "a",
            "street",
            "at",
            "night,",
            "and",
            "one",
            "lamp",
            "is",
            "lit.",
        ]:
            await anyio.sleep(0.01)
            yield f"{word} "

    @pipe.step(to="render")
    async def plan(state: Any) -> None:
        state.scenes.extend(f"scene {number}" for number in range(8))

    @pipe.map(each="scene", to="captions", max_concurrency=4)
    async def render(state: Any) -> list[str]:
        return list(state.scenes)

    @pipe.step(retries=2, retry_wait_min=0.01, retry_wait_max=0.02)
    async def scene(item: str) -> None:
        await anyio.sleep(0.02 * (1 + int(item[-1]) % 4))

    @pipe.step(to="film_sound")
    async def captions(state: Any) -> None:
        state.captions.update(de="Eine Strasse bei Nacht", fr="Une rue la nuit")

    @pipe.sub(pipeline=soundtrack(is_failing=is_failing), to=["encode", "publish"])
    async def film_sound(state: Any) -> Any:
        return state

    pipe.step("encode", to="publish")(takes(0.05))
    pipe.step("publish")(takes(0.01))
    return pipe


def approval_pipe(root: Path) -> Pipe[Any, Any]:
    """Return a pipe that suspends."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="approval", storage=root, persist=True)

    @pipe.step(to="wait")
    async def draft(state: Any) -> None:
        state["text"] = "Dear reader"

    @pipe.step
    async def wait() -> Suspend:
        return Suspend("an editor reads the draft")

    return pipe


def wide_pipe(root: Path, width: int = 100) -> Pipe[Any, Any]:
    """Return a pipe of three times ``width`` steps, and a map of 2,000 items."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="catalogue", storage=root, persist=True)
    names = [f"shelf_{number:03}" for number in range(width)]
    pipe.step("open_catalogue", to=[f"read_{name}" for name in names])(takes(0))
    for number, name in enumerate(names):
        pipe.step(f"read_{name}", to=f"check_{name}")(takes(0.001 * (number % 5)))
        pipe.step(f"check_{name}", to=f"index_{name}")(takes(0.0005))
        pipe.step(f"index_{name}", to="merge")(takes(0))
    pipe.step("merge", to="items")(takes(0))

    @pipe.map(each="item", max_concurrency=50)
    async def items(state: Any) -> range:
        state["items"] = list(range(2_000))
        return range(2_000)

    @pipe.step
    async def item(number: int) -> None:
        await anyio.sleep(0.0005)

    return pipe


async def run(pipe: Pipe[Any, Any], state: Any, context: Any = None) -> str:
    """Store one run and return its id."""
    async with pipe.run(state, context) as stream:
        async for _ in stream:
            pass
        return stream.run_id


def history(root: Path, pipe: Pipe[Any, Any], count: int, days: float = 6) -> None:
    """Add runs of the past that only have a record."""
    chance = random.Random(7)
    store = SQLiteBackend(root / pipe.pipeline_hash / "runs.db")
    now = datetime.now(UTC)
    with store.transaction():
        for number in range(count):
            store.save_run(_past_run(chance, number, now, days * (1 - number / count)))
    store.close()


def _past_run(
    chance: random.Random, number: int, now: datetime, days: float
) -> RunRecord:
    start = now - timedelta(days=days, minutes=2)
    took = timedelta(seconds=chance.uniform(0.3, 2.0) * (3 if number % 17 == 0 else 1))
    name = f"{chance.getrandbits(128):032x}"
    kinds: list[tuple[RunStatus, str | None, str | None]] = [
        (PipelineTerminalStatus.SUCCESS, None, None),
        (PipelineTerminalStatus.FAILED, "connection reset by peer", "film_sound"),
        (PipelineTerminalStatus.TIMEOUT, "the run took longer than 3 s", "encode"),
        (PipelineTerminalStatus.CANCELLED, "the host shuts down", None),
        (OpenStatus.RUNNING, None, None),
    ]
    status, message, step = chance.choices(kinds, [70, 14, 6, 6, 4])[0]
    if status is OpenStatus.RUNNING:
        owner = "another-host/0/1/1"
        return RunRecord(name, start, None, None, status, owner=owner, last_seen=start)
    return RunRecord(name, start, start + took, took, status, message, step)


async def typical(root: Path) -> str:
    """Store what a team has after a week; return the newest run's id."""
    pipe = render_pipe(root)
    await run(pipe, Film(), Studio())
    history(root, pipe, 160)
    await run(render_pipe(root, is_failing=True), Film(), Studio())
    await run(approval_pipe(root), {})
    return await run(pipe, Film(), Studio())


async def failed(root: Path) -> str:
    """Store a run that failed beside one that did not; return the failed one's id."""
    await run(render_pipe(root), Film(), Studio())
    return await run(render_pipe(root, is_failing=True), Film(), Studio())


async def huge(root: Path) -> str:
    """Store a run of 300 steps and 2,000 items, and 10,000 older ones; return its id."""
    pipe = wide_pipe(root)
    run_id = await run(pipe, {})
    history(root, pipe, 10_000, 30)
    return run_id
