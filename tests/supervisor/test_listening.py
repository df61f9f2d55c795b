"""``supervisor.listen``: any number of readers of a run, in whichever process it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from justpipe_actors import Event, EventType, Pipe, Supervisor, ask
from justpipe_actors.codec import to_text
from justpipe_actors.errors import UnknownRunError
from justpipe_actors.journals import MemoryJournal
from justpipe_actors.outcomes import PipelineTerminalStatus
from justpipe_actors.records import OpenStatus, RunRecord
from justpipe_actors.storage import InMemoryBackend
from justpipe_actors.storage.queries import this_owner


def counting(count: int, **options: Any) -> Pipe[Any, Any]:
    """Return a pipe that yields numbers, waits for ``state["go"]`` and yields again."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="counting", **options)

    @pipe.step
    async def talk(state: dict[str, Any]) -> AsyncIterator[int]:
        for number in range(count):
            yield number
        await state["go"].wait()
        for number in range(count):
            yield -number

    return pipe


def numbers(events: list[Event]) -> list[int | None]:
    """Return the numbers of events."""
    return [event.seq for event in events]


def gaps(events: list[Event]) -> list[Any]:
    """Return the events that report a gap."""
    return [event.payload for event in events if event.type is EventType.GAP]


async def all_of(events: AsyncIterator[Event]) -> list[Event]:
    """Read to the end."""
    return [event async for event in events]


async def some_of(events: AsyncIterator[Event], count: int) -> list[Event]:
    """Read some events and leave."""
    return [await anext(events) for _ in range(count)]


async def test_every_reader_gets_every_event() -> None:
    """Early and late readers read the run from START to FINISH, as its consumer does."""
    pipe, go = counting(3), anyio.Event()
    read: dict[str, list[Event]] = {}

    async with Supervisor(pipe) as supervisor, anyio.create_task_group() as tasks:

        async def reader(name: str) -> None:
            read[name] = await all_of(supervisor.listen("r"))

        async def consume() -> None:
            async with supervisor.run(pipe, {"go": go}, run_id="r") as run:
                read["consumer"] = [event async for event in run]

        tasks.start_soon(consume)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(reader, "early")
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(reader, "late")
        await anyio.wait_all_tasks_blocked()
        go.set()

    assert numbers(read["consumer"]) == list(range(1, 11))
    assert read["early"] == read["late"] == read["consumer"]


async def test_readers_that_wait_for_an_event_get_the_same_one() -> None:
    """It is built once, so that what they make of it can be shared, too."""
    pipe, go = counting(1), anyio.Event()
    read: list[list[Event]] = []

    async def reader() -> None:
        read.append(await all_of(supervisor.listen("r")))

    async with Supervisor(pipe) as supervisor, anyio.create_task_group() as tasks:
        await supervisor.submit(pipe, {"go": go}, run_id="r")
        for _ in range(3):
            tasks.start_soon(reader)
        await anyio.wait_all_tasks_blocked()
        go.set()

    first, *others = read
    awaited = next(place for place, event in enumerate(first) if event.payload == 0) + 1
    assert [events == first for events in others] == [True, True]
    assert [events[awaited] is first[awaited] for events in others] == [True, True]


async def test_a_reader_resumes_after_the_last_event_it_read() -> None:
    """The number of that event, or its text, is where the stream goes on."""
    pipe, go = counting(3), anyio.Event()
    async with Supervisor(pipe) as supervisor:
        await supervisor.submit(pipe, {"go": go}, run_id="r")
        begin = await some_of(supervisor.listen("r"), 4)
        go.set()
        rest = await all_of(supervisor.listen("r", begin[-1].seq))
        as_text = await all_of(supervisor.listen("r", str(begin[-1].seq)))

    assert numbers(begin + rest) == list(range(1, 11))
    assert as_text == rest


async def test_a_reader_that_never_reads_delays_no_run() -> None:
    """The run ends, and a GAP tells that reader what it missed."""
    pipe, go = counting(50), anyio.Event()
    async with Supervisor(pipe, keep=10) as supervisor:
        run = await supervisor.submit(pipe, {"go": go}, run_id="r", queue_size=10)
        lazy = supervisor.listen("r")
        go.set()
        await run.wait()
        read = await all_of(lazy)

    assert read[-1].type is EventType.FINISH
    assert gaps(read)
    told = [event.seq for event in read if event.seq is not None]
    for gap in gaps(read):
        told.extend(range(gap["from"], gap["to"] + 1))
    assert sorted(told) == list(range(1, 105))


