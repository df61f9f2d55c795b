"""Steps with ``placement="process"``, as users see them."""

from __future__ import annotations

import logging
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from justpipe_actors import EventType, Pipe, Supervisor
from justpipe_actors.errors import (
    NotPicklable,
    PlacementLost,
    RemoteError,
    RemoteUnavailable,
)
from justpipe_actors.placements import ProcessPlacement
from justpipe_actors.testing.conformance import PLACEMENT_CHECKS
from justpipe_actors.testing.conformance.placements import Check
from justpipe_actors.types import Event, PipelineEndData

from ..helpers import error_of
from . import functions
from .functions import Report, Settings


AnyPipe = Pipe[Any, Any]

pytestmark = pytest.mark.slow  # a new interpreter takes a third of a second


@pytest.fixture(scope="module")
def placement() -> ProcessPlacement:
    """Return one placement, so that the tests of one loop share started processes."""
    return ProcessPlacement(workers=2)


def one_step(
    func: Callable[..., Any], placement: ProcessPlacement, **options: Any
) -> AnyPipe:
    """Return a pipe with one step that is placed."""
    pipe = AnyPipe(Report, Settings)
    pipe.step("work", placement=placement, **options)(func)
    return pipe


def processes_of(parent: int) -> list[int]:
    """Return the running children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def first_file(folder: Path) -> str:
    """Return the name of a file that another process has made, or an empty text."""
    return next((path.name for path in folder.iterdir()), "")


async def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until another process has done something."""
    with anyio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - no signal comes from there
            await anyio.sleep(0.01)


async def wait_gone(pid: int) -> None:
    """Wait until a process has ended."""
    await wait_until(lambda: pid not in processes_of(os.getpid()), 30)


@pytest.mark.parametrize("check", PLACEMENT_CHECKS, ids=lambda check: check.__name__)
async def test_processes_keep_the_contract(check: Check) -> None:
    """Each check of the conformance suite for placements holds for processes."""
    await check(ProcessPlacement(workers=2))


async def test_state_changes_come_back(placement: ProcessPlacement) -> None:
    """The run's own state object gets the changes of a function in another process."""
    state = Report(words=["here"])
    words = state.words

    end = await one_step(functions.add_word, placement).run(state).wait()

    assert end.error is None
    assert (state.words, state.count) == (["here", "there"], 1)
    assert words == ["here"] or words is state.words


async def test_async_functions_run_on_a_loop_of_the_worker(
    placement: ProcessPlacement,
) -> None:
    """The worker opens an event loop for them."""
    state = Report()

    end = await one_step(functions.add_word_async, placement).run(state).wait()

    assert (end.error, state.words) == (None, ["async"])


async def test_the_context_is_sent_and_comes_back(
    placement: ProcessPlacement,
) -> None:
    """A function gets the context, and its changes are merged."""
    state, context = Report(), Settings(factor=2)

    await one_step(functions.use_context, placement).run(state, context).wait()

    assert (state.count, context.seen) == (42, ["there"])


async def test_a_map_over_processes_loses_nothing(placement: ProcessPlacement) -> None:
    """Workers that change different keys of one dict all have their change in it."""
    pipe = AnyPipe(Report)
    pipe.map("fan", each="note")(lambda: range(50))
    pipe.step("note", placement=placement)(functions.note_item)
    state = Report()

    end = await pipe.run(state).wait()

    assert end.error is None
    assert state.by_name == {f"item {number}": number for number in range(50)}


async def test_a_failed_function_changes_nothing(placement: ProcessPlacement) -> None:
    """Its changes before the failure are dropped; the handler sees none of them."""
    seen: list[list[str]] = []
    pipe = one_step(
        functions.change_and_fail,
        placement,
        on_error=lambda state: seen.append(list(state.words)),
    )
    state = Report()

    await pipe.run(state).wait()

    assert (state.words, seen) == ([], [[]])


