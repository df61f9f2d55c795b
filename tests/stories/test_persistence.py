"""What a persistent pipe promises: all events, the true end, and no failure by its store."""

from __future__ import annotations

import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import anyio
import anyio.to_thread
import pytest

from justpipe_actors import (
    DefinitionError,
    Event,
    EventType,
    Meta,
    Pipe,
    Supervisor,
    Suspend,
)
from justpipe_actors._publishing.event_buffer import Overflow
from justpipe_actors._publishing.observers import RecorderObserver
from justpipe_actors._run.run_stream import RunStream
from justpipe_actors.abc import Observer, StorageBackend
from justpipe_actors.codec import event_to_plain
from justpipe_actors.outcomes import PipelineTerminalStatus
from justpipe_actors.records import OpenStatus, RunQuery, RunRecord, StoredEvent
from justpipe_actors.storage import (
    InMemoryBackend,
    PipelineRegistry,
    SQLiteBackend,
    redact_keys,
    states_of,
)
from justpipe_actors.storage.recorder import Recorder

from ..programs import code, started


LOGGER = "justpipe_actors.persistence"
AnyPipe = Pipe[Any, Any]


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> StorageBackend:
    """An empty store of each kind."""
    if request.param == "memory":
        return InMemoryBackend()
    return SQLiteBackend(tmp_path / "runs.db")


def counting_chain(**options: Any) -> AnyPipe:
    """Return a pipe of three steps that count in a dict."""
    pipe = AnyPipe(dict, name="chain", **options)

    @pipe.step("one", to="two")
    def one(state: dict[str, Any]) -> None:
        state["n"] = 1

    @pipe.step("two", to="three")
    async def two(state: dict[str, Any]) -> AsyncIterator[str]:
        state["n"] = 2
        for word in ("a", "b", "c"):
            yield word

    @pipe.step("three")
    def three(state: dict[str, Any]) -> None:
        state["n"] = 3

    return pipe


async def run(pipe: AnyPipe, state: Any = None, **options: Any) -> list[Event]:
    """Run a pipe to its end."""
    async with pipe.run({} if state is None else state, **options) as events:
        return [event async for event in events]


def created(folder: Path) -> list[Path]:
    """Return the files of a folder."""
    return list(folder.iterdir())


def sized(file: Path) -> int:
    """Return the size of a file."""
    return file.stat().st_size


def only(store: StorageBackend) -> RunRecord:
    """Return the only run of a store."""
    (found,) = store.query_runs(RunQuery())
    return found


def payloads(events: Sequence[StoredEvent], kind: str) -> list[Any]:
    """Return the payloads of the events of one type."""
    return [json.loads(one.data)["payload"] for one in events if one.type_name == kind]


# -- what is stored


