"""How a run adapts to a slow consumer, and how much it does at the same time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from justpipe_actors import Event, EventType, Pipe
from justpipe_actors.types import PipelineTerminalStatus

from ..helpers import end_of, event_words


AnyPipe = Pipe[Any, Any]
Work = Callable[[int], Any]

SUCCESS = PipelineTerminalStatus.SUCCESS
FAILED = PipelineTerminalStatus.FAILED


async def let_others_run() -> None:
    """Let all tasks run until they wait."""
    for _ in range(50):
        await checkpoint()


def mapping(source: Callable[[], Any], work: Work, **options: Any) -> AnyPipe:
    """Return a pipe that maps ``work`` over a source and then runs "after"."""
    pipe: AnyPipe = Pipe(dict, **options)
    over(pipe, source, work)
    return pipe


def over(
    pipe: AnyPipe, source: Callable[[], Any], work: Work, window: int | None = None
) -> None:
    """Add a map from a source to a worker, with a step after it."""
    pipe.map("source", each="work", to="after", max_concurrency=window)(source)
    pipe.step("work")(work)

    @pipe.step("after")
    async def after() -> AsyncIterator[str]:
        yield "after"


def types_of(events: list[Event], stage: str) -> list[EventType]:
    """Return the types of one step's events."""
    return [event.type for event in events if event.stage == stage]


# -- the event stream


@pytest.mark.parametrize("structured", [True, False])
async def test_a_buffer_of_one_is_exact(structured: bool) -> None:
    """With ``queue_size=1`` each read lets a stream go on by one item."""
    made: list[int] = []
    pipe: AnyPipe = Pipe(dict)

    @pipe.step
    async def count() -> AsyncIterator[int]:
        for number in range(6):
            made.append(number)
            yield number

    async def consume() -> None:
        assert (await anext(run)).type is EventType.START
        await let_others_run()
        assert made == [0]
        assert (await anext(run)).type is EventType.STEP_START
        for number in range(5):
            await let_others_run()
            assert made == list(range(number + 2))
            assert (await anext(run)).payload == number
        rest = [event.type.name async for event in run]
        assert rest == ["TOKEN", "STEP_END", "FINISH"]

    run = pipe.run({}, queue_size=1)
    if structured:
        async with run:
            await consume()
    else:
        await consume()


async def test_nothing_starts_before_start_is_read() -> None:
    """With ``queue_size=1`` no step begins before the consumer has read START."""
    begun: list[str] = []
    pipe: AnyPipe = Pipe(dict)

    @pipe.step
    def step() -> None:
        begun.append("step")

    async with pipe.run({}, queue_size=1) as run:
        await let_others_run()
        assert begun == []
        assert run.snapshot().buffered == 1
        await anext(run)
        await let_others_run()
        assert begun == ["step"]


@pytest.mark.parametrize("queue_size", [1, 2, 10])
async def test_a_bounded_buffer_stays_bounded(queue_size: int) -> None:
    """Of 200 tokens never more than ``queue_size`` wait for the reader."""
    pipe: AnyPipe = Pipe(dict)
    waiting: list[int] = []

    @pipe.step
    async def count() -> AsyncIterator[int]:
        for number in range(200):
            waiting.append(run.snapshot().buffered)
            yield number

    async with pipe.run({}, queue_size=queue_size) as run:
        tokens = [e.payload async for e in run if e.type is EventType.TOKEN]
    assert tokens == list(range(200))
    assert max(waiting) == queue_size


async def test_an_unbounded_buffer_never_blocks() -> None:
    """With ``queue_size=0`` a step streams to its end although no event is read."""
    pipe: AnyPipe = Pipe(dict)
    ended = anyio.Event()

    @pipe.step
    async def count() -> AsyncIterator[int]:
        for number in range(2000):
            yield number
        ended.set()

    async with pipe.run({}, queue_size=0) as run:
        with anyio.fail_after(30):
            await ended.wait()
        events = [event async for event in run]
    assert len(events) == 2000 + 4


async def test_a_slow_consumer_delays_only_its_run() -> None:
    """Other runs of the same pipe go on."""
    pipe: AnyPipe = Pipe(dict, queue_size=1)

    @pipe.step
    async def count() -> AsyncIterator[int]:
        for number in range(100):
            yield number

    async with pipe.run({}) as stalled:
        await anext(stalled)
        for _ in range(3):
            async with pipe.run({}) as run:
                assert len([event async for event in run]) == 104
        assert len([event async for event in stalled]) == 103


# -- maps


