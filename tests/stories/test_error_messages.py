"""Messages of errors, and of calls that come too early or too late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from justpipe_actors import Event, EventType, Meta, Pipe, Supervisor
from justpipe_actors.abc import Observer, ObserverMeta, validate_observer
from justpipe_actors.cancellation import CancellationToken
from justpipe_actors.errors import RunInterrupted, RunRejected

from ..helpers import sleeping_pipe


def quiet() -> Pipe[Any, Any]:
    """Return a pipe of one step that does nothing."""
    pipe: Pipe[Any, Any] = Pipe(name="quiet")
    pipe.step("s")(lambda: None)
    return pipe


# -- one run


@pytest.mark.virtual_time
async def test_the_repr_of_a_stream_shows_the_state_of_its_run() -> None:
    """It shows whether the run has begun and whether it has ended."""
    run = sleeping_pipe().run({"seconds": 1})
    words = [repr(run)]

    async with run:
        await anext(run)
        words.append(repr(run))
        await run.wait()
    words.append(repr(run))

    about = f"{run.run_id[:8]} of {run.pipe_name!r}"
    assert words[0] == "<RunStream not begun>"
    assert words[1].startswith(f"<RunStream {about}: running for ")
    assert words[2].startswith(f"<RunStream {about}: success after 1.0")


async def test_a_run_that_has_not_begun_has_no_snapshot() -> None:
    """The error has the remedy."""
    with pytest.raises(RuntimeError, match="has not begun; iterate it, enter it"):
        quiet().run(None).snapshot()


async def test_a_stream_begins_its_run_once() -> None:
    """A stream that was read cannot be entered; the pipe can be run again."""
    run = quiet().run(None)
    await run.wait()

    with pytest.raises(RuntimeError, match=r"already begun; call pipe\.run\(\) again"):
        await run.__aenter__()


async def test_a_stream_that_was_closed_unread_has_no_end() -> None:
    """Waiting for a run that was closed before it began raises an error that says so."""
    run = quiet().run(None)
    await run.aclose()

    with pytest.raises(RunInterrupted, match="the stream was closed"):
        await run.wait()


# -- hooks, observers, notes


@pytest.mark.parametrize(
    ("answer", "problem"),
    [(None, "returned None; return the event"), (5, "returned int, expected Event")],
)
async def test_an_event_hook_must_return_an_event(answer: Any, problem: str) -> None:
    """Any other result ends the run with an error."""
    pipe = quiet()

    def lose(event: Event) -> Any:
        return answer if event.type is EventType.STEP_END else event

    pipe.add_event_hook(lose)

    with pytest.raises((TypeError, ValueError), match=problem):
        await pipe.run(None).wait()


async def test_an_event_hook_gets_tokens() -> None:
    """Tokens pass through the hooks as all other events do."""
    pipe: Pipe[Any, Any] = Pipe()

    @pipe.step
    async def talk() -> Any:
        yield 1
        yield 2

    def shout(event: Event) -> Event:
        if event.type is EventType.TOKEN:
            object.__setattr__(event, "payload", event.payload * 10)
        return event

    pipe.add_event_hook(shout)
    async with pipe.run(None) as run:
        tokens = [e.payload async for e in run if e.type is EventType.TOKEN]

    assert tokens == [10, 20]


def test_hooks_of_an_observer_are_coroutine_functions() -> None:
    """A plain function is refused, and the error names the hook."""

    class Plain(Observer):
        def on_event(self, *_: object) -> None: ...  # type: ignore[override]

    with pytest.raises(TypeError, match=r"Plain\.on_event must be declared with async"):
        validate_observer(Plain())


def test_a_meta_made_by_hand_has_no_joins() -> None:
    """Code that makes the meta of a run itself need not know joins."""
    assert ObserverMeta("pipe").waiting() == ()


def test_a_token_keeps_its_first_reason() -> None:
    """A cancellation token shows whether it was cancelled, and why."""
    token = CancellationToken()
    words = [repr(token)]
    token.cancel("enough")
    token.cancel("more")
    words.append(repr(token))

    assert words == [
        "<CancellationToken 'not cancelled'>",
        "<CancellationToken 'enough'>",
    ]
    assert token.is_cancelled()


async def test_only_steps_have_step_notes() -> None:
    """A hook that uses the notes of a step gets an error with the remedy."""

    class Context:
        meta: Meta

    pipe: Pipe[Any, Any] = Pipe(None, Context)
    pipe.step("s")(lambda: None)

    @pipe.on_startup
    def begin(context: Context) -> None:
        context.meta.step.set("a", 1)

    async with pipe.run(None, Context()) as run:
        end = await run.wait()

    assert "only available inside a step; use meta.run" in str(end.error)


# -- supervisors


async def test_a_supervisor_is_opened_once() -> None:
    """A closed supervisor cannot be opened again."""
    async with Supervisor() as supervisor:
        pass

    with pytest.raises(RuntimeError, match="opened once; build another one"):
        await supervisor.__aenter__()


@pytest.mark.parametrize(
    "ask",
    [
        lambda supervisor: supervisor.snapshot(),
        lambda supervisor: supervisor.run(quiet(), None),
        lambda supervisor: supervisor.submit_nowait(quiet(), None),
        lambda supervisor: supervisor.stuck(),
    ],
    ids=["snapshot", "run", "submit_nowait", "stuck"],
)
def test_a_supervisor_that_is_not_open_says_how_to_open_it(
    ask: Callable[[Supervisor], object],
) -> None:
    """Before its block is entered it accepts no runs and has no snapshot."""
    with pytest.raises(RuntimeError, match="use it in 'async with Supervisor"):
        ask(Supervisor())


@pytest.mark.virtual_time
async def test_a_queued_submit_of_a_known_id_gets_that_run() -> None:
    """The id began to run while the submit waited for a place."""
    pipe = sleeping_pipe()
    streams: list[Any] = []

    async def submit(run_id: str) -> None:
        streams.append(await supervisor.submit(pipe, {"seconds": 1}, run_id=run_id))

    async with (
        Supervisor(max_runs=1) as supervisor,
        anyio.create_task_group() as tasks,
    ):
        for run_id in ("first", "twin", "twin"):
            tasks.start_soon(submit, run_id)
            await anyio.wait_all_tasks_blocked()

    assert [stream.run_id for stream in streams] == ["first", "twin", "twin"]
    assert streams[1] is streams[2]


@pytest.mark.virtual_time
async def test_a_queued_submit_of_an_id_of_another_pipe_is_refused() -> None:
    """Another pipe took the id meanwhile; the place is free again."""
    pipe, other = sleeping_pipe(), quiet()
    refused: list[RunRejected] = []

    async def submit_other() -> None:
        with pytest.raises(RunRejected) as caught:
            await supervisor.submit(other, None, run_id="same")
        refused.append(caught.value)

    async with Supervisor(max_runs=1) as supervisor:
        await supervisor.submit(pipe, {"seconds": 1}, run_id="first")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                lambda: supervisor.submit(pipe, {"seconds": 1}, run_id="same")
            )
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(submit_other)
        async with supervisor.run(other, None) as run:
            end = await run.wait()

    assert len(refused) == 1
    assert "same" in str(refused[0])
    assert end.status.value == "success"


async def test_a_service_may_begin_a_run_while_the_supervisor_opens() -> None:
    """The run waits until all services have started."""
    ends: list[str] = []

    async def service(task_status: Any) -> None:
        task_status.started()
        async with supervisor.run(quiet(), None) as run:
            ends.append((await run.wait()).status.value)
        await task_status.stopping.wait()

    async def slow(task_status: Any) -> None:
        await anyio.wait_all_tasks_blocked()
        assert ends == []
        task_status.started()
        await task_status.stopping.wait()

    supervisor = Supervisor()
    supervisor.add_service("begins", service)
    supervisor.add_service("slow", slow)
    async with supervisor:
        await anyio.wait_all_tasks_blocked()
        assert ends == ["success"]
