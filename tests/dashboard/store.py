"""A storage root with real runs: one of each kind that a page shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio.lowlevel
import attrs

from justpipe_actors import Pipe
from justpipe_actors.storage import PipelineRegistry


@dataclass(frozen=True)
class Video:
    """The state of the sample pipe."""

    title: str
    scenes: list[int] = field(default_factory=list)
    captions: dict[str, str] = field(default_factory=dict)


def sound_pipe(*, is_failing: bool) -> Pipe[Any, Any]:
    """Return the child of the sample pipe."""
    sound: Pipe[Any, Any] = Pipe(Video, name="sound")

    @sound.step(to="master")
    async def mix(state: Any) -> None:
        state.captions["mix"] = "done"

    @sound.step
    async def master() -> None:
        if is_failing:
            msg = "the mastering device is gone"
            raise OSError(msg)

    return sound


@attrs.define
class Store:
    """A storage root."""

    root: Path

    @property
    def registry(self) -> PipelineRegistry:
        """Return the registry of the runs."""
        return PipelineRegistry(self.root)

    async def run(self, pipe: Pipe[Any, Any], state: Any = None) -> str:
        """Store one run of a pipe and return its id."""
        async with pipe.run(Video("a film") if state is None else state) as run:
            async for _ in run:
                pass
            return run.run_id

    def pipe(self, name: str = "render", *, is_failing: bool = False) -> Pipe[Any, Any]:
        """Return the sample pipe: two branches, a join, tokens, a map and a sub-pipeline."""
        sound = sound_pipe(is_failing=is_failing)
        pipe: Pipe[Any, Any] = Pipe(Video, name=name, persist=True, storage=self.root)

        @pipe.step(to=["probe", "script"])
        async def ingest(state: Any) -> None:
            state.scenes.extend(range(3))

        @pipe.step(to="plan")
        async def probe() -> None:
            await anyio.lowlevel.checkpoint()

        @pipe.step(to="plan")
        async def script() -> AsyncIterator[str]:
            for word in ("once ", "upon ", "a time"):
                yield word

        @pipe.step(to="scenes")
        async def plan(state: Any) -> None:
            state.captions["plan"] = "made"

        @pipe.map(each="scene", to="soundtrack")
        async def scenes(state: Any) -> list[int]:
            return list(state.scenes)

        @pipe.step
        async def scene(number: int) -> None:
            await anyio.lowlevel.checkpoint()

        @pipe.sub(pipeline=sound, to="publish")
        async def soundtrack(state: Any) -> Any:
            return state

        @pipe.step
        async def publish() -> None:
            await anyio.lowlevel.checkpoint()

        return pipe
