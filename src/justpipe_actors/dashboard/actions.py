"""The actions of a dashboard, one route for each.

An action that is not enabled has no route.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .._util.forms import Misfit, form_of
from ..errors import DefinitionError, NotStorable, RunRejected
from .errors import ActionError, NotFoundError, RequestError
from .guard import COOKIE, session_of
from .page_routes import base_of
from .routes import Address, answer, found
from .site import Site


MAX_BODY_BYTES = 1_000_000
"""Maximum size of a request's body."""


async def body_of(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request carries.

    Raises:
        RequestError: it is too long, or no JSON object.
    """
    content = b""
    async with aclosing(request.stream()) as parts:
        async for part in parts:
            content += part
            if len(content) > MAX_BODY_BYTES:
                msg = f"The body is longer than {MAX_BODY_BYTES:,} bytes."
                raise RequestError(msg)
    try:
        data = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        msg = "The body must be a JSON object."
        raise RequestError(msg)
    return data


async def login(site: Site, request: Request) -> Response:
    """Give a browser a cookie for its token."""
    token = (await body_of(request)).get("token")
    wanted = site.rules.token
    if wanted is None:
        return JSONResponse({"detail": "No token is needed."})
    if not isinstance(token, str) or not hmac.compare_digest(
        token.encode(), wanted.encode()
    ):
        body = {"detail": "This is not the token.", "code": "unauthorized"}
        return JSONResponse(body, 401)
    response = JSONResponse({"detail": "Welcome."})
    response.set_cookie(
        COOKIE,
        session_of(wanted),
        path=base_of(request),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


async def cancel(site: Site, request: Request) -> Response:
    """Cancel a run: a durable one wherever it is, or one of the supervisor's."""
    name = str(request.path_params["run_id"])
    reason = str((await body_of(request)).get("reason") or "Cancelled in the dashboard")
    if not await site.durable.cancel(name, reason, user_of(site, request)):
        msg = f"Run {name!r} is not at work, or was not submitted."
        raise NotFoundError(msg)
    return answer({"run_id": name, "reason": reason}, 202)


def user_of(site: Site, request: Request) -> str | None:
    """Return the name of the user that a request is of."""
    return None if site.user is None else site.user(request)


async def answer_ask(site: Site, request: Request) -> Response:
    """Answer an open question."""
    body = await body_of(request)
    if "value" not in body:
        msg = "The body needs a value: the answer."
        raise RequestError(msg)
    name = str(request.path_params["ask_id"])
    await site.durable.answer(name, body["value"], user_of(site, request))
    return answer({"ask": name})


async def redrive(site: Site, request: Request) -> Response:
    """Continue a stuck run."""
    name = str(request.path_params["run_id"])
    await site.durable.redrive(name)
    return answer({"run_id": name}, 202)


async def cleanup(site: Site, request: Request) -> Response:
    """Delete the runs that were previewed, by their ids; or preview them."""
    name = str(request.path_params["pipeline_hash"])
    body = await body_of(request)
    ids = body.get("run_ids")
    if ids is None:
        return await _preview(site, name, body)
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        msg = "run_ids must be a list of run ids, as the preview returned them."
        raise RequestError(msg)
    data = await site.in_thread(site.api.delete_runs, name, ids)
    return found(data, f"pipeline {name!r}")


async def _preview(site: Site, name: str, body: dict[str, Any]) -> Response:
    info = await site.in_thread(site.registry.find_pipeline, name)
    if info is None:
        msg = f"There is no pipeline {name!r}."
        raise NotFoundError(msg)
    try:
        chosen = await site.in_thread(
            site.api.cleanup_choice,
            info,
            body.get("older_than_days"),
            body.get("status"),
            body.get("keep", 10),
        )
    except (TypeError, ValueError) as error:
        raise RequestError(str(error)) from error
    ids = [one.run.run_id for one in chosen]
    return answer({"count": len(ids), "run_ids": ids})


async def start(site: Site, request: Request) -> Response:
    """Begin a run of one of the supervisor's pipes, by its hash or its name."""
    name = str(request.path_params["pipeline_hash"])
    body = await body_of(request)
    if site.supervisor is None:
        msg = "This dashboard has no supervisor."
        raise NotFoundError(msg)
    supervisor, state = site.supervisor, body.get("state")
    for pipe in supervisor.pipes.values():
        if name in {pipe.pipeline_hash, pipe.name}:
            name, state = pipe.name, _state_of(pipe.state_type, body)
            break
    try:
        if supervisor.journal is None:
            run = supervisor.submit_nowait(name, state)
        else:
            run = await supervisor.submit(name, state)
    except (DefinitionError, RunRejected, NotStorable) as error:
        raise ActionError(str(error)) from error
    return answer({"run_id": run.run_id}, 202)


def _state_of(state_type: Any, body: dict[str, Any]) -> Any:
    """Return the state that a body describes, of the type that the pipe declares.

    Raises:
        RequestError: it does not fit the type, or JSON cannot describe the type.
    """
    if state_type in {type(None), Any}:
        return body.get("state")
    try:
        return form_of(state_type).read(body.get("state", {}), "state")
    except (Misfit, TypeError) as error:
        raise RequestError(str(error)) from error


_ADDRESSES = {
    "answer": [Address("/api/asks/{ask_id:path}/answer", answer_ask, "POST")],
    "redrive": [Address("/api/runs/{run_id}/redrive", redrive, "POST")],
    "cancel": [Address("/api/runs/{run_id}/cancel", cancel, "POST")],
    "cleanup": [Address("/api/pipelines/{pipeline_hash}/cleanup", cleanup, "POST")],
    "start": [Address("/api/pipelines/{pipeline_hash}/runs", start, "POST")],
}


def action_addresses(actions: Iterable[str]) -> list[Address]:
    """Return the addresses of the actions that are allowed, and of logging in."""
    allowed = [one for name in sorted(actions) for one in _ADDRESSES.get(name, ())]
    return [Address("/api/login", login, "POST"), *allowed]
