"""Asks, answers, workers and stuck runs, from a journal."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from justpipe_actors import EventType, Pipe, Supervisor, ask
from justpipe_actors.abc.journal_records import Batch, NewAsk, NewRun
from justpipe_actors.dashboard import create_app
from justpipe_actors.journals import MemoryJournal
from justpipe_actors.outcomes import PipelineTerminalStatus

from .asgi import Client
from .store import Store


FORM = {
    "type": "object",
    "properties": {
        "decision": {"enum": ["publish", "reject"]},
        "pages": {"type": "integer", "minimum": 1},
    },
    "required": ["decision"],
}

OPTIONS: dict[str, Any] = {
    "read_only": False,
    "actions": {"answer", "redrive", "cancel"},
    "token": "secret",
}
HEAD = {"authorization": "Bearer secret"}


@pytest.fixture
def journal() -> MemoryJournal:
    """Return a journal with a run that asks."""
    journal = MemoryJournal()
    journal.open()
    new = NewRun(run_id="report-17", pipe="report", fingerprint="f", input="{}")
    claim = journal.submit(new, journal.add_worker("here/1")).claim
    assert claim is not None
    ask = NewAsk(
        id="report-17:review:publish#2",
        step="review",
        note="Publish?",
        form=json.dumps(FORM),
    )
    journal.append([Batch(run=claim.run.id, n=claim.n + 1, kind="commit", asks=(ask,))])
    return journal


async def test_open_asks_are_listed_with_their_forms(
    store: Store, journal: MemoryJournal
) -> None:
    """Their number is shown in the navigation."""
    client = Client(create_app(store.registry, journal=journal))

    (ask,) = (await client.get("/api/asks")).json()["asks"]

    assert (ask["id"], ask["note"]) == ("report-17:review:publish#2", "Publish?")
    assert ask["form"] == FORM
    assert (await client.get("/api/meta")).json()["asks"] == 1


async def test_the_first_answer_is_taken_with_the_name_of_its_user(
    store: Store, journal: MemoryJournal
) -> None:
    """A second answer is refused because the ask is no longer open."""
    app = create_app(
        store.registry, journal=journal, user=lambda request: "ada", **OPTIONS
    )
    client = Client(app)
    path = "/api/asks/report-17:review:publish#2/answer"

    first = await client.post(path, {"value": {"decision": "publish"}}, **HEAD)
    second = await client.post(path, {"value": {"decision": "reject"}}, **HEAD)

    assert (first.status, second.status) == (200, 409)
    assert "was answered" in second.json()["detail"]
    run = journal.find("report-17")
    assert run is not None
    (signal,) = journal.signals_of(run.id)
    assert (signal.body, signal.by) == ('{"decision": "publish"}', "ada")


async def test_an_answer_that_does_not_fit_leaves_the_ask_open(
    store: Store, journal: MemoryJournal
) -> None:
    """The response says what does not fit."""
    client = Client(create_app(store.registry, journal=journal, **OPTIONS))
    path = "/api/asks/report-17:review:publish#2/answer"

    answer = await client.post(path, {"value": {"decision": "maybe"}}, **HEAD)

    assert answer.status == 422
    assert "decision must be one of 'publish', 'reject'" in answer.json()["detail"]
    assert len(journal.asks()) == 1


async def test_workers_are_listed_with_their_open_runs(
    store: Store, journal: MemoryJournal
) -> None:
    """A run has its worker and what it waits for."""
    client = Client(create_app(store.registry, journal=journal))

    data = (await client.get("/api/workers")).json()

    assert [(one["name"], one["runs"]) for one in data["workers"]] == [("here/1", 1)]
    (run,) = data["runs"]
    assert (run["run_id"], run["status"]) == ("report-17", "running")
    assert run["asks"] == ["report-17:review:publish#2"]


async def test_only_stuck_runs_can_be_unstuck(
    store: Store, journal: MemoryJournal
) -> None:
    """Any other run is refused."""
    client = Client(create_app(store.registry, journal=journal, **OPTIONS))

    refused = await client.post("/api/runs/report-17/redrive", {}, **HEAD)
    run = journal.find("report-17")
    assert run is not None
    stuck = Batch(
        run=run.id, n=3, kind="release", status="stuck", problem="it died three times"
    )
    journal.append([stuck])
    taken = await client.post("/api/runs/report-17/redrive", {}, **HEAD)

    assert (refused.status, taken.status) == (409, 202)
    after = journal.find("report-17")
    assert after is not None
    assert after.status == "ready"


async def test_a_durable_run_is_cancelled_in_any_process(
    store: Store, journal: MemoryJournal
) -> None:
    """The journal tells its worker."""
    client = Client(create_app(store.registry, journal=journal, **OPTIONS))

    answer = await client.post("/api/runs/report-17/cancel", {"reason": "no"}, **HEAD)

    run = journal.find("report-17")
    assert run is not None
    assert answer.status == 202
    assert [signal.kind for signal in journal.signals_of(run.id)] == ["cancel"]


async def test_asks_of_a_supervisors_own_runs_are_answered(store: Store) -> None:
    """A run without a journal has its asks at the same address."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="report")
    said: list[bool] = []

    @pipe.step
    async def review() -> None:
        said.append(await ask(bool, "Publish?", key="publish"))

    supervisor = Supervisor(pipe)
    app = create_app(store.registry, supervisor=supervisor, **OPTIONS)
    client = Client(app)
    async with supervisor:
        run = await supervisor.submit(pipe, {})
        async for event in run:
            if event.type is EventType.ASK:
                break
        asks = (await client.get("/api/asks", **HEAD)).json()["asks"]
        path = f"/api/asks/{asks[0]['id']}/answer"
        odd = await client.post(path, {"value": "perhaps"}, **HEAD)
        yes = await client.post(path, {"value": True}, **HEAD)
        end = await run.wait()

    assert (odd.status, yes.status) == (422, 200)
    assert end.status is PipelineTerminalStatus.SUCCESS
    assert said == [True]


