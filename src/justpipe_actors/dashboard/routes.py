"""The API over pipelines, many runs and the supervisor.

A handler reads its parameters, calls a function without HTTP in it, and returns JSON.
Stores are read in worker threads, the supervisor in its own loop.  Nothing is changed
here: actions are in ``actions.py``, and the checks of requests in ``guard.py``.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import attrs
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ..codec import to_plain
from ..observability.openmetrics import CONTENT_TYPE
from .errors import NotFoundError, RequestError, TooBusyError
from .flaky import flaky_steps
from .graphs import (
    GraphWanted,
    describe_version,
    draw_description,
    graph_svg,
    pipeline_details,
    pipelines_overview,
)
from .live import LiveData, dump, live_to_json, look, measure_lag
from .metrics import metrics_text
from .parameters import many, number, run_filter
from .runs import histogram, runs_page
from .site import Site


Handler = Callable[[Site, Request], Awaitable[Response]]


def answer(data: Any, status: int = 200) -> Response:
    """Return data as JSON; numbers that JSON does not have were replaced before."""
    return JSONResponse(data, status)


def found(data: Any, what: str) -> Response:
    """Return data as JSON.

    Raises:
        NotFoundError: there are none.
    """
    if data is None:
        msg = f"There is no {what}."
        raise NotFoundError(msg)
    return answer(data)


# -- the dashboard itself


async def meta(site: Site, request: Request) -> Response:
    """Return the settings that pages load first."""
    facts = site.meta()
    letters = _count_dead_letters(site)
    open_asks = len((await site.durable.asks())["asks"]) if site.has_asks else 0
    now = datetime.now(UTC).isoformat()
    return answer({**facts, "asks": open_asks, "letters": letters, "now": now})


def _count_dead_letters(site: Site) -> int:
    supervisor = site.supervisor
    if supervisor is None or not supervisor.is_open:
        return 0
    return len(supervisor.dead_letters)


async def health(site: Site, request: Request) -> Response:
    """Return that it answers, as programs for justpipe ask."""
    pipelines = await site.in_thread(site.registry.list_pipelines)
    now = datetime.now(UTC).isoformat()
    return answer({"status": "ok", "timestamp": now, "total_pipelines": len(pipelines)})


# -- many runs


async def runs(site: Site, request: Request) -> Response:
    """Return a page of runs."""
    return answer(await site.in_thread(first_page, site, request.query_params))


def first_page(site: Site, query: QueryParams) -> dict[str, Any]:
    """Return the page of runs that a query asks for."""
    limit = number(query, "limit", 50, 1, 500)
    return runs_page(site.registry, run_filter(query), limit, query.get("before"))


async def runs_histogram(site: Site, request: Request) -> Response:
    """Return how many runs began when."""
    query = request.query_params
    bins = number(query, "bins", 60, 1, 400)
    wanted = run_filter(query)
    return answer(await site.in_thread(histogram, site.registry, wanted, bins))


async def search(site: Site, request: Request) -> Response:
    """Return runs by the beginning of their id or their pipeline's name."""
    query = request.query_params
    text = query.get("q", "")
    if len(text) < 3:
        msg = "q needs at least 3 characters."
        raise RequestError(msg)
    limit = number(query, "limit", 10, 1, 50)
    return answer(await site.in_thread(site.api.search_runs, text, limit))


# -- pipelines


async def pipelines(site: Site, request: Request) -> Response:
    """Return the summaries of all pipelines."""
    return answer(await site.in_thread(site.api.list_pipelines))


async def pipelines_table(site: Site, request: Request) -> Response:
    """Return the summaries with their last runs and percentiles."""
    return answer(await site.in_thread(pipelines_overview, site.registry))


async def pipeline(site: Site, request: Request) -> Response:
    """Return one pipeline with its description."""
    name = request.path_params["pipeline_hash"]
    data = await site.in_thread(site.api.get_pipeline, name)
    return found(data, f"pipeline {name!r}")


async def pipeline_definition(site: Site, request: Request) -> Response:
    """Return the description of one version of a pipeline, else of its latest run."""
    name = request.path_params["pipeline_hash"]
    version = request.query_params.get("fingerprint")
    data = await site.in_thread(describe_version, site.registry, name, version)
    what = "description" if version is None else f"version {version!r}"
    return found(data, f"{what} of pipeline {name!r}")


async def pipeline_figures(site: Site, request: Request) -> Response:
    """Return a pipeline's days, durations, failures and versions."""
    name = request.path_params["pipeline_hash"]
    days = number(request.query_params, "days", 30, 1, 365)
    data = await site.in_thread(pipeline_details, site.registry, name, days)
    return found(data, f"pipeline {name!r}")


async def pipeline_flaky(site: Site, request: Request) -> Response:
    """Return the flaky steps of a pipeline's newest runs."""
    name = request.path_params["pipeline_hash"]
    most = number(request.query_params, "runs", 20, 1, 100)
    data = await site.in_thread(flaky_steps, site.registry, name, most)
    return found(data, f"pipeline {name!r}")


async def pipeline_runs(site: Site, request: Request) -> Response:
    """Return a pipeline's runs, as programs for justpipe ask."""
    name, query = request.path_params["pipeline_hash"], request.query_params
    limit = number(query, "limit", 20, 1, 1_000)
    offset = number(query, "offset", 0, 0)
    statuses = many(query, "status")
    data = await site.in_thread(site.api.list_runs, name, statuses, limit, offset)
    return found(data, f"pipeline {name!r}")


