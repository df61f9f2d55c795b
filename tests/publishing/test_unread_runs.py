"""Runs that are only waited for: their events are counted, and built for late readers.

What becomes of an event is decided in ``_publishing/lazy_events.py``.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from itertools import count
from types import FrameType
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tests.helpers import AnyPipe

from justpipe_actors import Event, Pipe, Supervisor
from justpipe_actors._publishing import event_publisher, lazy_events
from justpipe_actors._publishing.lazy_events import Visibility, visibility_of
from justpipe_actors.observability import Observer


def nested() -> AnyPipe:
    """Return a pipe whose only step runs a pipe that streams."""
    innermost: AnyPipe = Pipe(dict, name="innermost")

    @innermost.step
    async def deep(state: Any) -> AsyncIterator[str]:
        yield "from below"

    pipe: AnyPipe = Pipe(dict, name="nested")
    pipe.sub("below", pipeline=innermost)(lambda state: state)
    return pipe


def everything() -> AnyPipe:
    """Return a pipe with a stream, a map and two levels of pipes below."""
    pipe: AnyPipe = Pipe(dict, name="everything")

    @pipe.step(to="each")
    async def stream(state: Any) -> AsyncIterator[int]:
        for number in range(3):
            yield number

    pipe.map("each", each="worker", to="child", max_concurrency=1)(lambda: range(3))

    @pipe.step
    async def worker(state: Any, item: int) -> None:
        await checkpoint()

    pipe.sub("child", pipeline=nested(), to="last")(lambda state: state)

    @pipe.step
    async def last(state: Any) -> None:
        if (go := state.get("go")) is not None:
            await go.wait()

    return pipe


def comparable(event: Event) -> Event:
    """Return an event without what differs from run to run: ids, times and durations."""
    framework = {**event.meta["framework"], "duration_s": 0} if event.meta else None

    def shorten(name: str | None) -> str | None:
        return name and name.partition(":")[2]

    return replace(
        event,
        timestamp=0.0,
        run_id="",
        origin_run_id=str(event.origin_run_id == event.run_id),
        parent_run_id=str(event.parent_run_id is not None),
        invocation_id=shorten(event.invocation_id),
        parent_invocation_id=shorten(event.parent_invocation_id),
        owner_invocation_id=shorten(event.owner_invocation_id),
        payload=None if isinstance(event.payload, dict) else str(type(event.payload)),
        meta={**event.meta, "framework": framework} if event.meta else None,
    )


async def all_of(events: AsyncIterator[Event]) -> list[Event]:
    """Read to the end."""
    return [event async for event in events]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that gets the fields of each event that is built."""
    fields: list[Any] = []
    fill = lazy_events.fill_event

    def fill_counted(event: Event, content: Any) -> None:
        fields.append(content)
        fill(event, content)

    monkeypatch.setattr(lazy_events, "fill_event", fill_counted)
    monkeypatch.setattr(event_publisher, "fill_event", fill_counted)
    return fields


# -- what is built


async def wait_alone() -> None:
    """Wait for a run of its own."""
    await everything().run({}).wait()


async def wait_for_the_result() -> None:
    """Wait for the state."""
    assert await everything().run({}).result() == {}


async def wait_in_a_supervisor() -> None:
    """Wait for a run whose last events are kept for listeners."""
    async with Supervisor() as supervisor:
        await supervisor.run(everything(), {}).wait()


async def wait_for_a_submitted_run() -> None:
    """Wait for a run that keeps events for later readers."""
    async with Supervisor() as supervisor:
        await (await supervisor.submit(everything(), {})).wait()


async def submit_and_leave() -> None:
    """Leave a run to its supervisor."""
    async with Supervisor() as supervisor:
        await supervisor.submit(everything(), {})


UNREAD = (
    wait_alone,
    wait_for_the_result,
    wait_in_a_supervisor,
    wait_for_a_submitted_run,
    submit_and_leave,
)


@pytest.mark.parametrize("run", UNREAD)
async def test_no_event_is_built_that_is_not_read(
    run: Callable[[], Awaitable[None]], built: list[Any]
) -> None:
    """A run that is only waited for, or left alone, builds no event objects."""
    await run()
    assert built == []


async def test_a_run_that_is_read_builds_each_event_once(built: list[Any]) -> None:
    """This shows that the counter of the other tests works."""
    events = await all_of(everything().run({}))
    own = [event for event in events if event.parent_run_id is None]
    assert len(own) <= len(built)


@pytest.mark.parametrize(
    ("is_observed", "is_kept", "sink", "expected"),
    [
        (True, False, Visibility.COUNTED, Visibility.BUILT),
        (False, False, Visibility.COUNTED, Visibility.COUNTED),
        (False, True, Visibility.COUNTED, Visibility.KEPT),
        (False, False, Visibility.KEPT, Visibility.KEPT),
        (False, True, Visibility.BUILT, Visibility.BUILT),
    ],
)
def test_events_are_built_for_present_readers_and_kept_for_late_ones(
    is_observed: bool, is_kept: bool, sink: Visibility, expected: Visibility
) -> None:
    """Events are built for present readers, kept for later ones, and else only counted."""
    found = visibility_of(is_observed=is_observed, is_kept=is_kept, sink=sink)
    assert found is expected


# -- what can be seen of a run that is not read