async def test_an_error_keeps_its_type_text_and_traceback(
    placement: ProcessPlacement,
) -> None:
    """Its notes and the event show where it was raised."""
    pipe = one_step(functions.change_and_fail, placement)
    events: list[Event] = [event async for event in pipe.run(Report())]

    (failed,) = [event for event in events if event.type is EventType.STEP_ERROR]
    assert failed.payload == "no luck"
    assert failed.meta is not None
    assert failed.meta["framework"]["error_type"] == "LookupError"
    assert "in change_and_fail" in failed.meta["framework"]["traceback"]

    error = await error_of(one_step(functions.change_and_fail, placement), Report())
    assert type(error) is LookupError
    assert "in change_and_fail" in "".join(error.__notes__)


async def test_an_error_that_cannot_be_pickled_keeps_its_text(
    placement: ProcessPlacement,
) -> None:
    """It becomes a RemoteError that names its class."""
    error = await error_of(one_step(functions.fail_unpicklable, placement), Report())

    assert isinstance(error, RemoteError)
    assert (error.kind, error.text) == ("UnpicklableError", "left and right")
    assert "in fail_unpicklable" in error.remote_traceback


async def test_a_result_that_cannot_be_pickled_fails_its_step(
    placement: ProcessPlacement,
) -> None:
    """The error names the step and the result, with the remedy."""
    error = await error_of(one_step(functions.return_lock, placement), Report())

    assert isinstance(error, NotPicklable)
    assert (error.step, error.what) == ("work", "result")


async def test_a_state_that_cannot_be_pickled_fails_its_step(
    placement: ProcessPlacement,
) -> None:
    """The error names the step and the state, and no worker is called."""
    pipe = one_step(functions.add_word, placement)

    error = await error_of(pipe, Report(words=[lambda: None]))  # type: ignore[list-item]

    assert isinstance(error, NotPicklable)
    assert (error.step, error.what) == ("work", "state")


async def test_a_system_exit_ends_the_run_and_no_worker(
    placement: ProcessPlacement,
) -> None:
    """SystemExit of a remote function is raised to the consumer as from any step."""
    with pytest.raises(SystemExit):
        await one_step(functions.exit_program, placement).run(Report()).wait()


async def run_two(func: Callable[..., Any], placement: ProcessPlacement) -> list[str]:
    """Run a placed step before two others; return those that began."""
    begun: list[str] = []
    pipe = AnyPipe(Report)
    pipe.step("work", to="next", placement=placement, routes=["other"])(func)
    pipe.step("next")(lambda: begun.append("next"))
    pipe.step("other")(lambda: begun.append("other"))
    await pipe.run(Report(), start="work").wait()
    return begun


async def test_signals_have_the_same_meaning(
    placement: ProcessPlacement,
) -> None:
    """Signals and returned names come back unchanged."""
    assert await run_two(functions.answer_retry, placement) == ["next"]
    assert await run_two(functions.answer_skip, placement) == []
    assert await run_two(functions.answer_stop, placement) == []
    assert await run_two(functions.answer_suspend, placement) == []
    assert await run_two(functions.answer_raise, placement) == []
    assert await run_two(functions.answer_name, placement) == ["other"]


async def test_retry_keeps_the_changes_of_the_attempt(
    placement: ProcessPlacement,
) -> None:
    """``Retry()`` is a result and no failure, so the changes come back."""
    state = Report()

    await one_step(functions.answer_retry, placement).run(state).wait()

    assert state.count == 3


async def test_maps_and_switches_can_be_placed(placement: ProcessPlacement) -> None:
    """The functions of a map and of a switch run in the process, too."""
    done: list[object] = []
    pipe = AnyPipe(Report)
    pipe.map("fan", each="worker", to="turn", placement=placement)(functions.list_items)
    pipe.step("worker")(lambda item: done.append(item))
    pipe.switch("turn", to={0: "last"}, placement=placement)(functions.choose)
    pipe.step("last")(lambda: done.append("last"))

    await pipe.run(Report()).wait()

    assert done == [1, 2, 3, "last"]