async def test_a_late_reader_gets_a_gap_where_no_events_were_kept() -> None:
    """With ``keep=0`` nothing is kept before the first reader comes: a GAP, then the rest."""
    pipe, go = counting(3), anyio.Event()
    read: list[Event] = []
    async with Supervisor(pipe, keep=0) as supervisor:

        async def reader() -> None:
            read.extend(await all_of(supervisor.listen("r")))

        async with anyio.create_task_group() as tasks:

            async def consume() -> None:
                async with supervisor.run(pipe, {"go": go}, run_id="r") as run:
                    _ = [event async for event in run]

            tasks.start_soon(consume)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(reader)
            await anyio.wait_all_tasks_blocked()
            go.set()

    assert gaps(read) == [{"from": 1, "to": 5}]
    assert read[0].type is EventType.GAP
    assert read[0].seq is None
    assert numbers(read[1:]) == [6, 7, 8, 9, 10]


async def test_an_ended_run_is_read_from_its_store(tmp_path: Path) -> None:
    """Days later the events come from the store of the pipe, all of them or after a number."""
    pipe, go = counting(3, storage=tmp_path), anyio.Event()
    go.set()
    async with Supervisor(pipe) as supervisor, supervisor.run(pipe, {"go": go}) as run:
        live = [event async for event in run]
        run_id = run.run_id
    async with Supervisor(pipe) as supervisor:
        stored = await all_of(supervisor.listen(run_id))
        rest = await all_of(supervisor.listen(run_id, 7))
        nothing = await all_of(supervisor.listen(run_id, 10))

    assert numbers(stored) == numbers(live)
    assert [event.type for event in stored] == [event.type for event in live]
    assert to_text(stored[-1].payload) == to_text(live[-1].payload)
    assert rest == stored[7:]
    assert nothing == []


async def test_events_that_are_not_kept_come_from_the_store() -> None:
    """A late reader of a stored run gets everything, however little is kept in memory."""
    pipe, go = counting(40, storage=InMemoryBackend()), anyio.Event()
    async with Supervisor(pipe, keep=2) as supervisor:
        run = await supervisor.submit(pipe, {"go": go}, run_id="r", queue_size=2)
        await anyio.wait_all_tasks_blocked()
        early = await some_of(supervisor.listen("r"), 30)
        go.set()
        late = await all_of(supervisor.listen("r", early[-1].seq))
        await run.wait()

    assert gaps(early + late) == []
    assert numbers(early + late) == list(range(1, 85))


def stored_text(number: int, kind: str, stage: str = "step") -> str:
    """Return an event in the form of the store."""
    event = Event(EventType(kind), stage, seq=number, run_id="far", timestamp=1.0)
    return to_text(event)


class CountingStore(InMemoryBackend):
    """Counts how often events are asked for."""

    looks = 0

    def get_events(self, *args: Any, **options: Any) -> Any:
        """Return events."""
        self.looks += 1
        return super().get_events(*args, **options)


def far_run(store: InMemoryBackend) -> RunRecord:
    """Begin a run of another process in a store."""
    record = RunRecord(
        "far", datetime.now(UTC), None, None, OpenStatus.RUNNING, owner=this_owner()
    )
    store.begin_run(record)
    store.append_events("far", [stored_text(1, "start", "system")])
    return record


async def until(condition: Callable[[], bool]) -> None:
    """Wait until an event that a poller reads has arrived."""
    with anyio.fail_after(30):
        while not condition():  # noqa: ASYNC110 - a poller tells nobody
            await anyio.sleep(0.01)


async def test_readers_of_another_processes_run_share_one_poller() -> None:
    """They end with the run."""
    store = CountingStore()
    pipe = counting(1, storage=store)
    record = far_run(store)
    read: dict[int, list[Event]] = {0: [], 1: [], 2: []}

    async def reader(supervisor: Supervisor, index: int) -> None:
        async for event in supervisor.listen("far"):
            read[index].append(event)

    async with Supervisor(pipe) as supervisor, anyio.create_task_group() as tasks:
        for index in read:
            tasks.start_soon(reader, supervisor, index)
        await until(lambda: all(read.values()))
        store.append_events("far", [stored_text(2, "token")])
        await until(lambda: all(len(events) == 2 for events in read.values()))
        before = store.looks
        await anyio.sleep(0.6)
        assert store.looks - before <= 4
        ended = replace(record, status=PipelineTerminalStatus.SUCCESS)
        store.save_run(ended, [stored_text(3, "token")])

    assert [numbers(events) for events in read.values()] == [[1, 2, 3]] * 3


