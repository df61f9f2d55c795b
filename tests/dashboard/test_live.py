"""What the API returns about a supervisor."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors._engine.dead_letters import DeadLetter
from justpipe_actors.dashboard import create_app, stream_routes

from .asgi import Answer, Client
from .store import Store


async def test_dead_letters_have_their_time(store: Store) -> None:
    """The newest is first, and all that are kept are listed, not only those of the snapshot."""
    supervisor = Supervisor(Pipe(dict, name="report"))
    client = Client(create_app(store.registry, supervisor=supervisor))
    async with supervisor:
        kept = supervisor._require_open().system.dead_letters
        for number in range(15):
            kept.add(
                DeadLetter(
                    run_id=f"r{number}",
                    step="write",
                    actor="report/write",
                    attempt=1,
                    reason="the message broke the dispatcher",
                    error="ValueError: no",
                    at=anyio.current_time(),
                )
            )
        data = (await client.get("/api/letters")).json()
        count = (await client.get("/api/meta")).json()["letters"]

    assert [one["run_id"] for one in data["letters"]][:2] == ["r14", "r13"]
    assert data["total"] == count == 15
    assert abs(data["letters"][0]["at"] - time.time()) < 60


async def test_the_holder_of_a_slot_is_named(store: Store) -> None:
    """The step has one slot, one run has it, and another run waits in the inbox."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="ingest")
    begun = anyio.Event()

    @pipe.step(concurrency=1)
    async def embed() -> None:
        begun.set()
        await anyio.sleep_forever()

    supervisor = Supervisor(pipe, grace=0)
    client = Client(create_app(store.registry, supervisor=supervisor))
    async with supervisor:
        first = await supervisor.submit(pipe, {})
        await begun.wait()
        second = await supervisor.submit(pipe, {})
        await anyio.wait_all_tasks_blocked()
        data = (await client.get("/api/live")).json()
        text = (await client.get("/api/live/dump")).text
        supervisor.cancel_runs()

    (actor,) = data["actors"]
    assert (actor["slots"], actor["busy"], actor["depth"]) == (1, 1, 1)
    at_work = {run["run_id"]: run["stuck"]["steps"] for run in data["runs"]}
    assert [step["step"] for step in at_work[first.run_id]] == ["embed"]
    assert at_work[second.run_id] == []
    assert f"run {first.run_id} of pipe 'ingest'" in text


async def test_a_closed_supervisor_has_no_live_data(store: Store) -> None:
    """The response says that it is not open."""
    supervisor = Supervisor(Pipe(dict, name="report"))
    client = Client(create_app(store.registry, supervisor=supervisor))

    before = await client.get("/api/live")
    async with supervisor:
        within = await client.get("/api/live")
    after = await client.get("/api/live")

    assert [one.status for one in (before, within, after)] == [503, 200, 503]
    assert (await client.get("/api/meta")).status == 200


def rows_of(answer: Answer) -> list[list[Any]]:
    """Return the events of a stream that ends with the message that nothing is stored."""
    *events, last = answer.events()
    assert last == ("end", None)
    return [row for name, rows in events if name == "events" for row in rows]


async def test_a_run_that_is_not_stored_has_a_page_while_it_runs(
    store: Store,
) -> None:
    """It has its facts, its graph, and a stream of the events that the supervisor keeps."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="chat")
    begun, release = anyio.Event(), anyio.Event()

    @pipe.step
    async def answer() -> AsyncIterator[str]:
        for word in ("so ", "it ", "is"):
            yield word
        begun.set()
        await release.wait()

    supervisor = Supervisor(pipe)
    client = Client(create_app(store.registry, supervisor=supervisor))
    answers: list[Answer] = []

    async def read(path: str) -> None:
        answers.append(await client.get(path))

    async with supervisor:
        run = await supervisor.submit(pipe, {})
        await begun.wait()
        path = f"/api/runs/{run.run_id}"
        details = (await client.get(path)).json()
        spans = (await client.get(f"{path}/spans")).json()
        graph = await client.get(f"/api/pipelines/{details['pipeline_hash']}/graph.svg")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, f"{path}/stream")
            tasks.start_soon(read, f"{path}/stream?after=3")
            await anyio.wait_all_tasks_blocked()
            release.set()
        gone = await client.get(path)

    assert (details["status"], details["is_stored"]) == ("running", False)
    assert (spans["spans"], spans["next"]) == ([], 0)
    assert 'data-step="answer"' in graph.text
    rest, whole = sorted(map(rows_of, answers), key=len)
    assert [row[0] for row in whole] == [*range(1, len(whole) + 1)]
    assert [row[7] for row in whole if row[1] == "token"] == ["so ", "it ", "is"]
    assert rest == whole[3:]
    assert whole[-1][7]["status"] == "success"
    assert gone.status == 404


@pytest.mark.parametrize(("most", "period"), [(0, 0.5), (-1, 2.0)])
async def test_a_supervisor_with_many_runs_is_polled_less_often(
    store: Store, monkeypatch: pytest.MonkeyPatch, most: int, period: float
) -> None:
    """Each poll takes time of the loop that the runs share."""
    monkeypatch.setattr(stream_routes, "MANY_RUNS", most)
    periods: list[float] = []
    async with Supervisor() as supervisor:
        app = create_app(store.registry, supervisor=supervisor)

        def note(part: bytes) -> None:
            if part.startswith(b"event: live"):
                feed = app.state.site.streams.feeds["live"]
                periods.append(feed.source.period)

        await Client(app).request(
            "GET", "/api/live/stream", {}, leave_after=2, on_part=note
        )

    assert periods == [period]
