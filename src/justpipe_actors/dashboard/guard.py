"""Check the host, origin and token of each request before it is handled.

Every page in a browser can send requests to a dashboard on the loopback interface.  So
a request must name a served host (against DNS rebinding) and must not come from a
foreign page (fetch metadata, ``Origin``).  A write request must be one that a page
cannot send without a CORS preflight (JSON and a custom header).  If a token is set,
read requests need it as well.

``refusal`` is pure and decides; ``Guard`` is the ASGI middleware that acts.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

import attrs
from starlette.types import ASGIApp, Message, Receive, Scope, Send


LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""The names of this machine that are always served."""

COOKIE = "justpipe_actors_dashboard"
"""The cookie that a browser gets for its token."""

MARKER = "x-justpipe"
"""The header that a request which changes something must have."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; worker-src 'self'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""The content security policy of every answer: nothing from elsewhere, nothing inline."""

HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)
"""The headers that every answer has."""

SAFE = ("GET", "HEAD")
"""The methods that change nothing."""


@attrs.frozen
class Rules:
    """The rules for accepted requests."""

    hosts: frozenset[str] = frozenset()
    """Hosts that are served besides the loopback names; with or without a port."""
    token: str | None = None
    """The token that requests need; None needs none."""
    is_checking_hosts: bool = True
    """Whether hosts are checked here and not by an application around this one."""


@attrs.frozen
class Asked:
    """The parts of a request that the guard checks."""

    method: str
    """The HTTP method in capitals."""
    path: str
    """Below the mount point."""
    headers: Mapping[str, str]
    """Values by name; names are in lower case."""
    port: int | None = None
    """The server's port, if it is known."""


@attrs.frozen
class Refusal:
    """Why a request is not answered."""

    status: int
    """HTTP status of the response."""
    code: str
    """Short name of the problem, for programs."""
    detail: str
    """The problem as a sentence."""


def refusal(asked: Asked, rules: Rules) -> Refusal | None:
    """Return why a request is refused; None when it is let in."""
    return (
        (_host_refusal(asked, rules) if rules.is_checking_hosts else None)
        or _origin_refusal(asked)
        or _write_refusal(asked)
        or _token_refusal(asked, rules)
    )


# -- hosts


def _host_refusal(asked: Asked, rules: Rules) -> Refusal | None:
    host = asked.headers.get("host", "").strip().lower()
    if not host:
        return Refusal(400, "foreign_host", "The request names no host.")
    name, port = split_host(host)
    if name in LOOPBACK and _is_own_port(port, asked.port):
        return None
    if host in rules.hosts or name in rules.hosts:
        return None
    detail = (
        "This host is not served; allow it with --allowed-host, or with "
        "allowed_hosts= of create_app."
    )
    return Refusal(403, "foreign_host", detail)


def split_host(host: str) -> tuple[str, str]:
    """Return the name and the port of a ``Host`` header; the port may be empty."""
    if host.startswith("["):
        name, bracket, rest = host.partition("]")
        return name + bracket, rest.removeprefix(":")
    name, _, port = host.partition(":")
    return name, port


def _is_own_port(port: str, own: int | None) -> bool:
    if own is None:
        return True
    return port == str(own) or (not port and own in (80, 443))


# -- origins


def _origin_refusal(asked: Asked) -> Refusal | None:
    """Refuse requests from foreign pages, except navigation to a dashboard page."""
    site = asked.headers.get("sec-fetch-site")
    if site is None or site in ("same-origin", "none") or _is_navigation(asked):
        return None
    return Refusal(403, "foreign_origin", "The request comes from another page.")


def _is_navigation(asked: Asked) -> bool:
    return (
        asked.method in SAFE
        and not is_api(asked.path)
        and asked.headers.get("sec-fetch-mode") == "navigate"
        and asked.headers.get("sec-fetch-dest") == "document"
    )


def is_api(path: str) -> bool:
    """Tell whether a path leads to data and not to a page."""
    return path == "/api" or path.startswith("/api/") or path == "/metrics"


# -- writes


def _write_refusal(asked: Asked) -> Refusal | None:
    """Refuse write requests that a foreign page can send without a CORS preflight.

    Behind a proxy that ends TLS the scheme of the origin is not ours, so only its host
    is compared, which is on the list of hosts by now.
    """
    if asked.method in SAFE:
        return None
    origin = asked.headers.get("origin", "")
    authority = origin.partition("://")[2].lower()
    if not authority or authority != asked.headers.get("host", "").strip().lower():
        return Refusal(403, "foreign_origin", "The request comes from another page.")
    kind = asked.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return Refusal(403, "foreign_origin", "The request is not JSON.")
    if asked.headers.get(MARKER) != "1":
        return Refusal(403, "foreign_origin", "The request lacks X-JustPipe: 1.")
    return None


# -- tokens


def _token_refusal(asked: Asked, rules: Rules) -> Refusal | None:
    if rules.token is None or not is_api(asked.path) or asked.path == "/api/login":
        return None
    scheme, _, given = asked.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and is_equal(given.strip(), rules.token):
        return None
    if is_equal(_cookie(asked.headers.get("cookie", "")), session_of(rules.token)):
        return None
    return Refusal(401, "unauthorized", "A token is needed; open /login.")


def is_equal(given: str, wanted: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(given.encode(), wanted.encode())


def session_of(token: str) -> str:
    """Return the content of the cookie: proves the token and does not contain it."""
    return hmac.new(token.encode(), b"dashboard session", hashlib.sha256).hexdigest()


def _cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value


# -- the middleware


class Guard:
    """Answers a refused request itself, and adds the headers to every answer.

    Args:
        app: what is guarded.
        rules: what is let in.
    """

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app = app
        self.rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = asked_of(scope)
        why = refusal(asked, self.rules)
        guarded = _with_headers(send, is_private=is_api(asked.path))
        if why is not None:
            await _refuse(why, guarded)
            return
        await self.app(scope, receive, guarded)


def asked_of(scope: Scope) -> Asked:
    """Return the parts of a request that the guard checks."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        # Requests with two hosts or two origins are ambiguous and are refused.
        text = value.decode("latin-1")
        headers[key] = text if key not in headers else f"{headers[key]}, {text}"
    server = scope.get("server")
    return Asked(
        method=scope["method"],
        path=path_below(scope),
        headers=headers,
        port=server[1] if server else None,
    )


def path_below(scope: Scope) -> str:
    """Return the path of a request below the place where the application is mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    if root and (path == root or path.startswith(f"{root}/")):
        return path[len(root) :] or "/"
    return path


def _with_headers(send: Send, *, is_private: bool) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            present = {name.lower() for name, _ in given}
            extra = [pair for pair in HEADERS if pair[0] not in present]
            if is_private and b"cache-control" not in present:
                extra.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*given, *extra]}
        await send(message)

    return sending


async def _refuse(why: Refusal, send: Send) -> None:
    body: dict[str, Any] = {"detail": why.detail, "code": why.code}
    text = json.dumps(body).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(text)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if why.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send(
        {"type": "http.response.start", "status": why.status, "headers": headers}
    )
    await send({"type": "http.response.body", "body": text})
