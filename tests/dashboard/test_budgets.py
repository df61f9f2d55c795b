"""Costs of the dashboard that do not depend on the machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.dashboard.live import ROWS, live_to_json, look
from justpipe_actors.dashboard.run_details import StoredRun
from justpipe_actors.dashboard.runs import RunFilter, runs_page
from justpipe_actors.dashboard.static_files import DETAILED, static_files
from justpipe_actors.outcomes import PipelineTerminalStatus
from justpipe_actors.records import RunRecord
from justpipe_actors.storage import PipelineRegistry, SQLiteBackend


def best_of(tries: int, work: Callable[[], object]) -> float:
    """Return the least processor time of some tries."""
    times = []
    for _ in range(tries):
        begin = time.thread_time()
        work()
        times.append(time.thread_time() - begin)
    return min(times)


@pytest.fixture
def ten_thousand(tmp_path: Path) -> PipelineRegistry:
    """Return a storage root with ten thousand runs."""
    folder = tmp_path / "0123456789abcdef"
    folder.mkdir()
    store = SQLiteBackend(folder / "runs.db")
    start = datetime.now(UTC) - timedelta(days=20)
    took = timedelta(seconds=1)
    with store.transaction():
        for number in range(10_000):
            at = start + timedelta(minutes=number)
            store.save_run(
                RunRecord(
                    f"{number:032x}",
                    at,
                    at + took,
                    took,
                    PipelineTerminalStatus.SUCCESS,
                )
            )
    store.close()
    return PipelineRegistry(tmp_path)


@pytest.mark.slow
def test_a_page_of_runs_does_not_read_all_of_them(
    ten_thousand: PipelineRegistry,
) -> None:
    """Fifty among ten thousand take a small part of the time of all."""
    page = best_of(5, lambda: runs_page(ten_thousand, RunFilter(), 50, None))
    store = ten_thousand.get_backend("0123456789abcdef")
    everything = best_of(3, lambda: store.list_runs(limit=10_000))

    assert page < everything / 3


def waiting_pipe() -> Pipe[Any, Any]:
    """Return a pipe with one step that waits until it is cancelled."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="waiting")

    @pipe.step
    async def wait() -> None:
        await anyio.sleep_forever()

    return pipe


async def test_the_live_data_of_many_runs_is_one_page() -> None:
    """Two hundred runs send as much as fifty."""
    pipe = waiting_pipe()
    supervisor = Supervisor(pipe, grace=0)
    async with supervisor:
        for _ in range(200):
            await supervisor.submit(pipe, {})
        await anyio.sleep(0.05)
        shape = live_to_json(look(supervisor))
        supervisor.cancel_runs()

    assert shape["run_count"] == 200
    assert len(shape["runs"]) == ROWS


@pytest.mark.slow
async def test_the_live_data_of_a_thousand_runs_takes_less_than_a_snapshot() -> None:
    """A tick of the Live page counts all runs and reads one page of them."""
    pipe = waiting_pipe()
    supervisor = Supervisor(pipe, grace=0)
    async with supervisor:
        for _ in range(1_000):
            await supervisor.submit(pipe, {})
        with anyio.fail_after(30):
            while supervisor.snapshot(0).actors[0].busy < 1_000:
                await anyio.lowlevel.checkpoint()
        everything = best_of(3, supervisor.snapshot)
        tick = best_of(3, lambda: look(supervisor))
        supervisor.cancel_runs()

    assert tick < everything


@pytest.mark.parametrize(
    ("page", "limit"),
    [
        ("asks", 41_000),
        ("compare", 72_000),
        ("letters", 47_000),
        ("live", 51_000),
        ("pipeline", 62_000),
        ("pipelines", 50_000),
        ("run", 106_000),
        ("runs", 59_000),
        ("workers", 45_000),
    ],
)
def test_a_page_loads_few_files(page: str, limit: int) -> None:
    """Modules of other pages, and of what is opened later, are not loaded."""
    files = {name: file.content.decode() for name, file in static_files().items()}
    wanted, seen = ["app.js", f"pages/{page}.js", "app.css"], set[str]()
    if page in DETAILED:
        wanted.append("details.css")
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        folder = name.rpartition("/")[0]
        for line in files[name].splitlines():
            if line.startswith("import ") and ' from "' in line:
                target = line.split(' from "')[1].split('"')[0]
                path = Path(folder, target)
                wanted.append(str(Path("/", path).resolve().relative_to("/")))

    assert sum(len(files[name]) for name in seen) < limit
    assert ("parts/timeline.js" in seen) is (page == "run")


@pytest.mark.slow
def test_a_long_run_is_shown_without_reading_its_state(
    tmp_path: Path,
) -> None:
    """Spans and one event take a small part of the time of all 7,480 events."""
    pipe: Pipe[Any, Any] = Pipe(
        dict, name="large", persist=True, storage=tmp_path, max_map_items=3_000
    )

    @pipe.map(each="work")
    async def fan(state: Any) -> range:
        state["all"] = list(range(2_500))
        return range(2_492)

    @pipe.step
    async def work(item: int) -> None:
        pass

    async def run() -> str:
        async with pipe.run({}) as stream:
            await stream.wait()
        return stream.run_id

    found = PipelineRegistry(tmp_path).resolve_run(anyio.run(run))
    assert found is not None
    stored = StoredRun(*found)

    last = stored.spans()["next"]
    assert last >= 7_480
    assert len(stored.spans()["spans"]) == 2_493

    everything = best_of(3, lambda: stored.store.get_events(stored.run_id))
    assert best_of(3, stored.spans) < everything / 5
    assert best_of(3, lambda: stored.one_event(last)) < everything / 20
