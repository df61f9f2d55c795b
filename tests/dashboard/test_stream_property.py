"""Readers of a run's stream get exactly the stored events, whenever they leave.

The readers use the dashboard's own stream.  The run is hosted by its supervisor, then
read from the store alone, then written by what counts as another process.
"""

from __future__ import annotations

import itertools
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from justpipe_actors import Supervisor
from justpipe_actors.dashboard import create_app, live_runs, stored_tail, streams
from justpipe_actors.dashboard.run_details import StoredRun
from justpipe_actors.records import OpenStatus
from justpipe_actors.storage import PipelineRegistry, SQLiteBackend, writer
from justpipe_actors.storage.queries import this_owner

from ..properties.strategies import Sketch, build, sketches, tapes
from .asgi import Client


leaves = st.lists(st.integers(2, 6), min_size=1, max_size=5)
"""After how many parts of an answer a reader leaves, again and again."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make messages small and waits short, so that more can go wrong."""
    monkeypatch.setattr(streams, "MESSAGE_SIZE", 300)
    monkeypatch.setattr(live_runs, "BATCH_TIME", 0.002)
    monkeypatch.setattr(stored_tail, "RUN_PERIOD", 0.002)
    monkeypatch.setattr(stored_tail, "PAGE", 7)
    monkeypatch.setattr(stored_tail, "KEPT_ROWS", 10)
    monkeypatch.setattr(writer, "LINGER", 0.01)


async def read(app: Any, run_id: str, parts: list[int]) -> list[list[Any]]:
    """Read a run, leave after some parts, and come back with the last number."""
    rows: list[list[Any]] = []
    last = ""
    for count in itertools.chain(parts, itertools.repeat(None)):
        answer = await Client(app).request(
            "GET",
            f"/api/runs/{run_id}/stream",
            {"last_event_id": last},
            leave_after=count,
        )
        assert answer.status == 200, answer.text
        names = [name for name, _ in answer.events()]
        for name, data in answer.events():
            rows += data if name == "events" else []
        ids = re.findall(r"^id: (\d+)$", answer.text, re.MULTILINE)
        last = ids[-1] if ids else last
        if "end" in names or count is None:
            break
    return rows


def stored_rows(root: Path, run_id: str) -> tuple[StoredRun, list[list[Any]]]:
    """Return a run and its rows in the store."""
    found = PipelineRegistry(root).resolve_run(run_id)
    assert found is not None
    stored = StoredRun(*found)
    return stored, stored.rows_after(0, 100_000)


async def write_again(
    stored: StoredRun, texts: list[str], root: Path, slices: list[int]
) -> None:
    """Write a run into another storage root, as a running process does."""
    folder = root / stored.one.pipeline_hash
    store = SQLiteBackend(folder / "runs.db")
    run = stored.one.run
    for count in slices:
        store.append_events(run.run_id, texts[:count])
        del texts[:count]
        await anyio.sleep(0.003)
    store.save_run(run, texts)
    store.close()


def begin_again(stored: StoredRun, root: Path) -> None:
    """Begin a run in another storage root."""
    folder = root / stored.one.pipeline_hash
    folder.mkdir(parents=True)
    store = SQLiteBackend(folder / "runs.db")
    running = replace(
        stored.one.run,
        status=OpenStatus.RUNNING,
        is_suspended=False,
        end_time=None,
        duration=None,
        owner=this_owner(),
    )
    store.begin_run(running)
    store.close()


def apart(row: list[Any]) -> tuple[list[Any], float]:
    """Return a row without its time, and the time."""
    return [*row[:3], *row[4:]], row[3]


@pytest.mark.slow
@settings(
    max_examples=6,
    suppress_health_check=list(HealthCheck),
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking takes minutes
)
@given(
    sketch=sketches(),
    tape=tapes,
    readers=st.lists(leaves, min_size=1, max_size=2),
    slices=st.lists(st.integers(0, 9), max_size=6),
)
async def test_every_reader_gets_the_stored_events(
    sketch: Sketch, tape: list[int], readers: list[list[int]], slices: list[int]
) -> None:
    """None is missing, none comes twice, and they are in order."""
    with tempfile.TemporaryDirectory() as folder, anyio.fail_after(50):
        here, elsewhere = Path(folder, "here"), Path(folder, "elsewhere")
        found: list[list[list[Any]]] = []

        async def watch(app: Any, run_id: str) -> None:
            async with anyio.create_task_group() as tasks:
                for parts in readers:
                    tasks.start_soon(note, app, run_id, parts)

        async def note(app: Any, run_id: str, parts: list[int]) -> None:
            found.append(await read(app, run_id, parts))

        # A join would wait for seconds of the real clock.
        sketch = attrs.evolve(sketch, timeouts=(False,) * len(sketch.edges))
        pipe = build(sketch, iter(tape), persist=True, storage=here)
        async with Supervisor(pipe) as supervisor:
            app = create_app(PipelineRegistry(here), supervisor=supervisor)
            run = await supervisor.submit(pipe, {})
            await watch(app, run.run_id)
            await run.wait()
        stored, expected = stored_rows(here, run.run_id)
        await watch(create_app(PipelineRegistry(here)), run.run_id)
        texts = [event.data for event in stored.store.get_events(run.run_id)]
        assert len(texts) == len(expected)
        begin_again(stored, elsewhere)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write_again, stored, texts, elsewhere, slices)
            await watch(create_app(PipelineRegistry(elsewhere)), run.run_id)

    assert len(found) == 3 * len(readers)
    for rows in found:
        assert [apart(row)[0] for row in rows] == [apart(row)[0] for row in expected]
        # Events that came as text have moments that are exact to the microsecond.
        times = [apart(row)[1] for row in expected]
        assert [apart(row)[1] for row in rows] == pytest.approx(times, abs=1e-5)
