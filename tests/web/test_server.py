"""``event_stream`` behind a real server, on both loops."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream, TaskStatus

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.web import event_stream


anycorn = pytest.importorskip("anycorn")
applications = pytest.importorskip("starlette.applications")
routing = pytest.importorskip("starlette.routing")


pipe: Pipe[Any, Any] = Pipe(dict, name="served")


@pipe.step
async def talk(state: dict[str, Any]) -> AsyncIterator[int]:
    """Yield five numbers, wait, and yield another one."""
    for number in range(5):
        yield number
    await state["go"].wait()
    yield 5


async def read_events(port: int, count: int, last_id: str = "") -> list[str]:
    """Connect as a browser does, read some events, and disconnect."""
    async with await connect(port, last_id) as stream:
        received = await read(stream, count)
    lines = received.decode().replace("\r\n", "\n").split("\n")
    return [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]


async def connect(port: int, last_id: str = "") -> SocketStream:
    """Request the events after a number."""
    request = f"GET / HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {last_id}\r\n\r\n"
    stream = await anyio.connect_tcp("127.0.0.1", port)
    await stream.send(request.encode())
    return stream


async def read(stream: SocketStream, count: int) -> bytes:
    """Read until some events have come."""
    received = b""
    while received.count(b"event: ") < count:
        received += await stream.receive()
    return received


async def stay(port: int, *, task_status: TaskStatus[None]) -> None:
    """Stay connected until the server ends the response."""
    async with await connect(port) as stream:
        await read(stream, 7)
        task_status.started()
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            await read(stream, 100)


async def test_a_browser_reconnects_and_the_server_stops() -> None:
    """A dropped connection resumes exactly, and open streams do not delay the shutdown."""
    listener = socket.create_server(("127.0.0.1", 0))
    port, go = listener.getsockname()[1], anyio.Event()
    supervisor = Supervisor(pipe, grace=0.2)

    async def follow(request: Any) -> Any:
        events = supervisor.listen("r", after=request.headers.get("last-event-id"))
        return event_stream(events, on_disconnect="detach")

    app: Any = applications.Starlette(routes=[routing.Route("/", follow)])

    async def server(task_status: Any) -> None:
        config = anycorn.Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.accesslog = config.errorlog = None
        config.graceful_timeout = 30
        task_status.started()
        stopping = task_status.stopping.wait
        await anycorn.serve(app, config, shutdown_trigger=stopping)

    supervisor.add_service("server", server, shutdown=20)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            async with supervisor:
                await supervisor.submit(pipe, {"go": go}, run_id="r")
                first = await read_events(port, 4)
                rest = await read_events(port, 3, first[-1])
                for _ in range(3):
                    await tasks.start(stay, port)
                began = time.monotonic()
            seconds = time.monotonic() - began

    assert first + rest == ["1", "2", "3", "4", "5", "6", "7"]
    assert seconds < 15
