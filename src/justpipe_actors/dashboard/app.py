"""``create_app``: the dashboard as a Starlette application.

The application needs no lifespan, because Starlette does not run the lifespan of a
mounted application.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response

from ..abc import Journal
from ..errors import AmbiguousRunError, StoreError
from ..journals import open_journal
from ..storage.registry import PipelineRegistry
from .actions import action_addresses
from .errors import RequestError
from .guard import HEADERS, Guard, Rules
from .page_routes import SITE
from .routes import API, routes_of
from .run_routes import RUN_API
from .site import ACTIONS, Site
from .stream_routes import STREAM_API


if TYPE_CHECKING:
    from ..supervisor import Supervisor


_logger = logging.getLogger("justpipe_actors.dashboard")


def create_app(
    registry: PipelineRegistry | None = None,
    *,
    supervisor: Supervisor | None = None,
    journal: Journal | str | Path | None = None,
    read_only: bool = True,
    actions: Iterable[str] = frozenset(),
    token: str | None = None,
    allowed_hosts: Iterable[str] = (),
    title: str | None = None,
    guard: bool = True,
    user: Callable[[HTTPConnection], str | None] | None = None,
    has_payloads: bool = True,
) -> Starlette:
    """Return the dashboard as an application, to be served or mounted.

    Args:
        registry: finds the stored runs; by default where pipes store them.
        supervisor: a supervisor; its active runs are shown, and the application must
            be served in its event loop.
        journal: where durable runs are, a journal or its path; by default the
            supervisor's.
        read_only: serve no action, whatever ``actions`` names; a warning is logged when
            it names any.
        actions: what may be done, out of answer, cancel, redrive, start and cleanup;
            only with ``read_only=False``.
        token: what requests must carry; actions need one.
        allowed_hosts: hosts that are served besides the loopback names.
        title: the name that pages show.
        guard: check the ``Host`` header here.  Without it the enclosing application
            must check it and authorize actions.
        user: returns the name of a request's user, which is kept with answers.
        has_payloads: show payloads and states.

    Raises:
        ValueError: an action is unknown, or actions are allowed without a token.
    """
    allowed = _allowed_actions(frozenset(actions), read_only=read_only)
    check_actions(allowed, token, is_guarded=guard)
    site = Site(
        registry=PipelineRegistry() if registry is None else registry,
        supervisor=supervisor,
        journal=_journal(journal, supervisor),
        actions=allowed,
        title="justpipe_actors" if title is None else title,
        rules=Rules(
            hosts=frozenset(host.lower() for host in allowed_hosts),
            token=token,
            is_checking_hosts=guard,
        ),
        user=user,
        has_payloads=has_payloads,
    )
    addresses = [*STREAM_API, *API, *RUN_API, *action_addresses(allowed), *SITE]
    app = Starlette(
        routes=routes_of(site, addresses),
        middleware=[Middleware(Guard, rules=site.rules)],
        exception_handlers=_HANDLERS,
    )
    app.state.site = site
    return app


def _allowed_actions(named: frozenset[str], *, read_only: bool) -> frozenset[str]:
    """Return the actions to serve; log a warning if some are named and none is served."""
    if not read_only:
        return named
    if named:
        _logger.warning(
            "The dashboard is read-only and serves none of its actions (%s): pass "
            "read_only=False to allow them.",
            ", ".join(sorted(named)),
        )
    return frozenset()


def _journal(
    given: Journal | str | Path | None, supervisor: Supervisor | None
) -> Journal | None:
    """Return the journal that was named, else the supervisor's."""
    if given is None:
        return None if supervisor is None else supervisor.journal  # it opens it itself
    journal = open_journal(given)
    journal.open()
    return journal


def check_actions(
    actions: frozenset[str], token: str | None, *, is_guarded: bool
) -> None:
    """Refuse actions that do not exist, and actions that any local process could take.

    Raises:
        ValueError: one is unknown, or there is no token.
    """
    unknown = sorted(actions - ACTIONS)
    if unknown:
        known = ", ".join(sorted(ACTIONS))
        msg = f"There is no action {unknown[0]!r}; actions are {known}."
        raise ValueError(msg)
    if actions and token is None and is_guarded:
        msg = (
            "Actions need a token: pass token=, or guard=False when the application "
            "that this one is mounted in decides who may act."
        )
        raise ValueError(msg)


# -- errors


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return JSONResponse({"detail": error.detail, "code": error.code}, error.status)


async def _ambiguous(request: Request, error: Exception) -> Response:
    assert isinstance(error, AmbiguousRunError)
    body = {
        "detail": str(error),
        "code": "ambiguous",
        "candidates": list(error.candidates),
    }
    return JSONResponse(body, 409)


async def _invalid(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error), "code": "invalid"}, 422)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "read_only"}.get(error.status_code, "invalid")
    body = {"detail": error.detail, "code": code}
    return JSONResponse(body, error.status_code, error.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    _logger.error("A request to %s failed", request.url.path, exc_info=error)
    # Starlette sends this answer outside of the guard, which adds the headers to others.
    headers = {name.decode(): value.decode() for name, value in HEADERS}
    body = {"detail": "The dashboard failed.", "code": "internal"}
    return JSONResponse(body, 500, {**headers, "cache-control": "no-store"})


_HANDLERS: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    RequestError: _refused,
    AmbiguousRunError: _ambiguous,
    StoreError: _invalid,
    HTTPException: _http,
    500: _unexpected,
}