async def test_nothing_is_stored_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Persistence is off, and creates no files."""
    monkeypatch.setenv("JUSTPIPE_ACTORS_STORAGE_PATH", str(tmp_path / "root"))
    monkeypatch.delenv("JUSTPIPE_ACTORS_PERSIST", raising=False)
    await run(counting_chain())
    await run(counting_chain(storage=tmp_path / "root", persist=False))

    assert created(tmp_path) == []


async def test_all_events_of_a_run_are_stored(store: StorageBackend) -> None:
    """They are in order, and as they were when they were published."""
    pipe = counting_chain(storage=store)
    seen: list[dict[str, Any]] = []
    async with pipe.run({"n": 0, "name": "Ada"}) as events:
        async for event in events:
            plain = event_to_plain(event)
            seen.append(plain)

    found = only(store)
    stored = store.get_events(found.run_id)
    assert [one.seq for one in stored] == list(range(1, len(seen) + 1))
    for one, plain in zip(stored, seen, strict=True):
        data = json.loads(one.data)
        assert list(data) == list(plain)
        if one.event_type not in (EventType.START, EventType.STEP_END):
            assert data == plain
    assert found.status is PipelineTerminalStatus.SUCCESS
    assert found.end_time is not None
    assert found.duration is not None
    assert found.end_time >= found.start_time


async def test_a_stored_state_is_the_state_at_that_event(store: StorageBackend) -> None:
    """Later changes of the state are not in it."""
    await run(counting_chain(storage=store), {"n": 0, "deep": {"list": [1, {"k": 2}]}})

    events = store.get_events(only(store).run_id)

    assert [s["n"] for s in payloads(events, "start")] == [0]
    assert [s["n"] for s in payloads(events, "step_end")] == [1, 2, 3]
    assert payloads(events, "step_end")[0]["deep"] == {"list": [1, {"k": 2}]}


@dataclass
class Person:
    name: str
    score: float
    friends: set[str]


async def test_states_that_are_not_json_are_stored(store: StorageBackend) -> None:
    """Values such as NaN, bytes and cycles are stored as text."""
    pipe: AnyPipe = AnyPipe(storage=store)
    loop: list[Any] = []
    loop.append(loop)
    odd = {1: float("nan"), "1": b"x", (1, 2): loop, "p": Person("A", 1.5, {"b"})}

    @pipe.step("s")
    def s(state: Any) -> None: ...

    await run(pipe, odd)

    events = store.get_events(only(store).run_id)
    assert payloads(events, "step_end") == [
        {
            "1": "NaN",
            "1 (str)": "b'x'",
            "[1, 2]": ["<cycle>"],
            "p": {"name": "A", "score": 1.5, "friends": "{'b'}"},
        }
    ]
    assert events[-1].event_type is EventType.FINISH


# -- every ending


def failing(**options: Any) -> AnyPipe:
    """Return a pipe whose only step fails."""
    pipe = AnyPipe(dict, **options)

    @pipe.step("bad")
    def bad() -> None:
        raise ValueError("boom")

    return pipe


def endless(**options: Any) -> AnyPipe:
    """Return a pipe whose only step streams one token and never ends."""
    pipe = AnyPipe(dict, **options)

    @pipe.step("wait")
    async def wait() -> AsyncIterator[int]:
        yield 1
        await anyio.sleep_forever()

    return pipe


def suspending(**options: Any) -> AnyPipe:
    """Return a pipe that suspends."""
    pipe = AnyPipe(dict, **options)

    @pipe.step("ask")
    def ask() -> Suspend:
        return Suspend("needs an answer")

    return pipe


def unstartable(**options: Any) -> AnyPipe:
    """Return a pipe whose startup hook fails."""
    pipe = AnyPipe(dict, **options)
    pipe.step("s")(lambda: None)

    @pipe.on_startup
    def connect() -> None:
        raise OSError("no network")

    return pipe


def hooked(**options: Any) -> AnyPipe:
    """Return a pipe with an event hook that raises."""
    pipe = AnyPipe(dict, **options)
    pipe.step("s")(lambda: None)

    def break_down(event: Event) -> Event:
        if event.type is EventType.STEP_END:
            raise RuntimeError("broken hook")
        return event

    pipe.add_event_hook(break_down)
    return pipe


async def to_the_end(pipe: AnyPipe) -> None:
    """Run it to its end."""
    await run(pipe)


async def to_the_crash(pipe: AnyPipe) -> None:
    """Run it until its hook raises."""
    with pytest.raises(RuntimeError, match="broken hook"):
        await run(pipe)


async def with_a_timeout(pipe: AnyPipe) -> None:
    """Run it until its timeout."""
    await run(pipe, timeout=0.001)


async def leaving_at_a_token(pipe: AnyPipe) -> None:
    """Leave the block at the first token."""
    async with pipe.run({}) as events:
        async for event in events:
            if event.type is EventType.TOKEN:
                break


async def cancelling_it(pipe: AnyPipe) -> None:
    """Cancel it at the first token."""
    async with pipe.run({}) as events:
        async for event in events:
            if event.type is EventType.TOKEN:
                events.cancel("Enough")


async def cancelling_the_consumer(pipe: AnyPipe) -> None:
    """Cancel the task that reads the first token."""
    with anyio.CancelScope() as scope:
        async for event in pipe.run({}):
            if event.type is EventType.TOKEN:
                scope.cancel()


async def closing_the_supervisor(pipe: AnyPipe) -> None:
    """Close the supervisor that it was submitted to."""
    async with Supervisor(grace=0.01) as supervisor:
        await supervisor.submit(pipe, {})


@pytest.mark.parametrize(
    ("make", "way", "label", "message", "step"),
    [
        (failing, to_the_end, "failed", "boom", "bad"),
        (unstartable, to_the_end, "failed", "no network", None),
        (hooked, to_the_crash, "failed", "broken hook", None),
        (suspending, to_the_end, "suspended", None, None),
        (endless, with_a_timeout, "timeout", "timed out", None),
        (endless, leaving_at_a_token, "client_closed", "closed", None),
        (endless, cancelling_it, "cancelled", "Enough", None),
        (endless, cancelling_the_consumer, "client_closed", "closed", None),
        (endless, closing_the_supervisor, "cancelled", "closed", None),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)
async def test_every_end_is_stored_with_its_status(
    make: Callable[..., AnyPipe],
    way: Callable[[AnyPipe], Awaitable[None]],
    label: str,
    message: str | None,
    step: str | None,
) -> None:
    """The record has the reason, too."""
    store = InMemoryBackend()

    await way(make(storage=store))

    found = only(store)
    assert found.label == label
    assert (found.error_message is None) == (message is None)
    assert (message or "") in (found.error_message or "")
    assert found.error_step == step
    assert found.end_time is not None
    finish = store.get_events(found.run_id)[-1]
    assert finish.event_type is EventType.FINISH
    assert json.loads(finish.data)["payload"]["status"] == found.status.value
    if label == "suspended":
        assert found.reason == "needs an answer"
        assert found.status is PipelineTerminalStatus.SUCCESS


async def test_notes_of_a_run_are_stored(store: StorageBackend) -> None:
    """They are in its record."""

    class Context:
        meta: Meta

    pipe: AnyPipe = AnyPipe(dict, Context, storage=store)

    @pipe.step("s")
    def s(state: dict[str, Any], context: Context) -> None:
        context.meta.run.set("customer", "Ada")
        context.meta.step.add_tag("checked")

    async with pipe.run({}, Context()) as events:
        async for _ in events:
            pass

    found = only(store)
    assert json.loads(found.run_meta or "") == {"data": {"customer": "Ada"}}
    (end,) = store.get_events(found.run_id, EventType.STEP_END)
    meta = json.loads(end.data)["meta"]
    assert meta["tags"] == ["checked"]
    assert meta["framework"]["status"] == "success"


async def test_an_invalid_pipe_stores_nothing(tmp_path: Path) -> None:
    """A run that never began has no record and no file."""
    pipe = AnyPipe(dict, storage=tmp_path / "root")
    pipe.step("a", to="nowhere")(lambda: None)

    with pytest.raises(DefinitionError):
        await run(pipe)

    assert created(tmp_path) == []


async def test_a_child_has_its_own_record_only_if_it_is_persistent() -> None:
    """Its events are in the parent's record in any case."""
    for child_store in (None, InMemoryBackend()):
        store = InMemoryBackend()
        child = counting_chain(storage=child_store)
        parent: AnyPipe = AnyPipe(dict, storage=store)
        parent.sub("sub", pipeline=child)(lambda state: state)

        await run(parent)

        names = {one.step_name for one in store.get_events(only(store).run_id)}
        assert {"sub:one", "sub:two", "sub:three", "sub:system"} <= names
        if child_store is not None:
            inner = only(child_store)
            assert inner.label == "success"
            assert len(child_store.get_events(inner.run_id)) == 11


