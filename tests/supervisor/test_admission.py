"""Who may come in: places, the line before them, and runs known by their client's id."""

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


async def test_a_submitted_run_needs_nobody_to_look() -> None:
    """A submitted run ends without a consumer, and its last events are still there."""
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


async def test_tokens_are_dropped_before_the_events_of_the_run() -> None:
    """A run that says too much loses its oldest tokens and none of its own events."""
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
    """Two readers, one early and one late, both get all events of a submitted run."""
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


async def test_a_reader_that_is_cancelled_leaves_a_submitted_run_alone() -> None:
    """Who stops reading, or drops the stream, does not stop a submitted run."""
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
    """``aclose()`` of a submitted run is a wish to end it, as for any run."""
    async with Supervisor() as supervisor:
        run = await supervisor.submit(gated(), held())
        await run.aclose()
        runs = supervisor.snapshot().runs

    assert run.end is not None
    assert run.end.status.value == "client_closed"
    assert runs == {}


async def test_who_comes_first_is_served_first() -> None:
    """``submit`` gives places in the order in which it was asked for them."""
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


async def test_who_gives_up_waiting_takes_no_place() -> None:
    """A submit that is cancelled in line is passed over, and the next one is served."""
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


async def test_who_is_called_and_cancelled_at_once_hands_the_place_on() -> None:
    """A place is never lost between who leaves and who is just giving up."""
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
    """``submit_nowait`` says how full it is and what to do about it."""
    pipe, state = gated(), held()

    async with Supervisor(max_runs=1) as supervisor:
        supervisor.submit_nowait(pipe, state)
        with pytest.raises(RunRejected, match=r"1 of 1 runs.*max_runs") as caught:
            supervisor.submit_nowait(pipe, held())
        state["go"].set()

    assert caught.value.reason == "1 of 1 runs are at work"


async def test_who_waits_while_a_drain_begins_is_rejected() -> None:
    """A drain turns away who stands in line, and everybody after that."""
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


async def test_a_run_of_a_client_begins_once() -> None:
    """The same ``run_id`` is the same run, at work and after its end."""
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


async def test_twins_in_line_become_one_run() -> None:
    """Two submits of one ``run_id`` that both have to wait begin one run between them."""
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


async def test_an_id_belongs_to_one_pipe() -> None:
    """A known ``run_id`` is refused for another pipe and for a run that is consumed."""
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
    """A client's id is forgotten once 128 others have ended after it."""
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
    """``known`` finds runs at work, and ended ones whose id their client chose."""
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


async def test_consumed_runs_count_and_wait() -> None:
    """A plain run inside a full supervisor begins when there is a place for it."""
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
    """With one place, a step can still run another pipe, as a sub-pipeline would."""
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


async def test_a_run_that_is_cancelled_in_line_says_so() -> None:
    """Cancelling a run that waits for its turn ends it now, as CANCELLED."""
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


async def test_definition_errors_come_before_the_line() -> None:
    """A pipe that is wired wrongly is refused at once, however full it is."""
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
def test_nonsense_is_refused(options: dict[str, Any], words: str) -> None:
    """A supervisor without places or with a negative grace cannot be built."""
    with pytest.raises(ValueError, match=words):
        Supervisor(**options)