async def test_lost_events_of_a_stored_run_are_a_gap() -> None:
    """Events that the store does not have are reported, also in the middle."""
    store = InMemoryBackend()
    far_run(store)
    store.append_events("far", [stored_text(4, "token"), stored_text(5, "token")])
    async with Supervisor(counting(1, storage=store)) as supervisor:
        events = await some_of(supervisor.listen("far"), 4)

    assert numbers(events) == [1, None, 4, 5]
    assert gaps(events) == [{"from": 2, "to": 3}]


async def test_a_new_incarnation_is_no_gap() -> None:
    """Numbers jump at RECOVERED, and no event is missing there."""
    store = InMemoryBackend()
    far_run(store)
    again = (1 << 40) + 1
    store.append_events(
        "far",
        [stored_text(again, "recovered", "system"), stored_text(again + 1, "token")],
    )
    async with Supervisor(counting(1, storage=store)) as supervisor:
        events = await some_of(supervisor.listen("far"), 3)
        resumed = await some_of(supervisor.listen("far", 1), 2)

    assert numbers(events) == [1, again, again + 1]
    assert resumed == events[1:]


async def test_unknown_runs_and_numbers_are_refused_at_once() -> None:
    """An unknown run, or an argument that is no number, raises where ``listen`` is called."""
    async with Supervisor(counting(1)) as supervisor:
        with pytest.raises(UnknownRunError, match=r"'nowhere'.*Supervisor\(keep=\)"):
            supervisor.listen("nowhere")
        with pytest.raises(ValueError, match="Last-Event-ID"):
            supervisor.listen("nowhere", "first")
        for number in (-1, 2**63, "9" * 5_000, "١"):
            with pytest.raises(ValueError, match="Last-Event-ID"):
                supervisor.listen("nowhere", number)


async def test_readers_end_with_the_supervisor() -> None:
    """A reader that waits for another process's run ends when the block is left."""
    store = InMemoryBackend()
    far_run(store)
    pipe = counting(1, storage=store)
    read: list[Event] = []
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks, Supervisor(pipe) as supervisor:

            async def reader() -> None:
                async for event in supervisor.listen("far"):
                    read.append(event)

            tasks.start_soon(reader)
            await until(lambda: bool(read))

    assert numbers(read) == [1]


async def test_a_reader_can_be_dropped_at_any_time() -> None:
    """A cancelled reader leaves nothing behind, and the others go on."""
    pipe, go = counting(2), anyio.Event()
    async with Supervisor(pipe) as supervisor:
        await supervisor.submit(pipe, {"go": go}, run_id="r")
        for _ in range(3):
            with anyio.move_on_after(0.01):
                await all_of(supervisor.listen("r"))
        go.set()
        assert (await all_of(supervisor.listen("r")))[-1].type is EventType.FINISH


async def test_a_reader_misses_nothing_of_a_run_that_is_taken_up_here() -> None:
    """It reads a waiting run from its first event in this process, however short the run is."""
    journal = MemoryJournal()
    pipe: Pipe[Any, Any] = Pipe(dict, name="asking")

    @pipe.step
    async def step(state: dict[str, Any]) -> None:
        state["answer"] = await ask(str, "What?", key="what")

    read: list[Event] = []

    async with Supervisor(pipe, journal=journal, grace=0) as supervisor:
        async for event in await supervisor.submit(pipe, {}, run_id="r"):
            if event.type is EventType.ASK:
                break
    async with Supervisor(pipe, journal=journal) as supervisor:
        assert not supervisor.snapshot().runs
        async with anyio.create_task_group() as tasks:

            async def reader() -> None:
                read.extend(await all_of(supervisor.listen("r")))

            tasks.start_soon(reader)
            await supervisor.answer("r:step:what", "this")
        again = await all_of(supervisor.listen("r"))

    assert read[0].type is EventType.RECOVERED
    assert read[-1].type is EventType.FINISH
    assert again == read
