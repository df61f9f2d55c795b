"""Admission of runs: places, the queue for them, and run ids that clients choose."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from justpipe_actors import EventType, Pipe, Supervisor
from justpipe_actors._supervisor.admission import AdmissionLimiter
from justpipe_actors.errors import DefinitionError, RunRejected


def gated() -> Pipe[Any, Any]:
    """Return a pipe whose one step waits for ``state["go"]``."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="gated")

    @pipe.step
    async def hold(state: dict[str, Any]) -> None:
        state["began"] = True
        await state["go"].wait()

    return pipe


def held() -> dict[str, Any]:
    """Return a state for ``gated``."""
    return {"go": anyio.Event()}


async def test_a_submitted_run_needs_no_consumer() -> None:
    """A submitted run ends without a reader, and its last events are still kept."""
    pipe: Pipe[Any, Any] = Pipe(dict, queue_size=3)

    @pipe.step
    async def talk(state: dict[str, Any]) -> Any:
        for item in range(100):
            yield item

    async with Supervisor() as supervisor:
        run = await supervisor.submit(pipe, {})
        end = await run.wait()
        events = [event async for event in run]
        again = [event async for event in run]

    assert end.status.value == "success"
    kinds = [event.type.value for event in events]
    assert kinds == ["step_start", "step_end", "finish"]
    assert again == events
    assert run.dropped == 100 + 4 - 3


async def test_tokens_are_dropped_before_other_events() -> None:
    """A run that streams too much loses its oldest tokens and none of its other events."""
    pipe: Pipe[Any, Any] = Pipe(dict)

    @pipe.step
    async def talk(state: dict[str, Any]) -> Any:
        for item in range(50):
            yield item

    async with Supervisor() as supervisor:
        run = await supervisor.submit(pipe, {}, queue_size=6)
        await run.wait()
        said = [(event.type.value, event.payload) async for event in run]

    assert [kind for kind, _ in said] == [
        "start",
        "step_start",
        "token",
        "token",
        "step_end",
        "finish",
    ]
    assert [payload for kind, payload in said if kind == "token"] == [48, 49]
    assert run.dropped == 48


async def test_every_reader_of_a_submitted_run_sees_what_is_kept() -> None:
    """An early and a late reader both get all events of a submitted run."""
    pipe, state = gated(), held()
    heard: list[list[str]] = [[], []]

    async def read(number: int) -> None:
        async for event in run:
            heard[number].append(event.type.value)

    async with Supervisor() as supervisor, anyio.create_task_group() as tasks:
        run = await supervisor.submit(pipe, state)
        tasks.start_soon(read, 0)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(read, 1)
        state["go"].set()

    assert heard[0] == heard[1] == ["start", "step_start", "step_end", "finish"]


async def test_a_reader_that_leaves_does_not_stop_a_submitted_run() -> None:
    """A reader may be cancelled or drop the stream; the run goes on."""
    pipe, state = gated(), held()

    async with Supervisor() as supervisor:
        run = await supervisor.submit(pipe, state)
        with anyio.CancelScope() as scope:
            async for event in run:
                if event.type is EventType.STEP_START:
                    scope.cancel()
        dropped = supervisor.submit_nowait(pipe, state)
        await anyio.wait_all_tasks_blocked()
        del dropped
        at_work = list(supervisor.snapshot().runs)
        state["go"].set()
        end = await run.wait()

    assert len(at_work) == 2
    assert end.status.value == "success"


async def test_closing_a_submitted_run_ends_it() -> None:
    """``aclose()`` cancels a submitted run, as it does any run."""
    async with Supervisor() as supervisor:
        run = await supervisor.submit(gated(), held())
        await run.aclose()
        runs = supervisor.snapshot().runs

    assert run.end is not None
    assert run.end.status.value == "client_closed"
    assert runs == {}


async def test_submits_are_admitted_in_order() -> None:
    """``submit`` gives places in the order in which they were asked for."""
    pipe, order = gated(), list[int]()
    states = [held() for _ in range(5)]

    async def ask(number: int) -> None:
        await supervisor.submit(pipe, states[number])
        order.append(number)

    async with Supervisor(max_runs=1) as supervisor, anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(ask, number)
            await anyio.wait_all_tasks_blocked()
        waiting = supervisor.snapshot().places.waiting
        for state in states:
            state["go"].set()
            await anyio.wait_all_tasks_blocked()

    assert waiting == 4
    assert order == [0, 1, 2, 3, 4]


