"""A run as server-sent events.

::

    id: 17                     Event.seq; a browser sends it back as Last-Event-ID
    event: token               Event.type
    data: {"type": ...}        the whole event as JSON, or what ``map`` returned

Three tasks share one task group: one sends events, one waits for the client to
disconnect, one sends comments while no events come.  The first to finish cancels the
others, and the run as well if it belongs to the request.
"""

from __future__ import annotations

import re
import sys
import weakref
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    MutableMapping,
)
from functools import lru_cache
from types import CoroutineType
from typing import Any, Literal, cast, get_args

import anyio

from .._run.run_stream import RunStream
from .._supervisor.listener import Listener, parse_number
from ..codec import to_text
from ..events import Event, EventType


OnDisconnect = Literal["cancel", "detach"]
"""Effect of a client's disconnect on the run: it is cancelled, or it goes on."""

Message = MutableMapping[str, Any]
"""A message of ASGI."""

Receive = Callable[[], Awaitable[Message]]
"""Returns the next message of the server."""

Send = Callable[[Message], Awaitable[None]]
"""Sends a message to the server."""

PING = b": ping\n\n"
"""A comment: it keeps a quiet connection open, and browsers ignore it."""

RETRY = b"retry: 2000\n\n"
"""Milliseconds after which a browser connects again."""

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
"""Headers that tell proxies not to buffer or change the events."""

NO_CONTENT = 204
"""Tells a browser that asks for events after the last one not to come again."""


def event_stream(
    source: AsyncIterable[Event],
    *,
    on_disconnect: OnDisconnect = "cancel",
    after: int | str | None = None,
    types: Collection[EventType] | None = None,
    ping: float | None = 15.0,
    map: Callable[[Event], object] | None = None,  # noqa: A002 - the documented name
) -> EventStream:
    """Return a run as an ASGI response of server-sent events.

    Args:
        source: a run of ``pipe.run`` or ``supervisor.submit``, what
            ``supervisor.listen`` returns, or any other iterable of events.
        on_disconnect: ``cancel`` ends the run when the client leaves, all of it;
            ``detach`` lets it go on, and the client may come back for the rest.
        after: leave out events up to this number, as a number or as the text of a
            ``Last-Event-ID`` header; ``supervisor.listen`` does this by itself.
        types: send only events of these types.
        ping: seconds of silence after which a comment is sent; None sends none.
        map: returns what is sent of an event: text as it is, None for nothing, and any
            other value as JSON.

    Raises:
        TypeError: the source has no events, such as a pipe or a coroutine.
        ValueError: ``on_disconnect`` is neither of the two, ``ping`` is not positive,
            ``after`` is no number, or a run is to be detached that ends with its
            consumer.
    """
    _check_source(source)
    if on_disconnect not in get_args(OnDisconnect):
        msg = f"on_disconnect must be 'cancel' or 'detach', not {on_disconnect!r}."
        raise ValueError(msg)
    if ping is not None and not ping > 0:
        msg = f"ping must be positive, or None for none, not {ping!r}."
        raise ValueError(msg)
    is_consumed = isinstance(source, RunStream) and not source.is_submitted
    if is_consumed and on_disconnect == "detach":
        msg = (
            "A run of pipe.run() ends with its consumer and cannot be detached; "
            "submit() it to a supervisor and pass supervisor.listen(run_id)."
        )
        raise ValueError(msg)
    return _response_class()(
        source,
        cancels=on_disconnect == "cancel",
        after=parse_number(after),
        types=None if types is None else frozenset(types),
        ping=ping,
        map_event=map,
    )


def _check_source(source: object) -> None:
    if hasattr(source, "__aiter__"):
        return
    remedy = "pass pipe.run(state), or what supervisor.listen(run_id) returns"
    if isinstance(source, CoroutineType):
        source.close()  # else Python warns of it, too
        remedy = f"await {source.__qualname__}() first, and pass what it returns"
    msg = f"event_stream() takes a run, not {type(source).__name__}: {remedy}."
    raise TypeError(msg)