# -- many runs at once


async def test_a_hundred_concurrent_runs_lose_nothing(store: StorageBackend) -> None:
    """Each of them has all its events in order."""
    pipe = counting_chain(storage=store)
    seen: dict[str, list[tuple[int | None, str, str]]] = {}

    async def one(number: int) -> None:
        async with pipe.run({"n": number}) as events:
            told = [event async for event in events]
        seen[events.run_id] = [(e.seq, e.type.value, e.stage) for e in told]

    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(one, number)

    assert len(store.query_runs(RunQuery(labels=("success",)))) == 100
    for run_id, told in seen.items():
        stored = store.get_events(run_id)
        assert [(e.seq, e.type_name, e.step_name) for e in stored] == told


async def test_many_tokens_are_read_one_by_one(store: StorageBackend) -> None:
    """Each has its number, time and payload, however they are stored."""
    pipe: AnyPipe = AnyPipe(storage=store)

    @pipe.step("talk")
    async def talk() -> AsyncIterator[object]:
        for n in range(3000):
            yield f"t{n}" if n % 1000 else {"n": n}

    seen = [event for event in await run(pipe) if event.type is EventType.TOKEN]

    run_id = only(store).run_id
    stored = store.get_events(run_id, EventType.TOKEN)
    assert [e.seq for e in stored] == [e.seq for e in seen]
    assert payloads(stored, "token") == [e.payload for e in seen]
    assert [e.timestamp.timestamp() for e in stored] == pytest.approx(
        [e.timestamp for e in seen], abs=1e-5
    )
    assert store.count_events(run_id)["token"] == 3000
    assert [e.seq for e in store.get_events(run_id, after=1500, limit=2)] == [
        1501,
        1502,
    ]


