"""The history of a durable run over several processes is one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.journals import MemoryJournal
from justpipe_actors.observability import Observer
from justpipe_actors.storage import PipelineRegistry, RunQuery

from .crash_model import wait_until


class Diary(Observer):
    """Notes which callbacks came."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def on_pipeline_start(self, *_: Any) -> None:
        """Note it."""
        self.heard.append("start")

    async def on_pipeline_end(self, *_: Any) -> None:
        """Note it."""
        self.heard.append("end")

    async def on_pipeline_cancelled(self, *_: Any) -> None:
        """Note it."""
        self.heard.append("cancelled")


def gated(root: Path, gate: anyio.Event, begun: list[str], diary: Diary) -> Any:
    """Return a stored pipe with a step that waits at a gate."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="gated", storage=root)
    pipe.add_observer(diary)

    @pipe.step("first", to="slow")
    async def first(state: dict[str, Any]) -> None:
        state["first"] = True

    @pipe.step("slow")
    async def slow(state: dict[str, Any]) -> None:
        begun.append("slow")
        await gate.wait()
        state["slow"] = True

    return pipe


async def test_a_released_run_is_waiting_in_its_history_and_goes_on_there(
    tmp_path: Path,
) -> None:
    """It is never abandoned, keeps its start time, and has the events of both processes."""
    gate, begun, diary = anyio.Event(), list[str](), Diary()
    pipe, journal = gated(tmp_path, gate, begun, diary), MemoryJournal(verify=True)
    async with Supervisor(pipe, journal=journal, grace=0.05) as supervisor:
        await supervisor.submit(pipe, {}, run_id="one")
        await wait_until(lambda: bool(begun))
    registry = PipelineRegistry(tmp_path)
    (before,) = registry.query_runs(RunQuery())
    assert before.run.label == "waiting"
    assert diary.heard == ["start"]

    gate.set()
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.find("one")
        assert run is not None
        assert (await run.wait()).status.value == "success"
    (after,) = registry.query_runs(RunQuery())
    assert after.run.label == "success"
    assert after.run.start_time == before.run.start_time
    store = registry.get_backend(after.pipeline_hash)
    assert store is not None
    types = [str(event.event_type) for event in store.get_events("one")]
    assert types[0].endswith("START")
    assert any(name.endswith("RECOVERED") for name in types)
    assert types[-1].endswith("FINISH")
    assert diary.heard == ["start", "start", "end"]