class EventStream:
    """A response that sends a run's events until it ends, or the client leaves.

    Args:
        source: the events.
        cancels: whether the run ends when the client leaves.
        after: the last number that is left out.
        types: the types that are sent; None for all.
        ping: seconds of silence after which a comment is sent.
        map_event: returns what is sent of an event.
    """

    # What Starlette and FastAPI look at in a response.
    status_code = 200
    background: Any = None
    media_type = "text/event-stream"

    def __init__(
        self,
        source: AsyncIterable[Event],
        *,
        cancels: bool,
        after: int,
        types: frozenset[EventType] | None,
        ping: float | None,
        map_event: Callable[[Event], object] | None,
    ) -> None:
        self.raw_headers: list[tuple[bytes, bytes]] = list(HEADERS)
        self._source = source
        self._cancels = cancels
        self._after = after
        self._types = types
        self._ping = ping
        self._map = map_event
        self._write_lock = anyio.Lock(fast_acquire=True)  # perf: sending yields
        self._last_write = 0.0
        self._has_left = False

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        """Send the response."""
        source = self._source
        if isinstance(source, RunStream) and not source.is_submitted:
            # The run is a child of this request: it ends with it in any case.
            async with source:
                await self._respond(source, receive, send)
        else:
            await self._respond_detached(aiter(source), receive, send)
        if self.background is not None:
            await self.background()

    async def _respond_detached(
        self, events: AsyncIterator[Event], receive: Receive, send: Send
    ) -> None:
        try:
            await self._respond(events, receive, send)
        finally:
            close = getattr(events, "aclose", None)
            if close is not None:
                with anyio.CancelScope(shield=True):
                    await close()

    async def _respond(
        self, events: AsyncIterator[Event], receive: Receive, send: Send
    ) -> None:
        """Send all events; an error of the run is raised ungrouped."""
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch_client, receive, tasks.cancel_scope)
            try:
                await self._send_all(events, send, tasks)
            except OSError:  # the connection broke
                self._has_left = True
            except Exception as error:  # noqa: BLE001 - raised below
                failure = error
            tasks.cancel_scope.cancel()
        if self._has_left:
            await self._end_run()
        if failure is not None:
            raise failure

    async def _watch_client(self, receive: Receive, scope: anyio.CancelScope) -> None:
        """End the response when the client leaves."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._has_left = True
        scope.cancel()

    async def _end_run(self) -> None:
        """End the run, or leave it alone."""
        source = self._source
        if not self._cancels:
            return
        if isinstance(source, RunStream) and not source.is_submitted:
            with anyio.CancelScope(shield=True):
                await source.aclose()
        elif isinstance(source, RunStream | Listener):
            source.cancel("The client has disconnected")

    # -- sending

    async def _send_all(
        self, events: AsyncIterator[Event], send: Send, tasks: anyio.abc.TaskGroup
    ) -> None:
        first: Event | None = None
        if isinstance(events, Listener) and not events.is_live:
            # Nothing waits here: the run has ended, perhaps before the client left.
            first = await anext(events, None)
            if first is None:
                await _start(send, NO_CONTENT, [])
                await _finish(send)
                return
        await _start(send, self.status_code, self.raw_headers)
        await self._write(send, RETRY)
        if self._ping is not None:
            tasks.start_soon(self._send_pings, send, self._ping, tasks.cancel_scope)
        if first is not None:
            await self._send_event(send, first)
        async for event in events:
            await self._send_event(send, event)
        async with self._write_lock:
            await _finish(send)

    async def _send_event(self, send: Send, event: Event) -> None:
        is_old = event.seq is not None and event.seq <= self._after
        if is_old or not (self._types is None or event.type in self._types):
            return
        if self._map is None:
            await self._write(send, encode_once(event))
            return
        data = self._map(event)
        if data is not None:
            await self._write(send, encode(event, data))

    async def _write(self, send: Send, data: bytes) -> None:
        async with self._write_lock:
            await send({"type": "http.response.body", "body": data, "more_body": True})
            self._last_write = anyio.current_time()

    async def _send_pings(
        self, send: Send, ping: float, scope: anyio.CancelScope
    ) -> None:
        """Send a comment whenever nothing was sent for a while."""
        while True:
            await anyio.sleep_until(self._last_write + ping)
            if anyio.current_time() < self._last_write + ping:
                continue  # an event was sent meanwhile
            try:
                await self._write(send, PING)
            except OSError:  # sending the next event fails in the same way
                self._has_left = True
                scope.cancel()
                return


async def _start(send: Send, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    start = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)


async def _finish(send: Send) -> None:
    await send({"type": "http.response.body", "body": b"", "more_body": False})


_LINE_END = re.compile(r"\r\n|\r|\n")


def encode(event: Event, data: object) -> bytes:
    """Return an event as one of the stream's."""
    text = data if isinstance(data, str) else to_text(data)
    lines = "".join(f"data: {line}\n" for line in _LINE_END.split(text))
    number = "" if event.seq is None else f"id: {event.seq}\n"
    return f"{number}event: {event.type.value}\n{lines}\n".encode(errors="replace")


_encoded: list[tuple[weakref.ref[Event], bytes] | None] = [None] * 64
"""Events that were sent last, where their identity says, with what was sent."""

LONGEST_KEPT = 4_096
"""Bytes of an event above which it is encoded for each reader."""


def encode_once(event: Event) -> bytes:
    """Return an event as one of the stream's; the readers of a run share the bytes.

    perf: of twenty readers each one would take 20 µs for each event otherwise.
    """
    place = (id(event) >> 4) % len(_encoded)
    kept = _encoded[place]
    if kept is not None and kept[0]() is event:
        return kept[1]
    data = encode(event, event)
    if len(data) <= LONGEST_KEPT:
        _encoded[place] = (weakref.ref(event), data)
    return data


@lru_cache(maxsize=1)
def _starlette_class(response: type) -> type[EventStream]:
    """Return a class that is a response of Starlette, too, which FastAPI insists on."""
    return cast("type[EventStream]", type("EventStream", (EventStream, response), {}))


def _response_class() -> type[EventStream]:
    """Return the class for the framework that this program has imported, if any."""
    responses = sys.modules.get("starlette.responses")
    if responses is None:
        return EventStream
    return _starlette_class(responses.Response)
