"""The routes of streams: runs, the supervisor, one run, and several streams in one.

Browsers open six connections to a server at most, whatever the number of tabs.  So the
pages of one browser share one connection, ``/api/streams``, which carries any number of
topics.  A topic is the address of a stream of its own below ``/api``::

    runs/stream?status=failed      live/stream      runs/3e74.../stream?after=17
    runs/3e74.../logs/stream?after=4

The streams of a run and of its log records go on exactly where ``after`` or
``Last-Event-ID`` says.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..errors import AmbiguousRunError
from .errors import NotFoundError, RequestError, TooBusyError
from .live import live_text, measure_lag
from .live_runs import LiveReader, is_at_work
from .logs import LogSource, LogWatch, log_to_json, logs_of
from .parameters import LARGEST, number, run_filter, whole_number
from .routes import Address, first_page, look_at
from .site import Site
from .stored_tail import emit_stored_run
from .streams import MAX_STREAMS, Emit, EventStream, Feed, Source


if TYPE_CHECKING:
    from ..supervisor import Supervisor


RUNS_PERIOD = 1.0
"""Seconds between two looks at the stores while a page of runs is open."""

LIVE_PERIOD = 0.5
"""Seconds between two looks at the supervisor while the Live page is open."""

LOGS_PERIOD = 0.5
"""Seconds between two looks at the log records of a run that is watched."""

BATCH = 500
"""Log records in one message of a stream."""

MANY_RUNS = 1_000
"""Runs at work above which the supervisor is looked at less often."""

SLOW_LIVE_PERIOD = 2.0
"""Seconds between two looks at a supervisor with many runs."""

MAX_TOPICS = 100
"""Maximum number of topics of one connection."""

Topic = Callable[[Emit], Awaitable[None]]
"""Emits the events of one topic until it is over."""


# -- the topics


def runs_topic(site: Site, query: QueryParams) -> Topic:
    """Return the first page of runs, again whenever it has changed."""
    run_filter(query)  # a wrong one is refused before anything is sent

    async def produce() -> str:
        return json.dumps(await site.in_thread(first_page, site, query))

    async def emit_all(emit: Emit) -> None:
        source = Source(produce, RUNS_PERIOD)
        await site.streams.send(f"runs?{query}", "runs", source, emit)

    return emit_all


def live_topic(site: Site) -> Topic:
    """Return the current state of the supervisor, twice a second."""
    look_at(site)

    async def produce() -> str:
        data = look_at(site, await measure_lag())
        has_many = data.snapshot.run_count > MANY_RUNS
        source.period = SLOW_LIVE_PERIOD if has_many else LIVE_PERIOD
        return await site.in_thread(live_text, data)

    source = Source(produce, LIVE_PERIOD)

    async def emit_all(emit: Emit) -> None:
        await site.streams.send("live", "live", source, emit)

    return emit_all


def durable_topic(site: Site, name: str) -> Topic:
    """Return the open questions, or the workers, again when they have changed."""

    async def produce() -> str:
        ask = site.durable.asks if name == "asks" else site.durable.workers
        return json.dumps(await ask())

    async def emit_all(emit: Emit) -> None:
        await site.streams.send(name, name, Source(produce, RUNS_PERIOD), emit)

    return emit_all


async def run_topic(site: Site, run_id: str, after: int) -> Topic:
    """Return a run's events from a number on, until the run has ended."""
    if site.supervisor is not None and is_at_work(site.supervisor, run_id):
        return _listening(site, site.supervisor, run_id, after)
    stored = await site.in_thread(site.find, run_id)

    async def emit_all(emit: Emit) -> None:
        await emit_stored_run(site, stored, after, emit)

    return emit_all


def _listening(site: Site, supervisor: Supervisor, run_id: str, after: int) -> Topic:
    """Return the events of a run that the supervisor has at work, as they happen."""

    async def emit_all(emit: Emit) -> None:
        events = supervisor.listen(run_id, after)
        await LiveReader(events, emit, has_payloads=site.has_payloads).run()
        await emit("end", json.dumps(await _ended(site, run_id)), None)

    return emit_all


async def _ended(site: Site, run_id: str) -> dict[str, Any] | None:
    """Return how a run ended; None when that was not stored."""
    try:
        return await site.in_thread(lambda: site.find(run_id).details())
    except NotFoundError:
        return None


async def logs_topic(site: Site, run_id: str, after: int) -> Topic:
    """Return a run's log records from a number on, until the run has ended."""
    source = await logs_of(site, run_id)

    async def emit_all(emit: Emit) -> None:
        watch = LogWatch(site, source, after)
        feed_source = Source(watch.produce, LOGS_PERIOD)
        with site.streams.reading(f"logs of {run_id}", feed_source) as feed:
            await _emit_logs(site, source, feed, after, emit)

    return emit_all


