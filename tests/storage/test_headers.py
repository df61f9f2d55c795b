"""Events without their payloads."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from justpipe_actors import Pipe
from justpipe_actors.abc import HeaderStore, StorageBackend
from justpipe_actors.events import EventType
from justpipe_actors.storage import InMemoryBackend, SQLiteBackend
from justpipe_actors.storage.headers import parse_header


async def run(store: StorageBackend) -> str:
    """Store a run whose state grows, with a map, tokens and an event that came as text."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="grow", persist=True, storage=store)

    @pipe.map(each="add")
    async def numbers(state: Any) -> range:
        state["all"] = []
        return range(20)

    @pipe.step
    async def add(number: int, state: Any) -> None:
        state["all"].append(number)

    async with pipe.run({}) as stream:
        async for _ in stream:
            pass
    text = {"type": "token", "stage": "late", "seq": 10_000, "payload": "x"}
    odd = {"type": "of-another-version", "stage": "late", "seq": 10_001}
    store.append_events(stream.run_id, [json.dumps(text), json.dumps(odd)])
    return stream.run_id


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> StorageBackend:
    """Return an empty store of either kind."""
    if request.param == "memory":
        return InMemoryBackend()
    return SQLiteBackend(tmp_path / "runs.db")


async def test_headers_are_events_without_payload_and_meta(
    store: StorageBackend,
) -> None:
    """Numbers, ids, attempts and scopes are those of the events."""
    run_id = await run(store)
    assert isinstance(store, HeaderStore)

    headers = store.get_event_headers(run_id)
    parsed = [parse_header(event) for event in store.get_events(run_id)]

    for header, event in zip(headers, filter(None, parsed), strict=True):
        # What is read as text has moments that are exact to the microsecond.
        assert header.timestamp == pytest.approx(event.timestamp, abs=1e-6)
        assert header._replace(timestamp=event.timestamp) == event
    assert headers[-1].stage == "late"
    assert any(header.scope for header in headers)


async def test_headers_can_be_read_after_a_number(store: StorageBackend) -> None:
    """A limit counts from there."""
    run_id = await run(store)
    assert isinstance(store, HeaderStore)

    everything = store.get_event_headers(run_id)

    assert store.get_event_headers(run_id, after=7) == everything[7:]
    assert store.get_event_headers(run_id, after=7, limit=3) == everything[7:10]
    assert store.get_event_headers(run_id, limit=0) == []
    assert store.get_event_headers("nothing") == []


async def test_headers_count_the_tries_of_retries(store: StorageBackend) -> None:
    """The end of a call has the number of all its tries, whether it succeeded or failed."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="again", persist=True, storage=store)
    calls: list[str] = []

    @pipe.step(to="never", retries=3, retry_wait_min=0, retry_wait_max=0)
    async def later() -> None:
        calls.append("later")
        if len(calls) < 3:
            raise OSError("not yet")

    @pipe.step(retries=1, retry_wait_min=0, retry_wait_max=0)
    async def never() -> None:
        raise OSError("never")

    async with pipe.run({}) as stream:
        await stream.wait()
    assert isinstance(store, HeaderStore)

    headers = store.get_event_headers(stream.run_id)

    several = [(one.type, one.stage, one.tries) for one in headers if one.tries > 1]
    assert several == [
        (EventType.STEP_END, "later", 3),
        (EventType.STEP_ERROR, "never", 2),
    ]
    for event in store.get_events(stream.run_id):
        assert "tries" not in json.loads(event.data)


async def test_payloads_are_not_read(tmp_path: Path) -> None:
    """A damaged payload does not prevent reading the headers."""
    path = tmp_path / "runs.db"
    store = SQLiteBackend(path)
    run_id = await run(store)
    before = store.get_event_headers(run_id)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE chunks SET payloads = 'no JSON', metas = 'none'")
    connection.close()

    assert store.get_event_headers(run_id) == before
    assert len(store.get_events(run_id)) < len(before)


async def test_one_event_is_read_by_its_number(store: StorageBackend) -> None:
    """It is the same as among all events; an unknown number gives None."""
    run_id = await run(store)
    assert isinstance(store, HeaderStore)

    for event in store.get_events(run_id):
        assert store.get_event(run_id, event.seq) == event
    assert store.get_event(run_id, 9_999) is None
    assert store.get_event(run_id, 0) is None
    assert store.get_event("nothing", 1) is None
