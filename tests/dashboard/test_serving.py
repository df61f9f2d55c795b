"""The server of the dashboard: on both loops, in a supervisor, closed with open streams."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.dashboard import create_app, dashboard_service
from justpipe_actors.dashboard.serving import address_of, bind, serve_app
from justpipe_actors.storage import PipelineRegistry

from .store import Store


async def ask(port: int, path: str) -> tuple[int, bytes]:
    """Send one request over a new connection; return status and body."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
        await stream.send(head.encode())
        answer = b""
        while True:
            try:
                answer += await stream.receive()
            except anyio.EndOfStream:
                break
    head_text, _, body = answer.partition(b"\r\n\r\n")
    return int(head_text.split()[1]), body


async def test_it_stops_at_once_with_twenty_streams_open(store: Store) -> None:
    """Every reader is told that the stream has ended."""
    await store.run(store.pipe())
    app = create_app(store.registry)
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    stopping, answers = anyio.Event(), list[bytes]()

    async def read() -> None:
        answers.append((await ask(port, "/api/runs/stream"))[1])

    async def stop() -> None:
        with anyio.fail_after(30):
            while app.state.site.streams.open < 20:  # noqa: ASYNC110 - a server is real
                await anyio.sleep(0.01)
        stopping.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve_app, app, listener, stopping.wait)
        for _ in range(20):
            tasks.start_soon(read)
        await stop()
        begin = anyio.current_time()
    took = anyio.current_time() - begin

    assert len(answers) == 20
    assert all(b"event: over" in body for body in answers)
    assert took < 12  # and not until the next comment of each stream


async def test_a_supervisor_serves_it_and_drains(tmp_path: Path) -> None:
    """The Live page shows a running run, then the server ends without an error."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="report")
    begun, release = anyio.Event(), anyio.Event()

    @pipe.step
    async def write() -> None:
        begun.set()
        await release.wait()

    with bind("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    supervisor = Supervisor(pipe, grace=1)
    registry = PipelineRegistry(tmp_path)
    service = dashboard_service(supervisor, port=port, registry=registry)
    supervisor.add_service("dashboard", service, restart="transient")

    async with supervisor:
        run = await supervisor.submit(pipe, {})
        await begun.wait()
        status, body = await ask(port, "/api/live")
        live = json.loads(body)
        release.set()
        await run.wait()

    assert status == 200
    assert [one["run_id"] for one in live["runs"]] == [run.run_id]
    assert live["runs"][0]["tokens"] == {"write": 1}
    (step,) = live["runs"][0]["stuck"]["steps"]
    assert step["step"] == "write"
    assert any("test_serving.py" in line for line in step["where"])


def test_a_public_address_needs_a_token(tmp_path: Path) -> None:
    """An interface that other machines reach is refused without one."""
    supervisor = Supervisor(Pipe(dict, name="report"))

    with pytest.raises(ValueError, match="pass token="):
        dashboard_service(supervisor, host="0.0.0.0")


def test_the_next_free_port_is_taken() -> None:
    """Without further attempts a taken port is an error."""
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with bind("127.0.0.1", port, tries=20) as second:
            assert second.getsockname()[1] > port
            assert address_of(second) == f"http://127.0.0.1:{second.getsockname()[1]}/"
        with pytest.raises(OSError, match="in use"):
            bind("127.0.0.1", port)