async def _emit_logs(
    site: Site, source: LogSource, feed: Feed, after: int, emit: Emit
) -> None:
    """Emit batches of log records while a run goes on, then that it has ended."""
    seen = feed.number
    while True:
        is_over = not await site.in_thread(source.is_open)
        while entries := await site.in_thread(source.read, after, BATCH):
            after = entries[-1].number
            rows = [log_to_json(entry) for entry in entries]
            await emit("logs", json.dumps(rows), after)
        if is_over:
            await emit("end", "{}", None)
            return
        seen, _ = await feed.after(seen)


async def topic_of(site: Site, address: str) -> Topic:
    """Return the topic that an address names.

    Raises:
        RequestError: it names none, or one of its parameters makes no sense.
    """
    parts = urlsplit(address)
    query = QueryParams(parts.query)
    match parts.path.split("/"):
        case ["runs", "stream"]:
            return runs_topic(site, query)
        case ["live", "stream"]:
            return live_topic(site)
        case [("asks" | "workers") as name, "stream"]:
            return durable_topic(site, name)
        case ["runs", run_id, "stream"]:
            return await run_topic(site, run_id, number(query, "after", 0, 0))
        case ["runs", run_id, "logs", "stream"]:
            return await logs_topic(site, run_id, number(query, "after", 0, 0))
        case _:
            msg = f"{address!r} is no stream."
            raise NotFoundError(msg)


# -- the addresses


async def runs_stream(site: Site, request: Request) -> Response:
    """Send the first page of runs, and again whenever it has changed."""
    return streaming(site, runs_topic(site, request.query_params))


async def live_stream(site: Site, request: Request) -> Response:
    """Send what the supervisor does."""
    return streaming(site, live_topic(site))


async def asks_stream(site: Site, request: Request) -> Response:
    """Send the open questions."""
    return streaming(site, durable_topic(site, "asks"))


async def workers_stream(site: Site, request: Request) -> Response:
    """Send the workers and the open runs."""
    return streaming(site, durable_topic(site, "workers"))


async def run_stream(site: Site, request: Request) -> Response:
    """Send a run's events from a number on."""
    run_id = str(request.path_params["run_id"])
    return streaming(site, await run_topic(site, run_id, _last_number(request)))


async def logs_stream(site: Site, request: Request) -> Response:
    """Send a run's log records from a number on."""
    run_id = str(request.path_params["run_id"])
    return streaming(site, await logs_topic(site, run_id, _last_number(request)))


def _last_number(request: Request) -> int:
    """Return the number that a client has seen last, of a header or a parameter."""
    after = number(request.query_params, "after", 0, 0)
    last = whole_number(request.headers.get("last-event-id", ""))
    return after if last is None else min(last, LARGEST)


async def all_streams(site: Site, request: Request) -> Response:
    """Send any number of topics; each event says which one it is of."""
    addresses = request.query_params.getlist("topic")
    if not 1 <= len(addresses) <= MAX_TOPICS:
        msg = f"topic= is needed, once for each stream, at most {MAX_TOPICS} times."
        raise RequestError(msg)

    async def emit_all(emit: Emit) -> None:
        async with anyio.create_task_group() as tasks:
            for address in dict.fromkeys(addresses):
                tasks.start_soon(_emit_topic, site, address, emit)

    return streaming(site, emit_all)


async def _emit_topic(site: Site, address: str, emit: Emit) -> None:
    """Emit one of several topics; what is wrong with it does not end the others."""
    name = json.dumps(address)

    async def emit_of(event: str, data: str, number: int | None) -> None:
        await emit("topic", f"[{name},{json.dumps(event)},{data}]", None)

    try:
        topic = await topic_of(site, address)
        await topic(emit_of)
    except (RequestError, AmbiguousRunError) as error:
        code = error.code if isinstance(error, RequestError) else "ambiguous"
        await emit_of("error", json.dumps({"detail": str(error), "code": code}), None)


class _Streaming(Response):
    """Lets a handler return a stream."""

    def __init__(self, stream: EventStream) -> None:
        super().__init__()
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await self._stream(scope, receive, send)


def streaming(site: Site, topic: Topic) -> Response:
    """Return a stream of one topic.

    Raises:
        TooBusyError: too many are open, or the server stops.
    """
    if site.streams.stopping.is_set() or site.streams.open >= MAX_STREAMS:
        msg = f"{site.streams.open} streams are open; try again later."
        raise TooBusyError(msg)
    return _Streaming(EventStream(site.streams, topic))


STREAM_API = [
    Address("/api/streams", all_streams),
    Address("/api/runs/stream", runs_stream),
    Address("/api/live/stream", live_stream),
    Address("/api/asks/stream", asks_stream),
    Address("/api/workers/stream", workers_stream),
    Address("/api/runs/{run_id}/stream", run_stream),
    Address("/api/runs/{run_id}/logs/stream", logs_stream),
]
"""The streams; before the addresses that have a run's id where these have a word."""
