"""``event_stream``: a run as server-sent events, in any ASGI application."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from hypothesis import given, settings, strategies as st

from justpipe_actors import Event, EventType, Pipe, Supervisor
from justpipe_actors.outcomes import PipelineTerminalStatus
from justpipe_actors.storage import InMemoryBackend
from justpipe_actors.web import event_stream

from .client import Response, fetch


def waiting(**options: Any) -> Pipe[Any, Any]:
    """Return a pipe that yields two words, waits for ``state["go"]``, and yields a last one."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="waiting", **options)

    @pipe.step
    async def talk(state: dict[str, Any]) -> AsyncIterator[str]:
        yield "one"
        yield "two"
        try:
            await state["go"].wait()
        finally:
            state["left"] = True
        yield "three"

    return pipe


async def test_a_run_is_sent_as_numbered_events() -> None:
    """Each event has its number, its type and its JSON; the response ends with the run."""
    go = anyio.Event()
    go.set()
    response = await fetch(event_stream(waiting().run({"go": go})))

    assert response.status == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert [(number, kind) for number, kind, _ in response.events] == [
        ("1", "start"),
        ("2", "step_start"),
        ("3", "token"),
        ("4", "token"),
        ("5", "token"),
        ("6", "step_end"),
        ("7", "finish"),
    ]
    assert response.data()[2]["payload"] == "one"
    assert response.data()[2]["seq"] == 3
    assert response.ended


async def test_with_cancel_a_disconnect_ends_the_run() -> None:
    """Nothing of the run is left when the response has ended."""
    state: dict[str, Any] = {"go": anyio.Event()}
    run = waiting().run(state)
    with anyio.fail_after(30):
        response = await fetch(event_stream(run), leave_after=4)

    assert state["left"]
    assert run.end is not None
    assert run.end.status is PipelineTerminalStatus.CLIENT_CLOSED
    assert len(response.events) == 4


async def test_with_detach_a_client_resumes_without_a_gap() -> None:
    """The run goes on, and Last-Event-ID resumes it exactly."""
    go = anyio.Event()
    pipe = waiting()
    async with Supervisor(pipe) as supervisor:
        run = await supervisor.submit(pipe, {"go": go}, run_id="r")

        def app(last_id: str | None) -> Any:
            events = supervisor.listen("r", after=last_id)
            return event_stream(events, on_disconnect="detach")

        first = await fetch(app(None), leave_after=3)
        was_open = run.end is None
        go.set()
        second = await fetch(app(first.last_id))
        third = await fetch(app(second.last_id))

    sent = first.events + second.events
    assert [int(number or 0) for number, _, _ in sent] == [1, 2, 3, 4, 5, 6, 7]
    assert was_open
    assert run.end is not None
    assert run.end.status is PipelineTerminalStatus.SUCCESS
    assert third.status == 204  # a browser does not come again


async def test_a_listener_can_end_the_run_it_reads() -> None:
    """With ``cancel`` the disconnect of a client ends a submitted run."""
    pipe, state = waiting(), {"go": anyio.Event()}
    async with Supervisor(pipe) as supervisor:
        run = await supervisor.submit(pipe, state, run_id="r")
        await fetch(event_stream(supervisor.listen("r")), leave_after=3)
        end = await run.wait()

    assert end.status is PipelineTerminalStatus.CLIENT_CLOSED


@pytest.mark.virtual_time
async def test_a_quiet_run_keeps_the_connection_open() -> None:
    """A comment is sent after every ``ping`` seconds without an event."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="quiet")

    @pipe.step
    async def sleep(state: Any) -> None:
        await anyio.sleep(50)

    pinged = await fetch(event_stream(pipe.run({}), ping=15))
    silent = await fetch(event_stream(pipe.run({}), ping=None))

    assert pinged.body.count(b": ping\n\n") == 3
    assert silent.body.count(b": ping") == 0


async def test_types_and_map_choose_what_is_sent() -> None:
    """Types leave events out; ``map`` returns text, JSON, or nothing."""
    go = anyio.Event()
    go.set()

    def shout(event: Event) -> object:
        return None if event.payload == "two" else f"{event.payload}!\nnext"

    tokens = {EventType.TOKEN}
    text = await fetch(event_stream(waiting().run({"go": go}), types=tokens, map=shout))
    whole = await fetch(
        event_stream(waiting().run({"go": go}), after="5", map=lambda e: {"n": e.seq})
    )

    assert [data for _, _, data in text.events] == ["one!\nnext", "three!\nnext"]
    assert whole.data() == [{"n": 6}, {"n": 7}]


async def test_invalid_settings_are_refused_at_once() -> None:
    """The call raises an error with the remedy."""
    run = waiting().run({})
    with pytest.raises(ValueError, match="submit"):
        event_stream(run, on_disconnect="detach")
    with pytest.raises(ValueError, match="on_disconnect"):
        event_stream(run, on_disconnect="leave")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="ping"):
        event_stream(run, ping=0)
    with pytest.raises(ValueError, match="Last-Event-ID"):
        event_stream(run, after="x")
    await run.aclose()


async def test_what_has_no_events_is_refused_with_the_remedy() -> None:
    """Examples are a pipe, and a ``submit`` without ``await``."""
    pipe = waiting()
    wrong: Any = pipe

    with pytest.raises(TypeError, match=r"not Pipe: pass pipe\.run\(state\)"):
        event_stream(wrong)
    async with Supervisor(pipe) as supervisor:
        wrong = supervisor.submit(pipe, {})
        with pytest.raises(TypeError, match=r"await Supervisor\.submit\(\) first"):
            event_stream(wrong)


async def test_an_error_before_the_first_event_is_raised_to_the_caller() -> None:
    """A closed supervisor refuses before anything is sent."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="broken")
    pipe.step("a", to="nowhere")(lambda state: None)
    with pytest.raises(Exception, match="nowhere"):
        await fetch(event_stream(pipe.run({})))