async def test_context_variables_are_sent(placement: ProcessPlacement) -> None:
    """A variable that is a global of a module has its value in the worker."""
    state = Report()
    reset = functions.TENANT.set("acme")
    try:
        await one_step(functions.read_tenant, placement).run(state).wait()
    finally:
        functions.TENANT.reset(reset)

    assert state.words == ["acme"]


async def test_the_opentelemetry_context_is_sent(
    placement: ProcessPlacement,
) -> None:
    """The current span is the parent of the worker's spans."""
    trace = pytest.importorskip("opentelemetry.trace", reason="needs the extra [otel]")
    ids = trace.SpanContext(0xABCDEF, 0x123, is_remote=False)
    state = Report()

    with trace.use_span(trace.NonRecordingSpan(ids)):
        await one_step(functions.note_trace, placement).run(state).wait()

    assert state.words == ["abcdef"]


async def test_log_records_are_handled_in_this_process(
    placement: ProcessPlacement, caplog: pytest.LogCaptureFixture
) -> None:
    """They have the run and the step."""
    with caplog.at_level(logging.INFO):
        run = one_step(functions.log_something, placement).run(Report())
        await run.wait()

    first, second = [one for one in caplog.records if one.name == "their.module"]
    assert first.getMessage() == "seen from there"
    assert (first.__dict__["run"], first.__dict__["step"]) == (run.run_id, "work")
    assert first.process != os.getpid()
    assert second.exc_text is not None
    assert "LookupError: inner" in second.exc_text


@pytest.mark.parametrize(
    ("func", "name"),
    [
        (functions.ask_there, "ask()"),
        (functions.keep_there, "once()"),
        (functions.sleep_there, "sleep_until()"),
    ],
)
async def test_functions_of_the_run_are_refused_there(
    func: Callable[..., Any], name: str, placement: ProcessPlacement
) -> None:
    """Asks, timers and ``once`` raise an error: they are for steps on the loop."""
    error = await error_of(one_step(func, placement), Report())

    assert isinstance(error, RemoteUnavailable)
    assert error.what == name


async def test_idempotency_keys_are_the_same_there(
    placement: ProcessPlacement,
) -> None:
    """A placed step gets the key that it would get on the loop."""
    far, near = Report(), Report()

    run = one_step(functions.note_key, placement).run(far)
    await run.wait()
    pipe = AnyPipe(Report)
    pipe.step("work")(functions.note_key)
    other = pipe.run(near)
    await other.wait()

    assert far.words[0].startswith(run.run_id)
    assert far.words[0][len(run.run_id) :] == near.words[0][len(other.run_id) :]


# -- what dies


async def test_a_worker_that_dies_fails_its_step(placement: ProcessPlacement) -> None:
    """The step fails with PlacementLost, which says how the process ended."""
    killed = await error_of(one_step(functions.kill_self, placement), Report())
    ended = await error_of(one_step(functions.exit_at_once, placement), Report())

    assert isinstance(killed, PlacementLost)
    assert killed.step == "work"
    assert "SIGKILL" in killed.reason
    assert isinstance(ended, PlacementLost)
    assert "code 7" in ended.reason


async def test_retries_apply_to_a_lost_worker(
    placement: ProcessPlacement, tmp_path: Path
) -> None:
    """With ``retries=`` the step runs again in another process."""
    pipe = one_step(functions.kill_self_once, placement, retries=1, retry_wait_min=0)
    state = Report(folder=str(tmp_path))

    end = await pipe.run(state).wait()

    assert (end.error, state.count) == (None, 1)


@pytest.fixture(params=["cancel", "timeout", "leave"])
def stop(request: pytest.FixtureRequest) -> str:
    """Return a function that stops a computation in this way."""
    name: str = request.param
    return name