async def test_a_run_of_the_supervisor_is_cancelled_with_the_reason(
    store: Store,
) -> None:
    """A run that is not at work is not found."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="report")

    @pipe.step
    async def wait() -> None:
        await anyio.sleep_forever()

    supervisor = Supervisor(pipe)
    client = Client(create_app(store.registry, supervisor=supervisor, **OPTIONS))
    async with supervisor:
        run = await supervisor.submit(pipe, {})
        path = f"/api/runs/{run.run_id}/cancel"
        taken = await client.post(path, {"reason": "not now"}, **HEAD)
        end = await run.wait()
        again = await client.post(path, {}, **HEAD)

    assert (taken.status, again.status) == (202, 404)
    assert (end.status, end.error) == (PipelineTerminalStatus.CANCELLED, "not now")


async def taken_up_again(store: Store, run_id: str) -> None:
    """Store a run that one supervisor released and another one ended."""
    gate, begun = anyio.Event(), anyio.Event()
    pipe: Pipe[Any, Any] = Pipe(dict, name="gated", storage=store.root)

    @pipe.step
    async def slow() -> None:
        begun.set()
        await gate.wait()

    journal = MemoryJournal()
    async with Supervisor(pipe, journal=journal, grace=0.05) as supervisor:
        await supervisor.submit(pipe, {}, run_id=run_id)
        await begun.wait()
    gate.set()
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.find(run_id)
        assert run is not None
        await run.wait()


async def test_a_run_that_was_taken_up_shows_both_incarnations(
    store: Store,
) -> None:
    """Steps at work at the release are interrupted."""
    await taken_up_again(store, "twice")

    answer = await Client(create_app(store.registry)).get("/api/runs/twice/spans")
    page = answer.json()
    assert [(row[1], row[5]) for row in page["spans"]] == [
        ("slow", "interrupted"),
        ("slow", "done"),
    ]
    first, second = page["incarnations"]
    assert (first["number"], first["start"], first["first_seq"]) == (1, 0, 1)
    assert first["end"] == page["spans"][0][4]
    assert (second["number"], second["end"]) == (2, None)
    assert second["first_seq"] == page["spans"][0][9]
    assert second["start"] <= page["spans"][1][3]


async def test_a_reader_goes_on_over_the_change_of_processes(store: Store) -> None:
    """After a number of the first incarnation come its rest and the second one."""
    await taken_up_again(store, "again")
    client = Client(create_app(store.registry))
    path = "/api/runs/again/stream"

    everything, rest = [
        [row for name, rows in answer.events() if name == "events" for row in rows]
        for answer in (await client.get(path), await client.get(f"{path}?after=2"))
    ]

    numbers = [row[0] for row in everything]
    assert numbers[:2] == [1, 2]
    assert numbers[2] == 2**40 + 1
    assert [row[1] for row in everything][2] == "recovered"
    assert rest == everything[2:]
