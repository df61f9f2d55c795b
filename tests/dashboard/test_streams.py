"""Server-sent events: resumed exactly, shared by readers, ended with the server."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from typing import Any

import anyio
import pytest

from justpipe_actors.dashboard import create_app, stored_tail
from justpipe_actors.dashboard.run_details import StoredRun
from justpipe_actors.dashboard.streams import Feed, Source, Streams
from justpipe_actors.records import OpenStatus
from justpipe_actors.storage import SQLiteBackend
from justpipe_actors.storage.queries import this_owner

from .asgi import Client
from .store import Store


async def test_a_stream_of_an_ended_run_has_all_events_and_ends(store: Store) -> None:
    """Its last event is the end of the run."""
    run_id = await store.run(store.pipe())
    client = Client(create_app(store.registry))

    events = (await client.get(f"/api/runs/{run_id}/stream")).events()

    rows = [row for name, rows in events if name == "events" for row in rows]
    assert [row[0] for row in rows] == [*range(1, len(rows) + 1)]
    assert rows[-1][1] == "finish"
    assert events[-1][0] == "end"
    assert events[-1][1]["status"] == "success"


async def test_a_stream_is_resumed_where_it_was_left(store: Store) -> None:
    """Last-Event-ID has priority over ``after``, because browsers send it when they reconnect."""
    run_id = await store.run(store.pipe())
    client = Client(create_app(store.registry))

    after = (await client.get(f"/api/runs/{run_id}/stream?after=7")).events()
    again = (
        await client.get(f"/api/runs/{run_id}/stream?after=7", last_event_id="9")
    ).events()

    assert after[0][1][0][0] == 8
    assert again[0][1][0][0] == 10


async def test_one_connection_has_many_topics(store: Store) -> None:
    """An error of one topic does not end the others."""
    run_id = await store.run(store.pipe())
    client = Client(create_app(store.registry))
    topics = [f"runs/{run_id}/stream?after=3", "runs/none/stream", "odd"]
    query = "&".join(f"topic={topic.replace('?', '%3F')}" for topic in topics)

    events = [data for _, data in (await client.get(f"/api/streams?{query}")).events()]

    assert {(topic, name) for topic, name, _ in events} == {
        (topics[0], "events"),
        (topics[0], "end"),
        (topics[1], "error"),
        (topics[2], "error"),
    }


async def test_the_page_of_runs_is_sent_again_only_when_it_has_changed(
    store: Store,
) -> None:
    """Unchanged data are not sent."""
    pipe = store.pipe()
    first = await store.run(pipe)
    app = create_app(store.registry)
    streams: Streams = app.state.site.streams
    answers: list[Any] = []
    heard = [anyio.Event(), anyio.Event()]

    def note(part: bytes) -> None:
        if part.startswith(b"event: runs"):
            heard[heard[0].is_set()].set()

    async def read() -> None:
        client = Client(app)
        answers.append(
            await client.request("GET", "/api/runs/stream", {}, on_part=note)
        )

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await heard[0].wait()
        second = await store.run(pipe)
        await heard[1].wait()
        streams.stopping.set()

    pages = [data for name, data in answers[0].events() if name == "runs"]
    ids = [[run["run_id"] for run in page["runs"]] for page in pages]
    assert ids[0] == [first]
    assert second in ids[-1]
    assert answers[0].events()[-1][0] == "over"
    assert streams.statistics() == {"open": 0, "feeds": 0}


@pytest.mark.virtual_time
async def test_readers_share_one_producer() -> None:
    """Twenty readers cost as much as one, and without readers it does not work."""
    streams = Streams()
    made: list[int] = []
    heard: list[str] = []

    async def produce() -> str:
        made.append(len(made))
        return str(len(made))

    async def emit(event: str, data: str, number: int | None) -> None:
        heard.append(data)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(streams.send, "x", "x", Source(produce, 1.0), emit)
        await anyio.sleep(9.5)
        tasks.cancel_scope.cancel()
    before = len(made)
    await anyio.sleep(100)

    assert len(made) == before == 10
    assert len(heard) == 200
    assert streams.statistics()["feeds"] == 0


async def test_a_reader_that_leaves_leaves_nothing_behind(store: Store) -> None:
    """The disconnect is noticed, and its feed is dropped."""
    await store.run(store.pipe())
    app = create_app(store.registry)
    streams: Streams = app.state.site.streams

    await Client(app).request("GET", "/api/runs/stream", {}, leave_after=2)

    assert streams.statistics() == {"open": 0, "feeds": 0}


@pytest.mark.virtual_time
async def test_equal_texts_are_sent_once() -> None:
    """An update without a change is not sent."""

    async def produce() -> str:
        return "same"

    feed = Feed(Source(produce, 1.0))

    assert await feed.after(0) == (1, "same")
    with anyio.move_on_after(20) as scope:
        await feed.after(1)
    assert scope.cancelled_caught


async def test_the_number_of_open_streams_is_limited(store: Store) -> None:
    """A further one is refused with the time to come back."""
    app = create_app(store.registry)
    app.state.site.streams.open = 64

    answer = await Client(app).get("/api/runs/stream")

    assert (answer.status, answer.json()["code"]) == (503, "busy")


async def test_a_run_of_another_process_is_polled_once_for_all(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five readers, also a late one, share the result of one poll."""
    monkeypatch.setattr(stored_tail, "RUN_PERIOD", 0.01)
    run_id = await store.run(store.pipe())
    found = store.registry.resolve_run(run_id)
    assert found is not None
    assert isinstance(found[1], SQLiteBackend)
    ended, reading = found[0].run, SQLiteBackend(found[1].path)
    copy = replace(ended, run_id="copy", status=OpenStatus.RUNNING, owner=this_owner())
    reading.begin_run(copy)
    texts = [event.data for event in reading.get_events(run_id)]
    app = create_app(store.registry)
    streams: Streams = app.state.site.streams
    answers: list[Any] = []
    pages: list[int] = []
    rows_of = stored_tail.rows_of

    def counted(stored: Any, after: int) -> Any:
        rows = rows_of(stored, after)
        pages.append(len(rows))
        return rows

    monkeypatch.setattr(stored_tail, "rows_of", counted)

    async def read() -> None:
        answers.append(await Client(app).get("/api/runs/copy/stream"))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(read)
            while sum(feed.readers for feed in streams.feeds.values()) < 5:  # noqa: ASYNC110
                await anyio.sleep(0.01)
            assert streams.statistics() == {"open": 5, "feeds": 1}
            reading.append_events("copy", texts[:6])
            while sum(pages) < 6:  # noqa: ASYNC110
                await anyio.sleep(0.01)
            reading.save_run(replace(ended, run_id="copy"), texts[6:])

    for answer in answers:
        rows = [
            row for name, part in answer.events() if name == "events" for row in part
        ]
        assert [row[0] for row in rows] == [*range(1, len(texts) + 1)]
        assert answer.events()[-1][0] == "end"
    assert sum(pages) == len(texts)


async def test_a_store_that_cannot_be_read_for_a_moment_ends_no_stream(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer may just end, for example; the next poll reads the events."""
    monkeypatch.setattr(stored_tail, "RUN_PERIOD", 0.01)
    run_id = await store.run(store.pipe())
    found = store.registry.resolve_run(run_id)
    assert found is not None
    stored = StoredRun(*found)
    begin = len(stored.rows_after(0, 100))
    problems = [sqlite3.OperationalError("disk I/O error")] * 4
    get_run = SQLiteBackend.get_run

    def failing(self: SQLiteBackend, name: str) -> Any:
        if problems:
            raise problems.pop()
        return get_run(self, name)

    monkeypatch.setattr(SQLiteBackend, "get_run", failing)
    heard: list[tuple[str, str]] = []

    async def emit(event: str, data: str, number: int | None) -> None:
        heard.append((event, data))

    site = create_app(store.registry).state.site
    with anyio.fail_after(30):
        await stored_tail.emit_stored_run(site, stored, 0, emit)

    assert not problems
    assert [event for event, _ in heard] == ["events", "end"]
    assert len(json.loads(heard[0][1])) == begin