@pytest.mark.parametrize("in_place", [False, True])
async def test_a_token_that_a_hook_changed_is_stored(
    store: StorageBackend, *, in_place: bool
) -> None:
    """Equal tokens are stored together, and a different one among them is kept."""
    pipe: AnyPipe = AnyPipe(storage=store)

    @pipe.step("talk")
    async def talk() -> AsyncIterator[str]:
        for n in range(100):
            yield f"t{n}"

    def rename(event: Event) -> Event:
        if event.payload != "t50":
            return event
        if not in_place:
            return replace(event, stage="other", meta={"k": 1})
        vars(event).update(stage="other", meta={"k": 1})
        return event

    pipe.add_event_hook(rename)
    seen = await run(pipe)

    stored = store.get_events(only(store).run_id)
    assert [e.step_name for e in stored] == [e.stage for e in seen]
    (odd,) = [json.loads(e.data) for e in stored if e.step_name == "other"]
    assert (odd["payload"], odd["meta"]) == ("t50", {"k": 1})


# -- while it runs


class Watched(InMemoryBackend):
    """Signals that something has been appended."""

    def __init__(self) -> None:
        super().__init__()
        self.rang = threading.Semaphore(0)

    def append_events(self, run_id: str, events: Sequence[str]) -> None:
        super().append_events(run_id, events)
        self.rang.release()


async def test_a_run_can_be_read_while_it_runs() -> None:
    """It is listed with its real start and its events so far."""
    store = Watched()
    pipe = endless(storage=store, flush_interval=1)

    async with pipe.run({}) as events:
        async for event in events:
            if event.type is EventType.TOKEN:
                break
        while store.count_events(events.run_id).get("token") != 1:
            await anyio.to_thread.run_sync(store.rang.acquire)
        live = only(store)
        assert live.status is OpenStatus.RUNNING
        assert live.end_time is None
        assert live.start_time.timestamp() == pytest.approx(event.timestamp, abs=30)

    assert only(store).label == "client_closed"


# -- trouble


async def test_an_unusable_store_gives_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The runs go on."""
    (tmp_path / "file").write_text("in the way")
    pipe = counting_chain(storage=tmp_path / "file")

    with caplog.at_level(logging.WARNING, LOGGER):
        for _ in range(3):
            assert (await run(pipe))[-1].payload.status.value == "success"

    (record,) = [one for one in caplog.records if one.name == LOGGER]
    assert "runs without persistence" in record.getMessage()


async def test_a_store_is_used_again_once_it_works(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After a failure the next run tries it again."""
    in_the_way = tmp_path / "root"
    in_the_way.write_text("")
    pipe = counting_chain(storage=in_the_way)

    with caplog.at_level(logging.WARNING, LOGGER):
        await run(pipe)
    in_the_way.unlink()
    await run(pipe)

    assert len(PipelineRegistry(in_the_way).list_all_runs()) == 1


