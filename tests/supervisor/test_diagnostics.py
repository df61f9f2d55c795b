"""What a supervisor tells about itself: snapshots, health, and a blocked event loop."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import attrs
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.codec import to_text


def gated(concurrency: int | None = None) -> Pipe[Any, Any]:
    """Return a pipe whose step waits for ``state["go"]``."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="gated")

    @pipe.step(concurrency=concurrency)
    async def hold(state: dict[str, Any]) -> None:
        await state["go"].wait()

    return pipe


def talking() -> Pipe[Any, Any]:
    """Return a pipe that yields without end, and waits in its own code."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="talking")

    @pipe.step
    async def talk(state: dict[str, Any]) -> Any:
        while True:
            yield "word"
            await state["go"].wait()

    return pipe


async def test_a_snapshot_shows_all_parts() -> None:
    """Runs with tokens by holder, actors with their queues, places, services, pipes."""
    pipe, go = gated(concurrency=1), anyio.Event()

    async def poll() -> None:
        await anyio.sleep_forever()

    supervisor = Supervisor(pipe, max_runs=3)
    supervisor.add_service("poller", poll)
    async with supervisor, anyio.create_task_group() as tasks:
        for number in range(3):
            await supervisor.submit(pipe, {"go": go}, run_id=f"r{number}")
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(supervisor.submit, pipe, {"go": go})
        await anyio.wait_all_tasks_blocked()
        snapshot = supervisor.snapshot()
        go.set()

    assert snapshot.state == "open"
    assert (snapshot.places.inside, snapshot.places.waiting) == (3, 1)
    assert list(snapshot.runs) == ["r0", "r1", "r2"]
    assert snapshot.runs["r0"].tokens == {"hold": 1}
    assert [step for step, _ in snapshot.runs["r0"].running] == ["hold"]
    assert snapshot.runs["r2"].running == ()
    (actor,) = snapshot.actors
    assert (actor.step, actor.depth, actor.busy) == ("hold", 2, 1)
    assert [one.name for one in snapshot.services] == ["poller"]
    assert snapshot.pipes == {"gated": pipe.pipeline_hash}
    assert snapshot.dead_letters == 0


@pytest.mark.virtual_time
async def test_the_age_of_the_oldest_message_is_exact() -> None:
    """It is the time that the message at the head of the queue has waited."""
    pipe, go = gated(concurrency=1), anyio.Event()

    async with Supervisor() as supervisor:
        for _ in range(3):
            await supervisor.submit(pipe, {"go": go})
            await anyio.sleep(10)
        (waiting,) = supervisor.snapshot().actors
        go.set()
        await anyio.sleep(1)
        (idle,) = supervisor.snapshot().actors

    assert (waiting.depth, waiting.runs, waiting.pipe) == (2, 2, "gated")
    assert waiting.oldest == pytest.approx(20)
    assert (idle.depth, idle.oldest) == (0, 0.0)


async def test_snapshots_are_plain_data() -> None:
    """A snapshot and a health are frozen, and JSON as they are."""
    go = anyio.Event()
    async with Supervisor() as supervisor:
        await supervisor.submit(gated(), {"go": go}, run_id="r")
        await anyio.wait_all_tasks_blocked()
        snapshot, health = supervisor.snapshot(), supervisor.health()
        go.set()

    data = json.loads(to_text(snapshot))
    assert data["runs"]["r"]["tokens"] == {"hold": 1}
    assert json.loads(to_text(health)) == {"live": True, "ready": True, "reasons": []}
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        snapshot.state = "closed"  # type: ignore[misc]


async def test_a_run_with_a_slow_consumer_is_shown_as_parked() -> None:
    """A consumed run with a full buffer is parked; a submitted one never is."""
    pipe: Pipe[Any, Any] = Pipe(dict, queue_size=2)

    @pipe.step
    async def talk(state: dict[str, Any]) -> Any:
        for item in range(10):
            yield item

    async with Supervisor() as supervisor:
        async with supervisor.run(pipe, {}) as run:
            await anyio.wait_all_tasks_blocked()
            stalled = supervisor.snapshot()
        await (await supervisor.submit(pipe, {})).wait()

    assert stalled.parked == (run.run_id,)
    assert stalled.runs[run.run_id].buffered == 2


@pytest.mark.virtual_time
@pytest.mark.parametrize("make", [gated, talking])
async def test_a_stuck_run_is_named_with_its_line(make: Any) -> None:
    """``stuck()`` names the line of the user's own code, in functions and generators."""
    state = {"go": anyio.Event()}

    async with Supervisor(grace=0) as supervisor:
        await supervisor.submit(make(), state)
        await anyio.sleep(5)
        (run,) = supervisor.stuck()

    (step,) = run.steps
    own = [line for line in step.where if __file__ in line]
    assert own[-1].split(" in ")[1] in (
        "gated.<locals>.hold",
        "talking.<locals>.talk",
    )
    assert step.seconds == pytest.approx(5)


