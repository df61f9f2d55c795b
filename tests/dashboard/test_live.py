"""What a supervisor does, as the API says it."""

from __future__ import annotations

import time
from typing import Any

import anyio

from justpipe_actors import Pipe, Supervisor
from justpipe_actors._engine.dead_letters import DeadLetter
from justpipe_actors.dashboard import create_app

from .asgi import Client
from .store import Store


async def test_dead_letters_come_with_the_time_of_day(store: Store) -> None:
    """The newest first; all that are kept, not only those of the snapshot."""
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


async def test_a_slot_that_is_held_is_named(store: Store) -> None:
    """The step has one slot, one run holds it, the other waits in the inbox."""
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


async def test_a_supervisor_that_was_left_has_nothing_to_show(store: Store) -> None:
    """The answer says that it is not open."""
    supervisor = Supervisor(Pipe(dict, name="report"))
    client = Client(create_app(store.registry, supervisor=supervisor))

    before = await client.get("/api/live")
    async with supervisor:
        within = await client.get("/api/live")
    after = await client.get("/api/live")

    assert [one.status for one in (before, within, after)] == [503, 200, 503]
    assert (await client.get("/api/meta")).status == 200