async def test_a_broken_connection_ends_the_run() -> None:
    """An OSError of the server's ``send`` counts as a disconnect."""
    state: dict[str, Any] = {"go": anyio.Event()}
    run = waiting().run(state)
    sent = 0

    async def receive() -> dict[str, Any]:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        nonlocal sent
        sent += 1
        if sent > 3:
            raise OSError

    with anyio.fail_after(30):
        await event_stream(run)({"type": "http"}, receive, send)  # type: ignore[arg-type]
    assert run.end is not None
    assert run.end.status is PipelineTerminalStatus.CLIENT_CLOSED


async def test_a_stream_ends_with_the_supervisor() -> None:
    """Open streams do not keep a supervisor from closing."""
    pipe, state = waiting(), {"go": anyio.Event()}
    responses: list[Response] = []
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:

            async def client(app: Any) -> None:
                responses.append(await fetch(app))

            async with Supervisor(pipe, grace=0) as supervisor:
                await supervisor.submit(pipe, state, run_id="r")
                app = event_stream(supervisor.listen("r"), on_disconnect="detach")
                tasks.start_soon(client, app)
                await anyio.wait_all_tasks_blocked()

    assert responses[0].ended
    assert responses[0].events[-1][1] == "finish"


@pytest.mark.parametrize("framework", ["starlette", "fastapi"])
async def test_frameworks_can_return_it(framework: str) -> None:
    """An endpoint of Starlette or FastAPI returns it like any response."""
    go = anyio.Event()
    go.set()
    pytest.importorskip(framework)

    async def endpoint() -> Any:
        return event_stream(waiting().run({"go": go}))

    app: Any
    if framework == "starlette":
        from starlette.applications import Starlette
        from starlette.routing import Route

        async def for_starlette(request: Any) -> Any:
            return await endpoint()

        app = Starlette(routes=[Route("/", for_starlette)])
    else:
        from fastapi import FastAPI

        app = FastAPI()
        app.get("/", response_model=None)(endpoint)
    response = await fetch(app)

    assert response.status == 200
    assert response.events[-1][1] == "finish"


def test_it_imports_no_framework() -> None:
    """The package works where neither Starlette nor FastAPI is installed."""
    code = "import sys, justpipe_actors.web; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert not {"starlette", "fastapi", "anycorn"} & set(done.stdout.split())


cuts = st.lists(st.integers(1, 6), max_size=5)


@settings(max_examples=15)
@given(cuts=cuts, keep=st.integers(0, 8), count=st.integers(1, 12))
async def test_a_client_gets_the_stored_events(
    cuts: list[int], keep: int, count: int
) -> None:
    """This holds whatever is kept and whenever the client disconnects."""
    store = InMemoryBackend()
    pipe: Pipe[Any, Any] = Pipe(dict, name="any", storage=store)

    @pipe.step
    async def talk(state: Any) -> AsyncIterator[int]:
        for number in range(count):
            await anyio.lowlevel.checkpoint()
            yield number

    got: list[tuple[str | None, str, str]] = []
    last: str | None = None
    async with Supervisor(pipe, keep=keep) as supervisor:
        await supervisor.submit(pipe, {}, run_id="r", queue_size=1)
        for cut in [*cuts, None]:
            events = supervisor.listen("r", after=last)
            app = event_stream(events, on_disconnect="detach")
            response = await fetch(app, leave_after=cut)
            got += response.events
            last = response.last_id or last

    stored = store.get_events("r")
    assert [int(number or 0) for number, _, _ in got] == [e.seq for e in stored]
    assert [kind for _, kind, _ in got] == [e.type_name for e in stored]


async def test_readers_of_one_run_get_the_same_text() -> None:
    """An event is encoded once for all its readers, and is never mixed up with another."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="spoken")

    @pipe.step
    async def speak() -> AsyncIterator[str]:
        for number in range(200):
            yield f"word {number}"

    responses: list[Response] = []

    async def read() -> None:
        events = supervisor.listen("shared")
        responses.append(await fetch(event_stream(events, on_disconnect="detach")))

    async with Supervisor(pipe) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="shared")
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(read)
        await run.wait()

    first, *others = [response.data() for response in responses]
    words = [data["payload"] for data in first if data["type"] == "token"]
    assert words == [f"word {number}" for number in range(200)]
    assert others == [first, first]
