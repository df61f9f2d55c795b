"""The API over one run."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from .errors import NotFoundError, UnknownWordError
from .live_runs import live_details, live_spans, snapshot_of
from .logs import logs_of, logs_page
from .parameters import LARGEST, event_filter, log_filter, number, whole_number
from .routes import Address, answer, found, live_description
from .run_details import StoredRun, diff_of
from .site import Site


PART_SIZE = 64_000
"""Characters of a payload that are returned from an offset on."""


PARTS = ("payload", "meta")
"""Parts of an event that are returned alone."""


def _run_id(request: Request) -> str:
    return str(request.path_params["run_id"])


async def run(site: Site, request: Request) -> Response:
    """Return a run and how it failed."""
    name = _run_id(request)
    try:
        return answer(await site.in_thread(lambda: site.find(name).details()))
    except NotFoundError:
        run_now = snapshot_of(site.supervisor, name)
        if run_now is None:
            raise
        description = live_description(site, run_now.fingerprint) or {}
        return answer(live_details(run_now, description))


async def spans(site: Site, request: Request) -> Response:
    """Return a run's spans as rows."""
    query = request.query_params
    after = number(query, "after", 0, 0)
    limit = number(query, "limit", 5_000, 1, 50_000)
    name = _run_id(request)
    try:
        # The rows of a long run take milliseconds to encode, so the thread does that, too.
        return await site.in_thread(lambda: answer(site.find(name).spans(after, limit)))
    except NotFoundError:
        run_now = snapshot_of(site.supervisor, name)
        if run_now is None:
            raise
        return answer(live_spans(run_now))


async def events(site: Site, request: Request) -> Response:
    """Return a page of events; without paging all of them, as programs for justpipe ask."""
    query = request.query_params
    name = _run_id(request)
    if not {"limit", "payload", "after", "q", "step"} & {*query}:
        data = await site.in_thread(site.api.get_events, name, query.get("type"))
        shown = data if site.has_payloads else _without_payloads(data)
        return found(shown, f"run {name!r}")
    wanted = event_filter(query)
    return answer(await site.in_thread(lambda: site.find(name).events(wanted)))


def _without_payloads(events: list[dict[str, Any]] | None) -> Any:
    """Return events without payloads and other user data."""
    if events is None:
        return None
    return [
        event | {"data": event["data"] and event["data"] | {"payload": None}}
        for event in events
    ]


async def event(site: Site, request: Request) -> Response:
    """Return one event, or one part of it as text."""
    part = request.query_params.get("part")
    name, seq = _run_id(request), _event_number(request)
    if part is None:
        return answer(await site.in_thread(lambda: site.find(name).one_event(seq)))
    if part not in PARTS:
        raise UnknownWordError(parameter="part", word=part, known=PARTS)
    text = await site.in_thread(lambda: site.find(name).event_part(seq, part))
    if "offset" in request.query_params:
        offset = number(request.query_params, "offset", 0, 0)
        text = text[offset : offset + PART_SIZE]
    return PlainTextResponse(text)


def _event_number(request: Request) -> int:
    text = str(request.path_params["seq"])
    seq = whole_number(text)
    if seq is None or seq > LARGEST:
        msg = f"Run {_run_id(request)} has no event {text[:40]}."
        raise NotFoundError(msg)
    return seq


async def logs(site: Site, request: Request) -> Response:
    """Return a page of log records."""
    wanted = log_filter(request.query_params)
    source = await logs_of(site, _run_id(request))
    return answer(await site.in_thread(logs_page, source, wanted))


async def states(site: Site, request: Request) -> Response:
    """Answer with a state, the difference of two states, or the events that have one."""
    query = request.query_params
    name = _run_id(request)
    return answer(await site.in_thread(lambda: _states(site.find(name), query)))


def _states(stored: StoredRun, query: QueryParams) -> dict[str, Any]:
    if "at" in query:
        return {"state": stored.state_at(number(query, "at", 0, 0))}
    if "from" in query or "to" in query:
        before = stored.state_at(number(query, "from", 0, 0))
        after = stored.state_at(number(query, "to", 0, 0))
        return diff_of(before, after)
    return {"states": stored.states()}


async def timeline(site: Site, request: Request) -> Response:
    """Return the invocations that ended, as programs for justpipe ask."""
    name = _run_id(request)
    data = await site.in_thread(site.api.get_timeline, name)
    return found(data, f"run {name!r}")


async def trace(site: Site, request: Request) -> Response:
    """Return a trace for Perfetto."""
    name = _run_id(request)
    data = await site.in_thread(lambda: site.find(name).trace())
    disposition = f'attachment; filename="trace-{_safe(name)}.json"'
    return JSONResponse(data, headers={"content-disposition": disposition})


def _safe(name: str) -> str:
    return "".join(c for c in name[:12] if c.isascii() and c.isalnum())


RUN_API = [
    Address("/api/runs/{run_id}", run),
    Address("/api/runs/{run_id}/spans", spans),
    Address("/api/runs/{run_id}/events", events),
    Address("/api/runs/{run_id}/events/{seq}", event),
    Address("/api/runs/{run_id}/logs", logs),
    Address("/api/runs/{run_id}/states", states),
    Address("/api/runs/{run_id}/timeline", timeline),
    Address("/api/runs/{run_id}/trace", trace),
]
"""The API over one run."""