class Stubborn(InMemoryBackend):
    """Blocks until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = threading.Event()

    def append_events(self, run_id: str, events: Sequence[str]) -> None:
        self.may_go_on.wait()
        super().append_events(run_id, events)


def recorder_of(events: RunStream) -> Recorder:
    """Return the recorder of a run."""
    assert events._run is not None
    member = events._run.publisher.observers.members[-1]
    assert isinstance(member, RecorderObserver)
    assert isinstance(member.recorder, Recorder)
    return member.recorder


@pytest.mark.virtual_time
@pytest.mark.parametrize("overflow", ["block", "drop_oldest", "fail"])
async def test_a_store_that_hangs_delays_a_run_for_a_limited_time(
    overflow: Overflow, caplog: pytest.LogCaptureFixture
) -> None:
    """Producers wait for it, then the run goes on without it: memory stays bounded."""
    store = Stubborn()
    # A queue without bounds, where a full one would be the end.
    queue = 0 if overflow == "fail" else 1000
    pipe: AnyPipe = AnyPipe(storage=store, flush_interval=1, queue_size=queue)
    waiting = 0

    @pipe.step("talk")
    async def talk() -> AsyncIterator[str]:
        for _ in range(20_000):
            yield "word" * 250

    try:
        with caplog.at_level(logging.WARNING, LOGGER):
            async with pipe.run(None, overflow=overflow) as events:
                async for _ in events:
                    recorder = recorder_of(events)
                    waiting = max(waiting, recorder.queue.queued_bytes)
    finally:
        store.may_go_on.set()

    assert events.end is not None
    assert events.end.status.value == "success"
    assert 4_000_000 < waiting < 9_000_000
    assert "not stored in full" in caplog.text


@pytest.mark.virtual_time
@pytest.mark.parametrize("listens", [False, True])
async def test_a_run_without_a_consumer_waits_for_its_store(*, listens: bool) -> None:
    """A submitted run is slowed down by its store alone."""
    store = Stubborn()
    pipe: AnyPipe = AnyPipe(storage=store, flush_interval=1)
    if listens:
        pipe.add_observer(Observer())
    waiting = 0

    @pipe.step("talk")
    async def talk() -> AsyncIterator[str]:
        nonlocal waiting
        for _ in range(20_000):
            yield "word" * 250
            waiting = max(waiting, recorder_of(events).queue.queued_bytes)

    try:
        async with Supervisor() as supervisor:
            events = await supervisor.submit(pipe, None)
            end = await events.wait()
    finally:
        store.may_go_on.set()

    assert end.status.value == "success"
    assert 4_000_000 < waiting < 9_000_000


class Failing(InMemoryBackend):
    """Refuses the events of one step."""

    def append_events(self, run_id: str, events: Sequence[str]) -> None:
        if any('"poison"' in text for text in events):
            raise OSError("disk on fire")
        super().append_events(run_id, events)


async def test_a_failed_write_concerns_one_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """That run loses its events; another one in the same transaction does not."""
    store = Failing()
    pipe: AnyPipe = AnyPipe(str, storage=store)
    pipe.step("s")(lambda state: None)

    with caplog.at_level(logging.WARNING, LOGGER):
        async with anyio.create_task_group() as tasks:
            for state in ("fine", "poison", "fine too"):
                tasks.start_soon(run, pipe, state)

    runs = store.query_runs(RunQuery())
    assert {one.label for one in runs} == {"success"}
    assert sorted(one.lost_events for one in runs) == [0, 0, 4]
    assert "disk on fire" in caplog.text


async def test_events_that_cannot_be_encoded_concern_one_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A hook made them so; the events of other runs are stored."""
    pipe: AnyPipe = AnyPipe(storage=tmp_path)
    pipe.step("s")(lambda state: None)

    def spoil(event: Event) -> Event:
        is_odd = event.type is EventType.STEP_END and "odd" in event.payload
        return replace(event, origin_run_id=[]) if is_odd else event  # type: ignore[arg-type]

    pipe.add_event_hook(spoil)
    with caplog.at_level(logging.WARNING, LOGGER):
        async with anyio.create_task_group() as tasks:
            for state in ("fine", "odd"):
                tasks.start_soon(run, pipe, {state: "x" * 300})

    runs = [one.run for one in PipelineRegistry(tmp_path).list_all_runs()]
    assert {one.label for one in runs} == {"success"}
    assert sorted(one.lost_events for one in runs) == [0, 4]
    assert "cannot be written down" in caplog.text