async def test_a_cancelled_submit_takes_no_place() -> None:
    """A submit that is cancelled in the queue is passed over, and the next one is admitted."""
    pipe, first = gated(), held()
    scopes = [anyio.CancelScope() for _ in range(2)]
    states = [held(), held()]

    async def ask(number: int) -> None:
        with scopes[number]:
            await supervisor.submit(pipe, states[number])

    async with Supervisor(max_runs=1) as supervisor, anyio.create_task_group() as tasks:
        await supervisor.submit(pipe, first)
        for number in range(2):
            tasks.start_soon(ask, number)
            await anyio.wait_all_tasks_blocked()
        scopes[0].cancel()
        await anyio.wait_all_tasks_blocked()
        for state in (first, *states):
            state["go"].set()

    assert ["began" in state for state in states] == [False, True]
    assert supervisor.snapshot().places.inside == 0


async def test_a_submit_that_is_admitted_and_cancelled_at_once_passes_the_place_on() -> (
    None
):
    """No place is lost when a submit is cancelled just as it is admitted."""
    admission, inside = AdmissionLimiter(1), list[int]()
    scopes = [anyio.CancelScope() for _ in range(2)]

    async def ask(number: int) -> None:
        with scopes[number]:
            await admission.acquire()
            inside.append(number)

    admission.acquire_nowait()
    async with anyio.create_task_group() as tasks:
        for number in range(2):
            tasks.start_soon(ask, number)
            await anyio.wait_all_tasks_blocked()
        # asyncio lets who was called first go on, trio does not: both keep count.
        admission.release()
        scopes[0].cancel()
        await anyio.wait_all_tasks_blocked()
        if inside == [0]:
            admission.release()

    assert inside[-1] == 1
    assert admission.statistics().inside == 1


async def test_a_full_supervisor_rejects_at_once() -> None:
    """The error of ``submit_nowait`` says how full the supervisor is, and the remedy."""
    pipe, state = gated(), held()

    async with Supervisor(max_runs=1) as supervisor:
        supervisor.submit_nowait(pipe, state)
        with pytest.raises(RunRejected, match=r"1 of 1 runs.*max_runs") as caught:
            supervisor.submit_nowait(pipe, held())
        state["go"].set()

    assert caught.value.reason == "1 of 1 runs are at work"


async def test_a_drain_rejects_queued_submits() -> None:
    """A drain rejects the submits in the queue and all later ones."""
    pipe, state, refused = gated(), held(), list[str]()

    async def ask() -> None:
        with pytest.raises(RunRejected) as caught:
            await supervisor.submit(pipe, held())
        refused.append(caught.value.reason)

    async with Supervisor(max_runs=1) as supervisor, anyio.create_task_group() as tasks:
        await supervisor.submit(pipe, state)
        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(supervisor.drain)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RunRejected, match="draining"):
            supervisor.submit_nowait(pipe, held())
        state["go"].set()

    assert refused == ["the supervisor is draining and takes no new runs"]
    with pytest.raises(RunRejected, match="closed"):
        await supervisor.submit(pipe, held())


async def test_a_run_id_begins_one_run() -> None:
    """The same ``run_id`` is the same run, while it runs and after its end."""
    pipe, state, other = gated(), held(), held()

    async with Supervisor() as supervisor:
        run = await supervisor.submit(pipe, state, run_id="order-7")
        again = supervisor.submit_nowait(pipe, other, run_id="order-7")
        state["go"].set()
        await run.wait()
        late = await supervisor.submit(pipe, other, run_id="order-7")

    assert run is again is late
    assert run.run_id == "order-7"
    assert "began" not in other


async def test_two_queued_submits_of_one_run_id_begin_one_run() -> None:
    """Both callers wait in the queue and get the same run."""
    pipe, first, runs = gated(), held(), list[Any]()
    states = [held(), held()]

    async def ask(number: int) -> None:
        runs.append(await supervisor.submit(pipe, states[number], run_id="twin"))

    async with Supervisor(max_runs=1) as supervisor, anyio.create_task_group() as tasks:
        await supervisor.submit(pipe, first)
        tasks.start_soon(ask, 0)
        tasks.start_soon(ask, 1)
        await anyio.wait_all_tasks_blocked()
        for state in (first, *states):
            state["go"].set()

    assert runs[0] is runs[1]
    assert len([state for state in states if "began" in state]) == 1
    assert supervisor.snapshot().places.inside == 0


async def test_a_run_id_belongs_to_one_pipe() -> None:
    """A known ``run_id`` is refused for another pipe, and for a run with a consumer."""
    pipe, other = gated(), Pipe[Any, Any](dict, name="other")
    other.step("s")(lambda state: None)
    state = held()

    async with Supervisor() as supervisor:
        await supervisor.submit(pipe, state, run_id="x")
        with pytest.raises(RunRejected, match="run of pipe 'gated'"):
            await supervisor.submit(other, {}, run_id="x")
        with pytest.raises(RunRejected, match="'x' is at work"):
            await supervisor.run(other, {}, run_id="x").wait()
        state["go"].set()