@pytest.mark.slow
async def test_a_map_larger_than_the_buffer_completes() -> None:
    """A map of 5,000 items completes with a buffer of ten events: no deadlock in the engine."""
    worked: list[int] = []
    pipe = mapping(lambda: list(range(5000)), lambda item: worked.append(item))

    async with pipe.run({}, queue_size=10) as run:
        events = [event async for event in run]
    assert end_of(events).status is SUCCESS
    assert sorted(worked) == list(range(5000))
    assert types_of(events, "work").count(EventType.STEP_END) == 5000
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


@pytest.mark.parametrize("lazy", [True, False])
async def test_a_map_completes_with_a_buffer_of_one(lazy: bool) -> None:
    """Its workers stream, and one event has room."""

    async def work(item: int) -> AsyncIterator[int]:
        yield item
        await checkpoint()
        yield item

    def source() -> Any:
        return iter(range(200)) if lazy else range(200)

    async with mapping(source, work).run({}, queue_size=1) as run:
        events = [event async for event in run]
    assert end_of(events).status is SUCCESS
    assert types_of(events, "work").count(EventType.TOKEN) == 400
    assert types_of(events, "after") == [
        EventType.STEP_START,
        EventType.TOKEN,
        EventType.STEP_END,
    ]


@pytest.mark.slow
async def test_a_hundred_thousand_items_are_not_tasks() -> None:
    """A map of 100,000 items needs only a few tasks."""
    tasks: list[int] = []
    worked = 0

    async def work(item: int) -> None:
        nonlocal worked
        worked += 1
        if item % 1000 == 0:
            tasks.append(len(anyio.get_running_tasks()))
        if item % 10 == 0:
            await checkpoint()

    pipe: AnyPipe = Pipe(dict)
    over(pipe, lambda: range(100_000), work, window=50)
    before = len(anyio.get_running_tasks())
    end = await pipe.run({}).wait()
    assert end.status is SUCCESS
    assert worked == 100_000
    assert max(tasks) - before <= 60
    assert end.metrics is not None
    assert end.metrics.tasks.peak_active <= 60


async def test_workers_that_never_wait_share_their_tasks() -> None:
    """A thousand such workers need only a few tasks, whatever ``max_concurrency``."""
    tasks: list[int] = []
    before = len(anyio.get_running_tasks())
    pipe = mapping(
        lambda: range(1000), lambda item: tasks.append(len(anyio.get_running_tasks()))
    )
    async with pipe.run({}, queue_size=0) as run:
        end = await run.wait()
    assert end.status is SUCCESS
    assert len(tasks) == 1000
    assert max(tasks) - before <= 25


@pytest.mark.parametrize("window", [1, 3, 8])
async def test_max_concurrency_is_exact(window: int) -> None:
    """A map keeps that many workers busy while it has items, and never one more."""
    busy = 0
    peaks: list[int] = []

    async def work(item: int) -> None:
        nonlocal busy
        busy += 1
        peaks.append(busy)
        for _ in range(30):
            await checkpoint()
        busy -= 1

    pipe: AnyPipe = Pipe(dict)
    over(pipe, lambda: range(40), work, window)
    async with pipe.run({}) as run:
        end = await run.wait()
    assert end.status is SUCCESS
    assert len(peaks) == 40
    assert max(peaks) == window


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_source_is_read_lazily(kind: str) -> None:
    """A map takes as many items as may be at work, and another one when one has ended."""
    produced: list[int] = []
    turns = [anyio.Event() for _ in range(20)]

    def numbers() -> Iterator[int]:
        for number in range(20):
            produced.append(number)
            yield number

    async def async_numbers() -> AsyncIterator[int]:
        for number in numbers():
            await checkpoint()
            yield number

    async def work(item: int) -> None:
        await turns[item].wait()

    pipe: AnyPipe = Pipe(dict)
    over(pipe, numbers if kind == "sync" else async_numbers, work, 4)
    async with pipe.run({}) as run:
        await let_others_run()
        assert produced == [0, 1, 2, 3]
        turns[2].set()
        await let_others_run()
        assert produced == [0, 1, 2, 3, 4]
        for turn in turns:
            turn.set()
        end = await run.wait()
    assert end.status is SUCCESS
    assert produced == list(range(20))