class Locked(InMemoryBackend):
    """Is locked by another process, three times."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals = 3

    def append_events(self, run_id: str, events: Sequence[str]) -> None:
        if self.refusals:
            self.refusals -= 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        super().append_events(run_id, events)


async def test_a_locked_store_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The write is tried again, and nothing is lost."""
    monkeypatch.setattr("justpipe_actors.storage.writer.RETRY_DELAY", 0.0)
    store = Locked()

    seen = await run(counting_chain(storage=store, flush_interval=1))

    found = only(store)
    assert store.refusals == found.lost_events == 0
    assert [one.seq for one in store.get_events(found.run_id)] == [e.seq for e in seen]


async def test_invalid_options_are_refused() -> None:
    """Misspelt policies, negative sizes and objects that are no store are definition errors."""
    wrong: list[dict[str, Any]] = [
        {"persist_state": "some"},
        {"persist_limit": -1},
        {"flush_interval": 1.5},
        {"storage": object()},
    ]
    for options in wrong:
        with pytest.raises(DefinitionError, match=next(iter(options))):
            AnyPipe(**options)


# -- how much is stored


async def test_redaction_keeps_secrets_out(store: StorageBackend) -> None:
    """What a redaction hides is not in the store, and is still in the events."""
    pipe = AnyPipe(dict, storage=store, persist_redact=redact_keys("Password", "ssn"))

    @pipe.step("s")
    def s(state: dict[str, Any]) -> None:
        state["user"] = {"password": "hunter2", "name": "Ada"}

    seen = await run(pipe, {"ssn": "hunter2"})

    events = store.get_events(only(store).run_id)
    assert "hunter2" not in "".join(one.data for one in events)
    assert payloads(events, "step_end") == [
        {"ssn": "[redacted]", "user": {"password": "[redacted]", "name": "Ada"}}
    ]
    assert seen[0].payload["ssn"] == "hunter2"