async def test_finish_of_an_unread_run_counts_all_events() -> None:
    """The figures include events that were never built."""
    events = await all_of(everything().run({}))
    expected = events[-1].payload.metrics
    end = await everything().run({}).wait()

    assert end.metrics is not None
    assert end.metrics.events == expected.events
    assert end.metrics.maps == expected.maps
    assert list(end.metrics.step_latency) == list(expected.step_latency)
    assert (end.metrics.tokens, end.metrics.queue.max_depth) == (4, 0)


async def test_a_late_listener_reads_the_same_events_as_a_consumer() -> None:
    """The events have the numbers and contents of those of a run that is read."""
    expected = [comparable(event) for event in await all_of(everything().run({}))]
    state: Any = {"go": anyio.Event()}
    async with (
        Supervisor() as supervisor,
        anyio.create_task_group() as tasks,
        supervisor.run(everything(), state) as run,
    ):
        tasks.start_soon(run.wait)
        await anyio.wait_all_tasks_blocked()
        listener = supervisor.listen(run.run_id)
        state["go"].set()
        events = await all_of(listener)

    assert [comparable(event) for event in events] == expected


async def test_a_late_reader_of_a_submitted_run_reads_all_of_it() -> None:
    """A second reader gets equal events."""
    expected = [comparable(event) for event in await all_of(everything().run({}))]
    async with Supervisor() as supervisor:
        run = await supervisor.submit(everything(), {})
        await run.wait()
        events, again = await all_of(aiter(run)), await all_of(aiter(run))

    assert [comparable(event) for event in events] == expected
    assert again == events
    assert run.kept_events() == tuple(events)


async def test_hooks_and_observers_see_every_event_of_an_unread_run() -> None:
    """They see what they see of a run that is read."""

    class Watch(Observer):
        async def on_event(self, *arguments: Any) -> None:
            observed.append(comparable(arguments[-1]))

    def hook(event: Event) -> Event:
        hooked.append(comparable(event))
        return event

    async def run_hooked(*, is_read: bool) -> tuple[list[Event], list[Event]]:
        hooked.clear()
        observed.clear()
        pipe = everything()
        pipe.add_event_hook(hook)
        pipe.add_observer(Watch())
        if is_read:
            await all_of(pipe.run({}))
        else:
            await pipe.run({}).wait()
        return list(hooked), list(observed)

    hooked: list[Event] = []
    observed: list[Event] = []
    assert await run_hooked(is_read=False) == await run_hooked(is_read=True)


# -- readers that come and go


async def test_a_reader_after_a_cancelled_wait_gets_later_events_only() -> None:
    """Events that were published while the run was only waited for are not in its stream."""
    go: Any = anyio.Event()
    async with everything().run({"go": go}) as run:
        with anyio.move_on_after(1) as limit:
            await run.wait()
        assert limit.cancelled_caught
        assert run.snapshot().buffered == 0
        go.set()
        events = await all_of(run)

    total = sum(events[-1].payload.metrics.events.values()) + 1  # FINISH is not in it
    numbers = [event.seq for event in events]
    assert [event.stage for event in events] == ["last", "system"]
    assert numbers == [total - 1, total]


async def test_waiting_for_a_run_that_another_task_reads_is_refused() -> None:
    """The reader goes on and misses nothing."""
    go: Any = anyio.Event()
    events: list[Event] = []

    async def read() -> None:
        events.extend(await all_of(run))

    async with everything().run({"go": go}) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="reading this run already"):
            await run.wait()
        go.set()

    assert [event.seq for event in events] == list(range(1, len(events) + 1))


async def test_a_stream_that_never_waits_lets_others_run() -> None:
    """A step that only yields does not prevent the cancellation of the waiting task."""
    pipe: AnyPipe = Pipe(dict, queue_size=0)

    @pipe.step
    async def endless(state: Any) -> AsyncIterator[int]:
        for number in count():
            yield number

    async def cancel() -> None:
        assert not run.snapshot().is_parked
        run.cancel("enough")

    run = pipe.run({})
    async with anyio.create_task_group() as tasks, run:
        tasks.start_soon(cancel)
        end = await run.wait()

    assert end.error == "enough"


# -- what it costs


def chain(length: int) -> AnyPipe:
    """Return a pipe of steps in a row."""
    pipe: AnyPipe = Pipe(dict, name="chain")

    async def step(state: Any) -> None:
        pass

    for number in range(length):
        to = f"s{number + 1}" if number + 1 < length else None
        pipe.step(name=f"s{number}", to=to)(step)
    return pipe


async def calls_of(run: Callable[[], Awaitable[object]]) -> int:
    """Return how many Python functions are called in the second of two runs."""
    calls = 0

    def count_call(frame: FrameType, event: str, arg: object) -> None:
        nonlocal calls
        calls += event == "call"

    await run()  # compiles the pipe
    sys.setprofile(count_call)
    try:
        await run()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_step_of_an_unread_run_takes_few_calls(backend: str) -> None:
    """A step takes at most 50 calls, and one of a run that is read no more than before.

    These were 64 and 67 when every event was built.  A profiler counts the calls, so
    the load of the machine changes little.
    """
    pipe = chain(200)
    waited = anyio.run(calls_of, lambda: pipe.run({}).wait(), backend=backend)
    read = anyio.run(calls_of, lambda: all_of(pipe.run({})), backend=backend)

    assert waited / 200 <= 50
    assert read / 200 <= 63