async def test_ended_runs_are_remembered_up_to_a_bound() -> None:
    """A client's run id is forgotten after 128 later runs with such ids have ended."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.step("s")(lambda state: state.append(1))
    seen: list[int] = []

    async with Supervisor() as supervisor:
        for number in range(129):
            run = await supervisor.submit(pipe, seen, run_id=str(number))
            await run.wait()
        await (await supervisor.submit(pipe, seen, run_id="1")).wait()
        known = len(seen)
        await (await supervisor.submit(pipe, seen, run_id="0")).wait()

    assert (known, len(seen)) == (129, 130)


async def test_a_submitted_run_can_be_found() -> None:
    """``known`` finds running runs, and ended ones whose id a client chose."""
    pipe, state = gated(), held()

    async with Supervisor() as supervisor:
        mine = await supervisor.submit(pipe, state, run_id="mine")
        other = await supervisor.submit(pipe, state)
        at_work = [supervisor.known(one.run_id) for one in (mine, other)]
        state["go"].set()
        for run in (mine, other):
            await run.wait()
        await anyio.wait_all_tasks_blocked()
        ended = [supervisor.known(one.run_id) for one in (mine, other)]

    assert at_work == [mine, other]
    assert ended == [mine, None]


async def test_consumed_runs_need_places_too() -> None:
    """A plain run inside a full supervisor begins when a place is free."""
    pipe, state, begun = gated(), held(), list[str]()

    async def consume() -> None:
        async with pipe.run({"go": state["go"]}) as run:
            begun.append("yes")
            await run.wait()

    async with Supervisor(max_runs=1) as supervisor, anyio.create_task_group() as tasks:
        await supervisor.submit(pipe, state)
        tasks.start_soon(consume)
        await anyio.wait_all_tasks_blocked()
        before = list(begun)
        state["go"].set()

    assert (before, begun) == ([], ["yes"])


async def test_a_run_that_a_step_begins_needs_no_place() -> None:
    """With one place, a step can run another pipe, as a sub-pipeline would."""
    inner: Pipe[Any, Any] = Pipe(dict, name="inner")
    inner.step("s")(lambda state: state.update(inner=True))
    outer: Pipe[Any, Any] = Pipe(dict, name="outer")

    @outer.step
    async def s(state: dict[str, Any]) -> None:
        await inner.run(state).wait()

    state: dict[str, Any] = {}
    async with Supervisor(max_runs=1) as supervisor:
        end = await (await supervisor.submit(outer, state)).wait()

    assert end.status.value == "success"
    assert state == {"inner": True}


async def test_a_run_that_is_cancelled_in_the_queue_ends_at_once() -> None:
    """It ends as CANCELLED without having begun."""
    pipe, state = gated(), held()
    ends: list[Any] = []

    async def consume() -> None:
        ends.append(await waiting.wait())

    async with Supervisor(max_runs=1) as supervisor, anyio.create_task_group() as tasks:
        await supervisor.submit(pipe, state)
        waiting = supervisor.run(pipe, held())
        tasks.start_soon(consume)
        await anyio.wait_all_tasks_blocked()
        waiting.cancel("changed my mind")
        await anyio.wait_all_tasks_blocked()
        early = list(ends)
        state["go"].set()

    assert [(end.status.value, end.error) for end in early] == [
        ("cancelled", "changed my mind")
    ]
    assert supervisor.snapshot().places.inside == 0


async def test_definition_errors_come_before_the_queue() -> None:
    """A pipe with wrong wiring is refused at once, however full the supervisor is."""
    pipe, state = gated(), held()
    broken: Pipe[Any, Any] = Pipe(dict)
    broken.step("s", to="nowhere")(lambda state: None)

    async with Supervisor(max_runs=1) as supervisor:
        await supervisor.submit(pipe, state)
        with pytest.raises(DefinitionError):
            await supervisor.submit(broken, {})
        await checkpoint()
        state["go"].set()


@pytest.mark.parametrize(
    ("options", "words"),
    [({"max_runs": 0}, "at least 1"), ({"grace": -1}, "negative")],
)
def test_invalid_options_are_refused(options: dict[str, Any], words: str) -> None:
    """A supervisor without places, or with a negative grace, raises an error."""
    with pytest.raises(ValueError, match=words):
        Supervisor(**options)