async def test_a_source_waits_for_the_reader() -> None:
    """A map whose events are not read stops reading its source."""
    produced: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(500):
            produced.append(number)
            yield number

    async with mapping(numbers, lambda item: None).run({}, queue_size=5) as run:
        await anext(run)
        await let_others_run()
        ahead = len(produced)
        await let_others_run()
        assert len(produced) == ahead <= 6
        end = await run.wait()
    assert end.status is SUCCESS
    assert len(produced) == 500


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_an_endless_source_is_closed(kind: str) -> None:
    """When the consumer leaves, the run closes the source."""
    log: list[str] = []

    def numbers() -> Iterator[int]:
        number = 0
        try:
            while True:
                yield number
                number += 1
        finally:
            log.append("closed")

    async def async_numbers() -> AsyncIterator[int]:
        number = 0
        try:
            while True:
                yield number
                number += 1
        finally:
            with anyio.CancelScope(shield=True):
                await checkpoint()
            log.append("closed")

    async def work(item: int) -> AsyncIterator[int]:
        yield item

    pipe: AnyPipe = Pipe(dict)
    over(pipe, numbers if kind == "sync" else async_numbers, work, 4)
    async with pipe.run({}, queue_size=3) as run:
        tokens = 0
        async for event in run:
            tokens += event.type is EventType.TOKEN
            if tokens == 20:
                break
    assert log == ["closed"]


async def test_a_list_beyond_max_map_items_starts_nothing() -> None:
    """A source with a known length fails the map before any worker starts."""
    worked: list[int] = []
    pipe = mapping(
        lambda: list(range(11)), lambda item: worked.append(item), max_map_items=10
    )
    async with pipe.run({}) as run:
        events = [event async for event in run]
    assert worked == []
    assert types_of(events, "source") == [EventType.STEP_START, EventType.STEP_ERROR]
    assert types_of(events, "after") == []
    end = end_of(events)
    assert end.status is FAILED
    assert end.failed_step == "source"
    assert "exceeded maximum of 10 items" in str(end.error)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_generator_beyond_max_map_items_fails_its_map(kind: str) -> None:
    """The map fails after the workers that have already started."""
    worked: list[int] = []

    async def async_numbers() -> AsyncIterator[int]:
        for number in range(1000):
            yield number

    async def work(item: int) -> None:
        await checkpoint()
        worked.append(item)

    source = async_numbers if kind == "async" else lambda: iter(range(1000))
    async with mapping(source, work, max_map_items=10).run({}) as run:
        events = [event async for event in run]
    assert sorted(worked) == list(range(10))
    event_words = [e.type for e in events if e.stage in ("source", "work")]
    assert event_words.count(EventType.STEP_END) == 10
    assert event_words[-1] is EventType.STEP_ERROR
    end = end_of(events)
    assert end.status is FAILED
    assert end.failed_step == "source"
    assert "exceeded maximum of 10 items" in str(end.error)


@pytest.mark.parametrize("lazy", [True, False])
async def test_exactly_max_map_items_is_allowed(lazy: bool) -> None:
    """This holds for a source with and without a length."""
    worked: list[int] = []

    def source() -> Any:
        return iter(range(10)) if lazy else list(range(10))

    pipe = mapping(source, lambda item: worked.append(item), max_map_items=10)
    async with pipe.run({}) as run:
        end = await run.wait()
    assert end.status is SUCCESS
    assert sorted(worked) == list(range(10))


# -- chains


@pytest.mark.slow
async def test_a_chain_of_five_thousand_steps_runs() -> None:
    """Neither validation nor the run is recursive."""
    passed: list[int] = []
    pipe: AnyPipe = Pipe(dict)

    def link(number: int) -> Callable[[], None]:
        return lambda: passed.append(number)

    for number in range(5000):
        following = f"s{number + 1}" if number < 4999 else None
        pipe.step(f"s{number}", to=following)(link(number))
    pipe.validate()
    async with pipe.run({}, queue_size=10) as run:
        end = await run.wait()
    assert end.status is SUCCESS
    assert passed == list(range(5000))


async def test_a_step_that_is_admitted_and_cancelled_at_once_does_not_begin() -> None:
    """The buffer got room in the same turn in which the run was cancelled."""
    called: list[str] = []
    pipe: AnyPipe = Pipe(None, queue_size=1)
    pipe.step("a")(lambda: called.append("a"))

    async with pipe.run(None) as run:
        await anext(run)  # START; from now on there is room for STEP_START
        run.cancel("enough")
        said = event_words([event async for event in run])

    assert called == []
    assert said == ["FINISH CANCELLED"]


async def test_a_stream_that_may_go_on_and_is_cancelled_at_once_publishes_no_more() -> (
    None
):
    """The buffer got room in the same turn in which the run was cancelled."""
    pipe: AnyPipe = Pipe(None, queue_size=1)

    @pipe.step
    async def a() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    async with pipe.run(None) as run:
        await anext(run)
        assert (await anext(run)).type is EventType.STEP_START
        await anyio.wait_all_tasks_blocked()  # the second item waits for room
        await anext(run)
        run.cancel("enough")
        said = event_words([event async for event in run])

    assert said == ["FINISH CANCELLED"]