@pytest.mark.virtual_time
async def test_a_resource_that_does_not_open_is_named() -> None:
    """The snapshot and ``stuck()`` say which resource a step waits for."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="orders")

    @pipe.resource
    async def pool() -> AsyncIterator[int]:
        await anyio.sleep(60)
        yield 1

    @pipe.step
    async def use(state: dict[str, Any], pool: int) -> None:
        state["pool"] = pool

    async with Supervisor(grace=100) as supervisor:
        await supervisor.submit(pipe, {})
        await anyio.sleep(5)
        (run,) = supervisor.stuck()
        said = repr(supervisor.snapshot())

    assert "step 'use' for 5.0s waits for resource 'pool'" in str(run)
    assert said == ("<SupervisorSnapshot open, 1 run at work, resources: pool opening>")


async def test_a_stuck_child_run_is_named_too() -> None:
    """The child's step is named, not the parent that waits for it."""
    parent: Pipe[Any, Any] = Pipe(dict, name="parent")
    parent.sub("inner", pipeline=gated())(lambda state: state)
    go = anyio.Event()

    async with Supervisor() as supervisor:
        run = await supervisor.submit(parent, {"go": go})
        await anyio.wait_all_tasks_blocked()
        (stuck,) = supervisor.stuck()
        go.set()
        await run.wait()

    assert [step.step for step in stuck.steps] == ["inner", "hold"]
    assert stuck.steps[1].run_id != run.run_id
    assert "step 'hold'" in str(stuck)


async def test_health_gives_reasons() -> None:
    """Not open, full, draining and closed are reasons; only some of them mean not alive."""
    go, said = anyio.Event(), dict[str, Any]()
    supervisor = Supervisor(max_runs=1)
    said["new"] = supervisor.health()
    async with supervisor, anyio.create_task_group() as tasks:
        said["open"] = supervisor.health()
        await supervisor.submit(gated(), {"go": go})
        said["full"] = supervisor.health()
        tasks.start_soon(supervisor.drain)
        await anyio.wait_all_tasks_blocked()
        said["draining"] = supervisor.health()
        go.set()
    said["closed"] = supervisor.health()

    assert {name: (one.live, one.ready) for name, one in said.items()} == {
        "new": (False, False),
        "open": (True, True),
        "full": (True, False),
        "draining": (True, False),
        "closed": (False, False),
    }
    assert said["full"].reasons == ("1 of 1 runs are at work",)
    assert said["draining"].reasons == ("it is draining",)
    assert said["closed"].reasons == ("it is closed",)


@pytest.mark.virtual_time
async def test_a_supervisor_is_not_ready_while_a_service_restarts() -> None:
    """Health names the service with its last error."""

    async def flaky() -> None:
        await anyio.sleep(1)
        raise OSError("gone")

    supervisor = Supervisor(intensity=10)
    supervisor.add_service("flaky", flaky)
    async with supervisor:
        seen: set[tuple[str, ...]] = set()
        for _ in range(300):
            await anyio.sleep(0.01)
            seen.add(supervisor.health().reasons)

    assert ("service 'flaky' is waiting: OSError: gone",) in seen


class Records(logging.Handler):
    """Keeps log records, and signals that a record about a step has come.

    On a busy machine the loop may stand still before the step begins, and a record
    about that names no run.
    """

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.came = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        if hasattr(record, "run"):
            self.came.set()


async def test_a_step_that_blocks_the_loop_is_named() -> None:
    """The heartbeat logs the stack of the blocked loop, with run and step."""
    heard, alive = Records(), list[bool]()
    pipe: Pipe[Any, Any] = Pipe(dict, name="greedy")

    @pipe.step
    def hog(state: dict[str, Any]) -> None:
        heard.came.wait(10)
        alive.append(supervisor.health().live)

    logger = logging.getLogger("justpipe_actors.loop")
    logger.addHandler(heard)
    try:
        async with Supervisor(blocked_after=0.02) as supervisor:
            await (await supervisor.submit(pipe, {}, run_id="r")).wait()
    finally:
        logger.removeHandler(heard)

    record = next(record for record in heard.records if hasattr(record, "run"))
    assert (record.run, record.step, record.actor) == ("r", "hog", "greedy/hog")  # type: ignore[attr-defined]
    assert "in hog" in record.getMessage()
    assert "heard.came.wait(10)" in record.getMessage()
    assert alive == [False]


