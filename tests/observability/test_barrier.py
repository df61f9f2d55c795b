"""``BarrierDebugger``: which join hangs, and which parents it waits for."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from justpipe_actors import Event, EventType, Pipe, Stop
from justpipe_actors.observability import (
    BarrierDebugger,
    BarrierDebugRecord,
    ObserverMeta,
)


META = ObserverMeta("P", "r")
WAIT, RELEASE = EventType.BARRIER_WAIT, EventType.BARRIER_RELEASE
START, END = EventType.STEP_START, EventType.STEP_END
BOTH = {"expected_count": 2, "completed_count": 0, "waiting_for": ["w1", "w2"]}


def debugger(
    now: float = 0.0, **options: Any
) -> tuple[BarrierDebugger, list[BarrierDebugRecord]]:
    """Return a debugger that compares timestamps, and the list its records go to."""
    records: list[BarrierDebugRecord] = []
    return BarrierDebugger(5.0, lambda: now, records.append, **options), records


async def tell(
    debug: BarrierDebugger, *told: tuple[EventType, str, float, Any]
) -> None:
    """Pass events to a debugger: type, stage, time, payload."""
    for kind, stage, at, payload in told:
        await debug.on_event(
            None, None, META, Event(kind, stage, payload, timestamp=at)
        )


def diamond(debug: Any, *seconds: float, timeout: float | None = None) -> Any:
    """Return a pipe whose join waits for parents that take these times."""
    pipe: Pipe[Any, Any] = Pipe(None, allow_multi_root=True)
    for number, delay in enumerate(seconds):

        async def parent(state: Any, delay: float = delay) -> None:
            await anyio.sleep(delay)

        pipe.step(f"p{number}", to="join")(parent)
    pipe.step("join", barrier_timeout=timeout)(lambda state: None)
    pipe.add_observer(debug)
    return pipe


# -- from events alone


async def test_a_slow_join_is_reported_once() -> None:
    """A wait longer than ``warn_after`` makes one record when it ends, a shorter wait none."""
    debug, records = debugger()
    await tell(debug, (WAIT, "j", 0, BOTH), (RELEASE, "j", 5.0, None))
    assert records == []
    await tell(debug, (WAIT, "j", 10, BOTH), (RELEASE, "j", 15.1, None))
    await tell(debug, (WAIT, "j", 20, BOTH), (RELEASE, "j", 29, None))

    (record,) = records
    assert (record.kind, record.barrier_name) == ("slow", "j")
    assert record.wait_time_s == pytest.approx(5.1)
    assert debug.waiting_barriers == {}


async def test_a_hang_names_the_missing_parents() -> None:
    """The report of a late join says what each missing parent does."""
    debug, records = debugger(now=9.0)
    await tell(debug, (START, "w1", 1, None), (WAIT, "j", 2, BOTH))
    await tell(debug, (START, "other", 8, None), (START, "more", 8.5, None))

    (record,) = records
    assert (record.kind, record.wait_time_s) == ("hang", 6.0)
    assert (record.expected_count, record.waiting_for) == (2, ("w1", "w2"))
    assert "w1: inactive for 8.0s" in record.message
    assert "w2: never started" in record.message
    assert "at work: other for 1.0s" in record.message
    assert debug.warned_barriers == {"j"}


async def test_a_finished_parent_is_not_missing() -> None:
    """A parent that has ended counts as done, not as never started."""
    debug, records = debugger(now=9.0)
    await tell(
        debug,
        (START, "w1", 1, None),
        (WAIT, "j", 2, BOTH),
        (END, "w1", 3, None),
        (EventType.MAP_WORKER, "w2[0]", 9, None),
    )

    assert records[0].waiting_for == ("w2",)
    assert (records[0].completed_count, records[0].expected_count) == (1, 2)


async def test_a_join_that_has_started_does_not_hang() -> None:
    """A join that starts before its release event arrives is reported as slow only."""
    debug, records = debugger()
    await tell(debug, (WAIT, "j", 0, BOTH), (START, "j", 8, None))
    await tell(debug, (RELEASE, "j", 8, None))

    assert [record.kind for record in records] == ["slow"]


async def test_ended_steps_are_not_at_work() -> None:
    """Neither a step that has ended nor the workers of a complete map are listed."""
    debug, _ = debugger()
    for stage in ("a", "w", "w[0]", "w[1]", "w2"):
        await tell(debug, (START, stage, 1, None))
    await tell(debug, (EventType.STEP_ERROR, "a", 2, None))
    await tell(debug, (EventType.MAP_COMPLETE, "m", 3, {"target": "w"}))

    assert debug.worker_activity == {"w2": 1}


async def test_events_without_a_payload_are_accepted() -> None:
    """A BARRIER_WAIT without details still counts as a wait."""
    debug, records = debugger()
    odd = {"expected_count": "x", "waiting_for": 7}
    await tell(debug, (WAIT, "j", 0, None), (WAIT, "k", 0, odd))
    await tell(debug, (EventType.MAP_COMPLETE, "m", 3, None))
    await debug.on_pipeline_end(None, None, META, 7.0)

    assert [(r.kind, r.barrier_name, r.wait_time_s) for r in records] == [
        ("unresolved", "j", 7.0),
        ("unresolved", "k", 7.0),
    ]
    assert debug.waiting_barriers == {}


async def test_a_failed_run_reports_its_waiting_joins() -> None:
    """Joins that wait when a run fails are listed as its state."""
    debug, records = debugger()
    await debug.on_pipeline_start(None, None, META)
    await tell(debug, (WAIT, "j", 0, BOTH))
    await debug.on_pipeline_error(None, None, META, ValueError())

    assert [(r.kind, r.wait_time_s) for r in records] == [("error_state", 0.0)]
    assert records[0].message.endswith("when the run failed, for w1, w2.")


async def test_runs_do_not_mix() -> None:
    """A join of one run is not released by an event of another run."""
    debug, records = debugger()
    other = ObserverMeta("P", "other")
    await debug.on_pipeline_start(None, None, META)
    await tell(debug, (WAIT, "j", 0, BOTH))
    await debug.on_pipeline_start(None, None, other)
    await debug.on_event(None, None, other, Event(RELEASE, "j", timestamp=99))
    await debug.on_pipeline_end(None, None, other, 1.0)

    assert records == []
    assert set(debug.for_run("r").waiting_barriers) == {"j"}


# -- in real runs


@pytest.mark.virtual_time
async def test_a_hang_without_further_events_is_reported() -> None:
    """The debugger is woken when a join is late, although no event comes."""
    records: list[tuple[float, BarrierDebugRecord]] = []
    began = anyio.current_time()
    debug = BarrierDebugger(
        30, sink=lambda record: records.append((anyio.current_time() - began, record))
    )
    async with diamond(debug, 5, 3600).run({}) as run:
        await run.wait()

    ((at, record),) = records
    assert at == pytest.approx(35, abs=0.01)
    assert (record.kind, record.barrier_name) == ("hang", "join")
    assert record.wait_time_s == pytest.approx(30, abs=0.01)
    assert (record.completed_count, record.expected_count) == (1, 2)
    assert record.message.endswith("1 of 2 parents are done. p1: inactive for 35.0s")


@pytest.mark.virtual_time
@pytest.mark.parametrize("limit", [None, 300.0])
async def test_joins_that_open_in_time_make_no_record(limit: float | None) -> None:
    """This holds with and without a timeout."""
    records: list[BarrierDebugRecord] = []
    debug = BarrierDebugger(30, sink=records.append)
    async with diamond(debug, 1, 20, 29, timeout=limit).run({}) as run:
        await run.wait()

    assert records == []


@pytest.mark.virtual_time
async def test_a_pruned_join_is_not_reported_as_hanging() -> None:
    """A failed parent decides the join, and later events do not make it late."""
    records: list[BarrierDebugRecord] = []
    debug = BarrierDebugger(10, sink=records.append)
    pipe = diamond(debug, 1, 2, timeout=500)

    async def fail(state: Any) -> None:
        await anyio.sleep(3)
        raise ValueError("boom")

    pipe.step("p2", to="join")(fail)
    pipe.step("slow")(lambda state: anyio.sleep(60))
    async with pipe.run({}) as run:
        await run.wait()

    assert records == []


@pytest.mark.virtual_time
async def test_a_run_that_times_out_reports_its_waiting_joins() -> None:
    """The report comes at the end of the run."""
    records: list[BarrierDebugRecord] = []
    debug = BarrierDebugger(100, sink=records.append)
    async with diamond(debug, 1, 3600).run({}, timeout=60) as run:
        await run.wait()

    (record,) = records
    assert (record.kind, record.waiting_for) == ("unresolved", ("p1",))
    assert record.wait_time_s == pytest.approx(60)


@pytest.mark.virtual_time
async def test_a_stopped_run_reports_no_waiting_join() -> None:
    """After ``Stop`` no join opens, so none counts as waiting."""
    records: list[BarrierDebugRecord] = []
    debug = BarrierDebugger(10, sink=records.append)
    pipe = diamond(debug, 1, 100)

    async def stop(state: Any) -> type[Stop]:
        await anyio.sleep(5)
        return Stop

    pipe.step("stop")(stop)
    async with pipe.run({}) as run:
        await run.wait()

    assert records == []


@pytest.mark.virtual_time
async def test_each_lap_waits_anew() -> None:
    """The wait in one lap of a loop is not counted in the next."""
    records: list[BarrierDebugRecord] = []
    debug = BarrierDebugger(10, sink=records.append)
    pipe: Pipe[Any, Any] = Pipe(None)

    async def slow(state: Any) -> None:
        await anyio.sleep(6)

    def again(state: Any) -> str | None:
        state["laps"] += 1
        return "fork" if state["laps"] < 4 else None

    pipe.step("fork", to=["x", "y"])(lambda state: None)
    pipe.step("x", to="join")(lambda state: None)
    pipe.step("y", to="join")(slow)
    pipe.step("join")(again)
    pipe.add_observer(debug)
    async with pipe.run({"laps": 0}, start="fork") as run:
        await run.wait()

    assert records == []


@pytest.mark.virtual_time
async def test_by_default_reports_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Without arguments a late join is a warning in the log."""
    async with diamond(BarrierDebugger(), 1, 60).run({}) as run:
        await run.wait()

    (warning,) = (r for r in caplog.records if r.levelno == logging.WARNING)
    assert warning.getMessage().startswith("Barrier 'join' has waited 10.0s; 1 of 2")
