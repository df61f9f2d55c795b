"""What readers of a run cost behind a real HTTP server: 20 of them, 100 events a second.

``python tests/benchmarks/http_streams.py`` serves ``event_stream`` with anycorn on both
loops, and with uvicorn where it is installed, to readers in another process.  It prints
the CPU time of the server's process for each event and reader, beyond what the run and
the server take without readers, and fails above the limit.

The second that took the least counts: programs that share the cores make all others
dearer, since they share their caches and execution units, too.
"""

from __future__ import annotations

import argparse
import importlib.util
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import attrs
from anycorn import Config, serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from streams import RATE, READERS, streaming_pipe

from justpipe_actors import Supervisor
from justpipe_actors.web import event_stream


LIMIT = 60e-6
"""CPU seconds of the server for one event and reader."""

Second = tuple[float, int]
"""CPU seconds, and events that were sent to all readers."""

Server = Callable[[Any, socket.socket, anyio.Event], Awaitable[None]]
"""Serves an application on a socket until the event is set."""


# -- the readers, in a process of their own


def read_all(port: int, readers: int) -> None:
    """Read the stream in so many threads, and print how many events came in all."""
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(read_one(port)))
        for _ in range(readers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sum(counts))


def read_one(port: int) -> int:
    """Read one stream to its end, and return how many events came."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        while b"event: finish" not in received:
            received += connection.recv(65_536)
    return received.count(b"event: ")


# -- the server


async def serve_with_anycorn(
    app: Any, listener: socket.socket, stopping: anyio.Event
) -> None:
    """Serve with the server of the extra ``dashboard``."""
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.accesslog = config.errorlog = None
    await serve(app, config, shutdown_trigger=stopping.wait)


async def serve_with_uvicorn(
    app: Any, listener: socket.socket, stopping: anyio.Event
) -> None:
    """Serve with the server that many applications use; on asyncio only."""
    uvicorn = importlib.import_module("uvicorn")
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve, [listener])
        await stopping.wait()
        server.should_exit = True


@attrs.define
class Sent:
    """Counts what an application sends."""

    app: Any
    parts: int = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""

        async def sending(message: Any) -> None:
            self.parts += message["type"] == "http.response.body"
            await send(message)

        await self.app(scope, receive, sending)


async def measure(server: Server, seconds: float, readers: int) -> list[Second]:
    """Return what each second of one run with so many readers took."""
    pipe = streaming_pipe(seconds)
    all_here, begun, stopping = anyio.Event(), anyio.Event(), anyio.Event()
    arrived = 0

    async def follow(request: Request) -> Any:
        nonlocal arrived
        arrived += 1
        if arrived == readers:
            all_here.set()
        await begun.wait()
        return event_stream(supervisor.listen("watched"), on_disconnect="detach")

    app = Sent(Starlette(routes=[Route("/", follow)]))
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    command = [sys.executable, __file__, "--read", str(port), str(readers)]
    received = 0

    async def read() -> None:
        nonlocal received
        received = int((await anyio.run_process(command, stderr=None)).stdout)

    async with Supervisor(pipe) as supervisor, anyio.create_task_group() as tasks:
        tasks.start_soon(server, app, listener, stopping)
        async with anyio.create_task_group() as reading:
            if readers:
                reading.start_soon(read)
                await all_here.wait()
            run = await supervisor.submit(pipe, {}, run_id="watched")
            begun.set()
            taken = await watch_seconds(app, int(seconds))
            await run.wait()
        stopping.set()
    if received < readers * int(seconds * RATE):
        msg = f"only {received} events came to the readers"
        raise RuntimeError(msg)
    return taken


async def watch_seconds(app: Sent, seconds: int) -> list[Second]:
    """Return the CPU time and the number of events sent of each second but the first."""
    begin = anyio.current_time()
    taken: list[Second] = []
    for number in range(1, seconds):
        before, sent = time.process_time(), app.parts
        await anyio.sleep_until(begin + number)
        taken.append((time.process_time() - before, app.parts - sent))
    return taken[1:]  # the first one has the start of the run


def cost_of(watched: list[Second], alone: list[Second]) -> float:
    """Return the CPU time of an event and reader in the second that took the least."""
    least = min(cpu for cpu, _ in alone)
    return min((cpu - least) / sent for cpu, sent in watched if sent)


def servers() -> list[tuple[str, str, Server]]:
    """Return the names of servers and loops, and the servers."""
    found: list[tuple[str, str, Server]] = [
        ("anycorn", "asyncio", serve_with_anycorn),
        ("anycorn", "trio", serve_with_anycorn),
    ]
    if importlib.util.find_spec("uvicorn") is None:
        return found
    return [*found, ("uvicorn", "asyncio", serve_with_uvicorn)]


def main() -> int:
    """Measure all servers; with ``--read`` be the readers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--read", type=int, nargs=2, metavar=("PORT", "READERS"))
    arguments = parser.parse_args()
    if arguments.read:
        read_all(*arguments.read)
        return 0
    seconds, worst = arguments.seconds, 0.0
    for name, backend, server in servers():
        costs = []
        for _ in range(3):
            alone = anyio.run(measure, server, seconds, 0, backend=backend)
            watched = anyio.run(measure, server, seconds, READERS, backend=backend)
            costs.append(cost_of(watched, alone))
        worst = max(worst, min(costs))
        shown = ", ".join(f"{cost * 1e6:.1f}" for cost in costs)
        print(f"{name} on {backend}: {shown} µs for an event and reader")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