async def test_stopping_a_step_kills_its_process(
    placement: ProcessPlacement, stop: str, tmp_path: Path
) -> None:
    """Cancelling, a timeout and leaving the block end a computation that never waits."""
    options = {"timeout": 2.0} if stop == "timeout" else {}
    pipe = one_step(functions.work_for_ever, placement, **options)
    # The start of an interpreter, which may take seconds, is not in the timeout.
    pipe.step("start", placement=placement, to="work")(functions.add_word)
    end: PipelineEndData | None = None

    async with pipe.run(Report(folder=str(tmp_path)), start="start") as run:
        await run.__anext__()
        await wait_until(lambda: bool(first_file(tmp_path)), 30)
        pid = int(first_file(tmp_path))
        if stop == "cancel":
            run.cancel("enough")
        if stop != "leave":
            end = await run.wait()

    await wait_gone(pid)
    expected = {"cancel": "cancelled", "timeout": "failed", "leave": None}[stop]
    assert (end and end.status.value) == expected


async def test_a_worker_is_replaced_after_max_calls() -> None:
    """With ``max_calls=2`` a process gets two calls and no third one."""
    pipe = AnyPipe(Report)
    pipe.map("fan", each="note")(lambda: range(5))
    pipe.step("note", placement=ProcessPlacement(1, max_calls=2))(functions.note_pid)
    state = Report()

    async with Supervisor():
        await pipe.run(state).wait()

    assert [state.pids.count(pid) for pid in dict.fromkeys(state.pids)] == [2, 2, 1]


async def test_a_supervisor_ends_its_processes() -> None:
    """Runs of a supervisor share started processes; none is left after it has closed."""
    pipe = one_step(functions.note_pid, ProcessPlacement(workers=2))
    state = Report()

    async with Supervisor() as supervisor:
        for _ in range(3):
            await pipe.run(state).wait()
        names = [one.name for one in supervisor.snapshot().resources]

    assert len(set(state.pids)) == 1
    assert names == ["placement process"]
    await wait_gone(state.pids[0])


def test_an_event_loop_ends_its_processes(
    anyio_backend: tuple[str, dict[str, Any]],
) -> None:
    """Without a supervisor the runs of a loop share processes until the loop ends."""
    pipe = one_step(functions.note_pid, ProcessPlacement(workers=2))
    state = Report()

    async def main() -> list[int]:
        for _ in range(3):
            await pipe.run(state).wait()
        return processes_of(os.getpid())

    running = anyio.run(main, backend=anyio_backend[0])

    assert len(set(state.pids)) == 1
    assert state.pids[0] in running
    assert state.pids[0] not in processes_of(os.getpid())


async def killing_at_random(kills: int) -> PipelineEndData:
    """Kill workers at random while a map makes calls, until enough were killed."""
    killed = 0
    pipe = AnyPipe(Report)

    @pipe.map("fan", each="work", max_concurrency=4)
    def fan() -> Iterator[int]:
        while killed < kills:
            yield killed

    options = {"stop": lambda _attempt: False, "wait": lambda _attempt: 0}
    worker = pipe.step("work", placement=ProcessPlacement(2), retries=options)
    worker(functions.work_a_moment)

    async def kill() -> None:
        nonlocal killed
        draw = random.Random(17)
        while killed < kills:
            await anyio.sleep(draw.uniform(0.0, 0.4))
            for pid in processes_of(os.getpid())[-1:]:
                os.kill(pid, signal.SIGKILL)
                killed += 1

    before = set(processes_of(os.getpid()))
    async with Supervisor(), anyio.create_task_group() as tasks:
        tasks.start_soon(kill)
        end = await pipe.run(Report()).wait()
    await wait_until(lambda: set(processes_of(os.getpid())) <= before, 30)
    return end


async def test_killed_workers_lose_no_call() -> None:
    """Workers die at random times; each call is retried, and nothing hangs or leaks."""
    end = await killing_at_random(5)

    assert (end.error, end.status.value) == (None, "success")


@pytest.mark.soak
async def test_two_hundred_killed_workers_lose_no_call() -> None:
    """The same with 200 workers killed."""
    end = await killing_at_random(200)

    assert (end.error, end.status.value) == (None, "success")
