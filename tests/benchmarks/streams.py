"""What readers of a run cost: 20 browsers that watch one run of 100 events a second.

``python tests/benchmarks/streams.py`` prints the CPU time that each reader takes for an
event, beyond what the run takes alone, and what it costs that readers could come.  It
fails above the limits.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from starlette.types import Message

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.dashboard import create_app
from justpipe_actors.web import event_stream


READERS = 20
RATE = 100
"""Events of the run in one second."""

LIMIT = 60e-6
"""CPU seconds that one reader may take for one event."""

TOKENS = 20_000
"""Events of a run without readers."""

MOST_WITHOUT_READERS = 1.05
"""Time of a run that keeps its last events, as a part of one that keeps none."""

App = Callable[..., Awaitable[None]]


def streaming_pipe(seconds: float) -> Pipe[Any, Any]:
    """Return a pipe with one step that streams at a steady rate."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="streaming")

    @pipe.step
    async def speak() -> Any:
        begin = anyio.current_time()
        for number in range(int(seconds * RATE)):
            await anyio.sleep_until(begin + number / RATE)
            yield f"word {number}"

    return pipe


async def read(app: App, path: str) -> int:
    """Read a stream to its end, and return how many bytes came."""
    size = 0
    never = anyio.Event()

    async def receive() -> Message:
        await never.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal size
        size += len(message.get("body", b""))

    headers = [(b"host", b"127.0.0.1:8741")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "server": ("127.0.0.1", 8741),
        "client": ("127.0.0.1", 50000),
    }
    await app(scope, receive, send)
    return size


async def measure(kind: str, seconds: float, readers: int) -> float:
    """Return the CPU seconds of one run with so many readers."""
    pipe = streaming_pipe(seconds)
    async with Supervisor(pipe) as supervisor:
        dashboard = create_app(supervisor=supervisor)
        begin = time.process_time()
        run = await supervisor.submit(pipe, {})
        async with anyio.create_task_group() as tasks:
            for _ in range(readers):
                if kind == "dashboard":
                    path = f"/api/runs/{run.run_id}/stream"
                    tasks.start_soon(read, dashboard, path)
                else:
                    events = supervisor.listen(run.run_id)
                    stream = event_stream(events, on_disconnect="detach")
                    tasks.start_soon(read, stream, "/")
            await run.wait()
        return time.process_time() - begin


async def speak_alone(keep: int) -> float:
    """Return the CPU seconds of a run of many tokens that nobody watches."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="alone")

    @pipe.step
    async def speak() -> Any:
        for number in range(TOKENS):
            yield number

    async with Supervisor(pipe, keep=keep) as supervisor:
        begin = time.process_time()
        async with supervisor.run(pipe, {}) as run:
            async for _ in run:
                pass
        return time.process_time() - begin


def cost_without_readers(backend: str) -> float:
    """Return the median ratio of interleaved pairs: events kept, and not kept."""
    ratios = []
    for _ in range(15):
        without = anyio.run(speak_alone, 0, backend=backend)
        ratios.append(anyio.run(speak_alone, 500, backend=backend) / without)
    return statistics.median(ratios)


def main() -> int:
    """Measure both kinds of streams on both loops."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4.0)
    seconds = parser.parse_args().seconds
    worst = 0.0
    without = 0.0
    for backend in ("asyncio", "trio"):
        ratio = cost_without_readers(backend)
        without = max(without, ratio)
        print(f"{backend:8} no readers    {ratio:6.3f} of a run that keeps no events")
        for kind in ("dashboard", "event_stream"):
            costs = []
            for _ in range(3):
                alone = anyio.run(measure, kind, seconds, 0, backend=backend)
                watched = anyio.run(measure, kind, seconds, READERS, backend=backend)
                costs.append((watched - alone) / (READERS * RATE * seconds))
            cost = min(costs)
            worst = max(worst, cost)
            print(f"{backend:8} {kind:13} {cost * 1e6:6.1f} µs for an event and reader")
    return int(worst > LIMIT or without > MOST_WITHOUT_READERS)


if __name__ == "__main__":
    sys.exit(main())