async def test_a_redaction_that_fails_hides_everything(
    store: StorageBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """When the hook raises or returns nonsense, the event is stored without content."""

    def broken(event: Event) -> Event:
        if event.type is EventType.START:
            raise KeyError("hunter2")
        return None  # type: ignore[return-value]

    with caplog.at_level(logging.WARNING, LOGGER):
        pipe = failing(storage=store, persist_redact=broken, log_state=False)
        await run(pipe, {"k": "hunter2"})

    found = only(store)
    data = "".join(one.data for one in store.get_events(found.run_id))
    assert "hunter2" not in data + caplog.text
    assert "boom" not in data + str(found.error_message)
    assert found.label == "failed"
    assert caplog.text.count("persist_redact") == 1


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("at", ["start", "step_end", "finish"])
async def test_a_base_exception_of_a_redaction_is_raised_after_finish(
    store: StorageBackend, kind: type[BaseException], at: str
) -> None:
    """The reader gets it; the run is stored, that event without content."""

    def interrupted(event: Event) -> Event:
        if event.type.value == at:
            raise kind("hunter2")
        return event

    pipe: AnyPipe = AnyPipe(storage=store, persist_redact=interrupted)
    pipe.step("s")(lambda state: None)
    seen: list[Event] = []

    with pytest.raises(kind):
        async with pipe.run({"k": "hunter2"}) as events:
            seen.extend([event async for event in events])

    found = only(store)
    stored = store.get_events(found.run_id)
    assert found.label == ("success" if at == "finish" else "failed")
    assert found.end_time is not None
    assert found.lost_events == 0
    assert stored[-1].event_type is EventType.FINISH
    assert [one.seq for one in stored] == list(range(1, len(stored) + 1))
    assert payloads(stored, at) == ["[redacted]"]


class Quitting(InMemoryBackend):
    """Raises SystemExit."""

    def append_events(self, run_id: str, events: Sequence[str]) -> None:
        raise SystemExit(3)


async def test_a_store_cannot_end_the_writer(caplog: pytest.LogCaptureFixture) -> None:
    """After a SystemExit in a store only the write is lost; the run and the thread go on."""
    store = Quitting()

    with caplog.at_level(logging.WARNING, LOGGER):
        for _ in range(2):
            assert (await run(counting_chain(storage=store)))[
                -1
            ].payload.status.value == "success"

    assert "has failed" in caplog.text


async def test_a_payload_has_a_limit(store: StorageBackend) -> None:
    """Of a larger payload only the beginning is stored, and its length."""
    pipe: AnyPipe = AnyPipe(storage=store, persist_limit=50)
    pipe.step("s")(lambda state: None)

    await run(pipe, ["x" * 100])

    (end,) = payloads(store.get_events(only(store).run_id), "step_end")
    assert end["$truncated"]["chars"] == 104
    assert end["$truncated"]["head"].startswith('["xxx')


async def test_an_unchanged_state_is_stored_once(tmp_path: Path) -> None:
    """Twenty steps that do not change a large state store it once."""
    pipe: AnyPipe = AnyPipe(storage=tmp_path)
    for n in range(20):
        pipe.step(f"s{n}", to=f"s{n + 1}" if n < 19 else None)(lambda state: None)
    state = [f"item {n}" for n in range(20_000)]

    await run(pipe, state)

    (info,) = PipelineRegistry(tmp_path).list_pipelines()
    reader = SQLiteBackend(info.path, read_only=True)
    events = reader.get_events(only(reader).run_id)
    assert payloads(events, "step_end") == [state] * 20
    stored = sum(sized(file) for file in created(info.path.parent))
    assert stored < 2 * len(json.dumps(state))


async def test_a_state_can_be_stored_as_its_changes(store: StorageBackend) -> None:
    """With ``diff`` the whole states are restored from the changes."""
    pipe = counting_chain(storage=store, persist_state="diff")
    big = {"n": 0, "big": list(range(100))}

    await run(pipe, dict(big))

    events = store.get_events(only(store).run_id)
    assert [s["n"] for _, s in states_of(events)] == [0, 1, 2, 3]
    assert all(s["big"] == big["big"] for _, s in states_of(events))
    assert payloads(events, "step_end")[1]["$changes"] == [[["n"], 2]]


async def test_a_state_can_be_left_out(store: StorageBackend) -> None:
    """With ``none`` no state is stored, and everything else is."""
    await run(counting_chain(storage=store, persist_state="none"), {"n": "secret"})

    events = store.get_events(only(store).run_id)
    assert "secret" not in "".join(one.data for one in events)
    assert payloads(events, "token") == ["a", "b", "c"]
    assert payloads(events, "step_end") == [None, None, None]


class Untouchable:
    """A state that notices when it is read."""

    looks = 0

    def __str__(self) -> str:
        type(self).looks += 1
        return "seen"


async def test_a_state_that_is_not_stored_is_not_read(
    store: StorageBackend,
) -> None:
    """With ``none`` the state costs nothing, however large it is."""
    before = Untouchable.looks

    await run(
        counting_chain(storage=store, persist_state="none"), {"it": Untouchable()}
    )

    assert Untouchable.looks == before


# -- which definition it was


async def test_a_description_is_stored_with_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder has the definition of the pipeline at its latest run."""
    monkeypatch.setenv("JUSTPIPE_ACTORS_STORAGE_PATH", str(tmp_path))
    registry = PipelineRegistry()
    for version in (1, 2):
        pipe = counting_chain(persist=True, metadata={"v": version, "odd": object()})
        await run(pipe)
        described = registry.describe_pipeline(pipe.pipeline_hash)
        assert described is not None
        assert described["metadata"]["v"] == version
        assert described["name"] == "chain"

    (info,) = registry.list_pipelines()
    assert info.name == "chain"
    assert sorted(p.name.split("-")[0] for p in created(info.path.parent)) == [
        "pipeline.json",
        "runs.db",
        "runs.db",
        "runs.db",
    ]
    newest, oldest = registry.list_all_runs()
    assert newest.run.fingerprint != oldest.run.fingerprint
    text = registry.get_backend(info.hash).get_definition(oldest.run.fingerprint or "")
    assert json.loads(text or "")["metadata"]["v"] == 1


async def test_a_fingerprint_tells_definitions_apart(tmp_path: Path) -> None:
    """Pipes with swapped routes share a folder and not a fingerprint; equal pipes share both."""

    def switching(yes: str, no: str) -> AnyPipe:
        pipe = AnyPipe(bool, name="H", storage=tmp_path)
        pipe.switch("r", to={True: yes, False: no})(lambda state: state)
        pipe.step("h1")(lambda: None)
        pipe.step("h2")(lambda: None)
        return pipe

    for pipe in (switching("h1", "h2"), switching("h2", "h1"), switching("h1", "h2")):
        assert pipe.pipeline_hash == "b16a1c71a7e2f927"
        await run(pipe, state=True)

    third, second, first = PipelineRegistry(tmp_path).list_all_runs()
    assert first.run.fingerprint == third.run.fingerprint != second.run.fingerprint


# -- crashes


VICTIM = """
    import sys
    from pathlib import Path
    import anyio
    from justpipe_actors import Pipe

    pipe = Pipe(dict, name="victim", storage=Path(sys.argv[1]), flush_interval=1)

    @pipe.step("work")
    async def work(state):
        for n in range(100):
            yield n
        print("ready", flush=True)
        await anyio.sleep_forever()

    async def main():
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(pipe.run({}).wait)

    anyio.run(main)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX signals")
def test_a_killed_process_leaves_a_correct_store(tmp_path: Path) -> None:
    """After SIGKILL every flushed event is there, and the runs are abandoned."""
    with started(code(dedent(VICTIM), str(tmp_path))) as victim:
        assert victim.stdout is not None
        for _ in range(3):
            assert victim.stdout.readline() == "ready\n"
        registry = PipelineRegistry(tmp_path)
        while len(complete := flushed(registry)) < 3:
            assert victim.poll() is None
        victim.send_signal(signal.SIGKILL)

    runs = registry.list_all_runs()
    assert [one.run.status for one in runs] == [OpenStatus.ABANDONED] * 3
    assert {one.run.run_id for one in runs} == complete
    reader = registry.get_backend(runs[0].pipeline_hash)
    for one in runs:
        events = reader.get_events(one.run.run_id)
        assert [e.seq for e in events] == list(range(1, len(events) + 1))
        assert payloads(events, "token") == list(range(100))

    # The next run of the same pipe writes it down for good.
    writer = registry.get_backend(runs[0].pipeline_hash, read_only=False)
    assert writer.mark_abandoned() == 3
    writer.close()
    assert reader.summarize_runs(RunQuery()).counts == {"abandoned": 3}


def flushed(registry: PipelineRegistry) -> set[str]:
    """Return the running runs whose last token can be read."""
    found: set[str] = set()
    for one in registry.list_all_runs(status=OpenStatus.RUNNING):
        store = registry.get_backend(one.pipeline_hash)
        if store.count_events(one.run.run_id).get("token") == 100:
            found.add(one.run.run_id)
    return found


QUITTER = """
    import sys
    from pathlib import Path
    import anyio
    from justpipe_actors import Pipe

    pipe = Pipe(dict, name="quitter", storage=Path(sys.argv[1]))
    @pipe.step("wait")
    async def wait(state):
        await anyio.sleep_forever()

    async def main():
        async for event in pipe.run({}):
            if event.type.value == "step_start":
                sys.exit(7)

    anyio.run(main)
"""


@pytest.mark.slow
def test_a_program_that_exits_stores_its_run(tmp_path: Path) -> None:
    """SystemExit in the consumer ends the run, and it is stored before the process ends."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", dedent(QUITTER), str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 7, done.stderr
    (one,) = PipelineRegistry(tmp_path).list_all_runs()
    assert one.run.label in ("client_closed", "cancelled")
