"""The pages, their files, and the addresses that pages of justpipe had.

A page is a shell that loads its module, so it has no data.  The page of a run or a
pipeline that is not known has the status 404; its module says so.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ..errors import AmbiguousRunError, StoreError
from .errors import NotFoundError, RequestError
from .live_runs import is_at_work
from .routes import Address, live_description
from .site import Site
from .static_files import file_response, shell_response


PAGES = {
    "/runs": "runs",
    "/pipelines": "pipelines",
    "/compare": "compare",
    "/live": "live",
    "/asks": "asks",
    "/letters": "letters",
    "/workers": "workers",
    "/login": "login",
}
"""The module of each page that needs no lookup, by its path."""


async def page(site: Site, request: Request, *, module: str) -> Response:
    """Return a page before its script has run."""
    return shell_response(base_of(request), site.title, module)


async def run_page(site: Site, request: Request) -> Response:
    """Return the page of a run; with the status 404 if there is no such run."""
    run_id = str(request.path_params["run_id"])
    is_known = await _is_known(site, partial(site.find, run_id))
    is_known = is_known or is_at_work(site.supervisor, run_id)
    status = 200 if is_known else 404
    return shell_response(base_of(request), site.title, "run", status)


async def pipeline_page(site: Site, request: Request) -> Response:
    """Return the page of a pipeline; with the status 404 if there is none."""
    version = str(request.path_params["pipeline_hash"])
    is_known = await _is_known(site, partial(site.find_pipeline, version))
    is_known = is_known or live_description(site, version) is not None
    status = 200 if is_known else 404
    return shell_response(base_of(request), site.title, "pipeline", status)


async def _is_known(site: Site, find: Callable[[], object]) -> bool:
    """Tell whether something is stored; where a token is needed nothing is looked up."""
    if site.rules.token is not None:
        return True
    try:
        await site.in_thread(find)
    except NotFoundError:
        return False
    except (RequestError, AmbiguousRunError, StoreError, sqlite3.Error):
        return True  # the page shows the problem
    return True


async def static(site: Site, request: Request) -> Response:
    """Return one of the packaged files."""
    return file_response(request, request.path_params["name"])


async def moved(site: Site, request: Request, *, to: str) -> Response:
    """Redirect an address of the reference's dashboard."""
    path = to.format(**request.path_params)
    query = request.url.query
    target = f"{base_of(request)}{path}{f'?{query}' if query else ''}"
    return RedirectResponse(target, 308)


async def unknown(site: Site, request: Request) -> Response:
    """Answer any other address: JSON below the API, else a page that says so."""
    if request.url.path.removeprefix(base_of(request)).startswith("api"):
        msg = "There is no such address."
        raise NotFoundError(msg)
    return shell_response(base_of(request), site.title, "unknown", 404)


def base_of(request: Request) -> str:
    """Return where the application is mounted, ending in a slash."""
    return f"{request.scope.get('root_path', '').rstrip('/')}/"


SITE = [
    *(Address(path, partial(page, module=name)) for path, name in PAGES.items()),
    Address("/runs/{run_id}", run_page),
    Address("/pipelines/{pipeline_hash}", pipeline_page),
    Address("/", partial(moved, to="runs")),
    Address("/run/{run_id}", partial(moved, to="runs/{run_id}")),
    Address(
        "/pipeline/{pipeline_hash}", partial(moved, to="pipelines/{pipeline_hash}")
    ),
    Address("/static/{name:path}", static),
    Address("/{rest:path}", unknown),
]
"""The pages; the catch-all route is last."""