@pytest.mark.virtual_time
async def test_log_records_have_run_step_and_actor(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """This holds for a failed step and for a run that keeps the supervisor open."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="mule")

    @pipe.step
    async def bray(state: dict[str, Any]) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(60)
        raise ValueError("at last")

    async with Supervisor(grace=1) as supervisor:
        await supervisor.submit(pipe, {}, run_id="r")
        await anyio.sleep(1)

    said = {
        record.getMessage().split("'")[0]: vars(record) for record in caplog.records
    }
    stuck = said["The supervisor cannot close: run r of pipe "]
    failed = said["Step "]
    for fields in (stuck, failed):
        assert (fields["run"], fields["step"]) == ("r", "bray")
        assert fields["actor"] == "mule/bray"


async def test_a_healthy_loop_is_not_reported() -> None:
    """The heartbeat stays fresh and the log stays empty."""
    heard = Records()
    logger = logging.getLogger("justpipe_actors.loop")
    logger.addHandler(heard)
    try:
        async with Supervisor(blocked_after=10) as supervisor:
            live = supervisor.health().live
    finally:
        logger.removeHandler(heard)

    assert live
    assert heard.records == []


async def test_a_snapshot_names_holders_and_waiters_of_a_slot() -> None:
    """It shows the run that has the slot of an actor, and the next runs in order."""
    pipe, go = gated(concurrency=1), anyio.Event()
    async with Supervisor(pipe) as supervisor:
        for number in range(4):
            await supervisor.submit(pipe, {"go": go}, run_id=f"r{number}")
        await anyio.wait_all_tasks_blocked()
        (actor,) = supervisor.snapshot().actors
        go.set()

    assert actor.slots == 1
    assert [run_id for run_id, _ in actor.holders] == ["r0"]
    assert [run_id for run_id, _ in actor.queue] == ["r1", "r2", "r3"]
    assert all(seconds >= 0 for _, seconds in (*actor.holders, *actor.queue))


async def test_the_line_of_the_users_code_is_named() -> None:
    """``at`` is the line of the user's code that waits, not one of the event loop."""
    pipe, go = gated(), anyio.Event()
    async with Supervisor(pipe) as supervisor:
        await supervisor.submit(pipe, {"go": go}, run_id="r")
        await anyio.wait_all_tasks_blocked()
        (stuck,) = supervisor.stuck()
        go.set()

    (step,) = stuck.steps
    assert step.at is not None
    assert step.at.startswith(f"{__file__}:")
    assert step.at.endswith(" in gated.<locals>.hold")
    assert step.at in str(step)


async def test_a_snapshot_can_show_a_page_of_runs() -> None:
    """It has the oldest runs, or with ``by="quiet"`` those without an event for the
    longest time.
    """
    pipe, go = gated(), anyio.Event()
    before = time.time()
    async with Supervisor(pipe) as supervisor:
        for number in range(5):
            await supervisor.submit(pipe, {"go": go}, run_id=f"r{number}")
            await anyio.sleep(0.01)
        whole = supervisor.snapshot()
        oldest = supervisor.snapshot(runs=2)
        quiet = supervisor.snapshot(runs=1, by="quiet")
        go.set()

    assert (len(whole.runs), whole.run_count) == (5, 5)
    assert (list(oldest.runs), oldest.run_count) == (["r0", "r1"], 5)
    assert len(quiet.runs) == 1
    for run in whole.runs.values():
        assert before - 1 < run.started_at < time.time() + 1
        assert 0 <= run.quiet < 60


async def test_a_snapshot_says_how_much_a_step_has_streamed() -> None:
    """So a step that streams for long can be told from one that hangs."""
    pipe: Pipe[Any, Any] = Pipe(dict, allow_multi_root=True)
    going, has_spoken, hangs = anyio.Event(), anyio.Event(), anyio.Event()

    @pipe.step
    async def speak() -> Any:
        for word in ("one", "two", "three"):
            yield word
        has_spoken.set()
        await going.wait()

    @pipe.step
    async def hang() -> None:
        hangs.set()
        await going.wait()

    async with Supervisor(pipe) as supervisor:
        run = await supervisor.submit(pipe, {})
        await has_spoken.wait()
        await hangs.wait()
        snapshot = supervisor.snapshot().runs[run.run_id]
        going.set()

    found = {one.step: one for one in snapshot.invocations}
    assert (found["speak"].streamed, found["hang"].streamed) == (3, None)
    assert str(found["speak"].invocation_id).startswith(run.run_id)
    assert [(one.step, one.seconds >= 0) for one in snapshot.invocations] == [
        (step, True) for step, _ in snapshot.running
    ]


async def test_a_service_shows_its_age_and_its_remaining_restarts() -> None:
    """The age of its state, and how many restarts the period still allows."""
    async with Supervisor() as supervisor:
        is_up = anyio.Event()

        async def poll(task_status: Any) -> None:
            task_status.started()
            is_up.set()
            await task_status.stopping.wait()

        supervisor.add_service("poll", poll)
        await is_up.wait()
        (service,) = supervisor.snapshot().services

    assert service.age >= 0
    assert service.restarts_left == 3
