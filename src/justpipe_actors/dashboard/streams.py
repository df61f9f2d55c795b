"""Server-sent events: one producer for any number of readers.

A ``Feed`` produces one text for all its readers, and no text while it has no readers.
The first reader produces the next text and the other readers wait for it, so the feed
needs no background task.  ``EventStream`` is the ASGI response: it detects when the
client disconnects, keeps the connection alive, and ends when the server stops.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

import anyio
import attrs
from starlette.types import Receive, Scope, Send

from .errors import RequestError


PING = 15.0
"""Seconds between two comments that keep a quiet connection open."""

MAX_STREAMS = 64
"""Maximum number of open connections."""

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


def message(event: str, data: str, number: int | str | None = None) -> bytes:
    """Return one event of a stream; the data are JSON, which has no line breaks."""
    name = "" if number is None else f"id: {number}\n"
    return f"event: {event}\n{name}data: {data}\n\n".encode()


Emit = Callable[[str, str, int | None], Awaitable[None]]
"""Sends one event: its name, its data as JSON, and its number if it has one."""


Row = tuple[int | None, str]
"""An event's number if it has one, and its row as JSON."""

MESSAGE_SIZE = 64_000
"""Characters of the rows of one message, unless a single row is longer."""


async def emit_rows(rows: Sequence[Row], emit: Emit) -> None:
    """Emit rows of events as messages of a limited size."""
    for part in messages(rows):
        text = ",".join(row for _, row in part)
        number = next((number for number, _ in reversed(part) if number), None)
        await emit("events", f"[{text}]", number)


def messages(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """Split rows into messages; a row that is longer is a message of its own."""
    part: list[Row] = []
    length = 0
    for row in rows:
        if part and length + len(row[1]) > MESSAGE_SIZE:
            yield part
            part, length = [], 0
        part.append(row)
        length += len(row[1]) + 1
    if part:
        yield part


@attrs.define(eq=False)
class Source:
    """The source of the texts of a feed."""

    produce: Callable[[], Awaitable[str]]
    """Makes the next text."""
    period: float
    """Seconds between two texts; ``produce`` may change it."""


@attrs.define(eq=False)
class Feed:
    """The latest text of a source, for all readers.

    Equal successive texts count as one.
    """

    source: Source
    """Makes the texts."""
    number: int = attrs.field(default=0, init=False)
    """Number of texts so far."""
    text: str = attrs.field(default="", init=False)
    """The latest text."""
    readers: int = attrs.field(default=0, init=False)
    """Number of current readers."""
    _lock: anyio.Lock = attrs.field(factory=anyio.Lock, init=False)
    _made_at: float = attrs.field(default=float("-inf"), init=False)

    async def after(self, seen: int) -> tuple[int, str]:
        """Return the latest text and its number, once it is later than one."""
        while self.number <= seen:
            async with self._lock:
                if self.number <= seen:
                    await self._make()
        return self.number, self.text

    async def _make(self) -> None:
        await anyio.sleep_until(self._made_at + self.source.period)
        self._made_at = anyio.current_time()
        text = await self.source.produce()
        if text != self.text or not self.number:
            self.text = text
            self.number += 1


@attrs.define(eq=False)
class Streams:
    """All open streams of one application."""

    feeds: dict[str, Feed] = attrs.field(factory=dict, init=False)
    """Feeds that have readers, by name."""
    stopping: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    """Set when the server stops: every stream says so and ends."""
    open: int = attrs.field(default=0, init=False)
    """Number of open connections."""

    def statistics(self) -> dict[str, int]:
        """Return how many connections and producers there are."""
        return {"open": self.open, "feeds": len(self.feeds)}

    async def send(
        self,
        name: str,
        event: str,
        source: Source,
        emit: Emit,
    ) -> None:
        """Emit a feed's texts from the latest one on, until its source is gone."""
        try:
            with self.reading(name, source) as feed:
                seen = feed.number - 1 if feed.number else 0
                while True:
                    seen, text = await feed.after(seen)
                    await emit(event, text, None)
        except RequestError as error:
            await emit("over", json.dumps({"detail": error.detail}), None)

    @contextmanager
    def reading(self, name: str, source: Source) -> Generator[Feed]:
        """Give one more reader a feed, which exists while it has readers."""
        feed = self.feeds.setdefault(name, Feed(source))
        feed.readers += 1
        try:
            yield feed
        finally:
            feed.readers -= 1
            if not feed.readers:
                self.feeds.pop(name, None)


class EventStream:
    """One connection, as an ASGI answer.

    Args:
        streams: those it belongs to.
        body: emits what is to be sent; the connection ends with it.
        ping: seconds between two comments.
    """

    def __init__(
        self,
        streams: Streams,
        body: Callable[[Emit], Awaitable[None]],
        *,
        ping: float = PING,
    ) -> None:
        self._streams = streams
        self._body = body
        self._ping = ping
        self._lock = anyio.Lock(fast_acquire=True)  # perf: sending yields
        self._has_left = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the client leaves, the body ends or the server stops."""
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        self._streams.open += 1
        try:
            async with anyio.create_task_group() as tasks:
                for work in (
                    self._wait_disconnect,
                    self._keep_alive,
                    self._end,
                    self._send_all,
                ):
                    tasks.start_soon(self._first, work, tasks, receive, send)
        except* OSError:  # the connection broke
            self._has_left = True
        finally:
            self._streams.open -= 1
        if not self._has_left:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _first(
        self,
        work: Callable[[Receive, Send], Awaitable[None]],
        tasks: anyio.abc.TaskGroup,
        receive: Receive,
        send: Send,
    ) -> None:
        """Run one of the parts, and cancel the others when it ends."""
        await work(receive, send)
        tasks.cancel_scope.cancel()

    async def _write(self, send: Send, data: bytes) -> None:
        async with self._lock:
            await send({"type": "http.response.body", "body": data, "more_body": True})

    async def _wait_disconnect(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._has_left = True

    async def _keep_alive(self, receive: Receive, send: Send) -> None:
        while True:
            await anyio.sleep(self._ping)
            await self._write(send, b": ping\n\n")

    async def _end(self, receive: Receive, send: Send) -> None:
        await self._streams.stopping.wait()
        await self._write(send, message("over", "{}"))

    async def _send_all(self, receive: Receive, send: Send) -> None:
        async def emit(event: str, data: str, number: int | None) -> None:
            await self._write(send, message(event, data, number))

        await self._write(send, b"retry: 2000\n\n")
        await self._body(emit)