async def graph(site: Site, request: Request) -> Response:
    """Return a pipeline's drawing."""
    query = request.query_params
    direction = query.get("direction", "TD")
    if direction not in ("TD", "LR"):
        msg = f"direction={direction!r} is none of TD, LR."
        raise RequestError(msg)
    name = request.path_params["pipeline_hash"]
    version = query.get("fingerprint")
    wanted = GraphWanted(name, version, direction)
    drawing = await site.in_thread(graph_svg, site.registry, wanted)
    is_current = version is None or version == name
    description = live_description(site, name) if is_current else None
    if drawing is None and description is not None:
        drawing = await site.in_thread(draw_description, description, direction)
    if drawing is None:
        what = "drawing" if version is None else f"drawing of version {version!r}"
        msg = f"There is no {what} of pipeline {name!r}."
        raise NotFoundError(msg)
    headers = {"etag": drawing.etag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == drawing.etag:
        return Response(status_code=304, headers=headers)
    return Response(drawing.text, media_type="image/svg+xml", headers=headers)


def live_description(site: Site, version: str) -> dict[str, Any] | None:
    """Return the description of a pipe of the supervisor, by its version."""
    supervisor = site.supervisor
    if supervisor is None or not supervisor.is_open:
        return None
    for name, known in supervisor.snapshot().pipes.items():
        if known == version:
            return supervisor.describe(name)
    return None


async def stats(site: Site, request: Request) -> Response:
    """Return a pipeline's figures, as programs for justpipe ask."""
    name = request.path_params["pipeline_hash"]
    days = number(request.query_params, "days", 7, 1, 365)
    data = await site.in_thread(site.api.get_stats, name, days)
    return found(data, f"pipeline {name!r}")


async def compare(site: Site, request: Request) -> Response:
    """Return the differences between two runs."""
    query = request.query_params
    if not query.get("run1") or not query.get("run2"):
        msg = "compare needs run1 and run2."
        raise RequestError(msg)
    data = await site.in_thread(site.api.compare, query["run1"], query["run2"])
    return found(data, f"run {query['run1']!r} or {query['run2']!r}")


# -- the supervisor


def look_at(site: Site, loop_lag: float = 0.0) -> LiveData:
    """Look at the supervisor.

    Raises:
        NotFoundError: there is none.
        TooBusyError: it is not open.
    """
    if site.supervisor is None:
        msg = "This dashboard has no supervisor; pass supervisor= to create_app."
        raise NotFoundError(msg)
    if not site.supervisor.is_open:
        msg = "The supervisor is not open."
        raise TooBusyError(msg)
    return look(site.supervisor, loop_lag)


async def live(site: Site, request: Request) -> Response:
    """Return the current state of the supervisor."""
    look_at(site)  # raises without a supervisor, which has the loop to measure
    data = look_at(site, await measure_lag())
    return answer(await site.in_thread(live_to_json, data))


async def live_dump(site: Site, request: Request) -> Response:
    """Return the same as text."""
    text = await site.in_thread(dump, look_at(site))
    return Response(text, media_type="text/plain; charset=utf-8")


async def metrics(site: Site, request: Request) -> Response:
    """Return the metrics for Prometheus."""
    supervisor = site.supervisor
    is_open = supervisor is not None and supervisor.is_open
    snapshot = supervisor.snapshot() if supervisor is not None and is_open else None
    text = await site.in_thread(metrics_text, site.registry, snapshot)
    return Response(text, headers={"content-type": CONTENT_TYPE})


async def letters(site: Site, request: Request) -> Response:
    """Return the dead letters of the supervisor, the newest first."""
    look_at(site)
    assert site.supervisor is not None
    kept = list(site.supervisor.dead_letters)
    clock = time.time() - anyio.current_time()  # they have times of the loop's clock
    rows = [{**to_plain(one), "at": one.at + clock} for one in reversed(kept)]
    return answer({"letters": rows, "total": site.supervisor.snapshot().dead_letters})


# -- durable runs


async def asks(site: Site, request: Request) -> Response:
    """Return the open questions."""
    return answer(await site.durable.asks())


async def workers(site: Site, request: Request) -> Response:
    """Return the workers of the journal, and its open runs."""
    return answer(await site.durable.workers())


@attrs.frozen
class Address:
    """A path and its handler."""

    path: str
    """The path in the syntax of Starlette."""
    handler: Handler
    """Returns the response to a request."""
    method: str = "GET"


def routes_of(site: Site, addresses: list[Address]) -> list[BaseRoute]:
    """Bind addresses to a site."""
    return [
        Route(one.path, _bound(one.handler, site), methods=[one.method])
        for one in addresses
    ]


def _bound(handler: Handler, site: Site) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await handler(site, request)

    return endpoint


API = [
    Address("/api/meta", meta),
    Address("/api/health", health),
    Address("/api/runs", runs),
    Address("/api/runs/histogram", runs_histogram),
    Address("/api/runs/search", search),
    Address("/api/pipelines", pipelines),
    Address("/api/pipelines/table", pipelines_table),
    Address("/api/pipelines/{pipeline_hash}", pipeline),
    Address("/api/pipelines/{pipeline_hash}/definition", pipeline_definition),
    Address("/api/pipelines/{pipeline_hash}/figures", pipeline_figures),
    Address("/api/pipelines/{pipeline_hash}/flaky", pipeline_flaky),
    Address("/api/pipelines/{pipeline_hash}/runs", pipeline_runs),
    Address("/api/pipelines/{pipeline_hash}/graph.svg", graph),
    Address("/api/stats/{pipeline_hash}", stats),
    Address("/api/compare", compare),
    Address("/api/live", live),
    Address("/api/live/dump", live_dump),
    Address("/api/letters", letters),
    Address("/api/asks", asks),
    Address("/api/workers", workers),
    Address("/metrics", metrics),
]
"""The API over many runs; fixed paths precede paths with parameters."""
