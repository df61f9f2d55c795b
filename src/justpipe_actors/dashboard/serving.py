"""The server: anycorn on the running event loop, trio or asyncio.

This module binds the socket and passes it to the server, so that a port conflict is
detected before a browser is opened.  Streams are notified when the server stops, so
that open streams do not delay it.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import anyio
from anycorn import Config, serve
from anyio.abc import TaskStatus
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from .app import create_app


if TYPE_CHECKING:
    from ..supervisor import Supervisor


GRACEFUL = 2.0
"""Seconds that open requests may take when the server stops."""

TRIED = 20
"""Ports that are tried from the default one on."""

_logger = logging.getLogger("justpipe_actors.dashboard")


def bind(host: str, port: int, *, tries: int = 1) -> socket.socket:
    """Return a listening socket at a port, or at one of the next.

    Raises:
        OSError: all of them are taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in range(port, port + tries):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
            listener.listen(128)
        except OSError:
            listener.close()
            if number == port + tries - 1:
                raise
        else:
            return listener
    msg = "tries must be at least 1."
    raise ValueError(msg)


def address_of(listener: socket.socket) -> str:
    """Return the address that a browser opens."""
    address = listener.getsockname()
    host, port = str(address[0]), address[1]
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/"


async def serve_app(
    app: Starlette,
    listener: socket.socket,
    stopping: Callable[[], Awaitable[Any]],
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an application of ours until it is told to stop.

    Args:
        app: what ``create_app`` returned.
        listener: where; it is closed in the end.
        stopping: returns when the server shall stop.
        task_status: notified when connections are accepted.
    """
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.graceful_timeout = GRACEFUL
    config.accesslog = None
    config.errorlog = None
    streams = app.state.site.streams

    async def stopped() -> None:
        await stopping()
        streams.stopping.set()

    task_status.started()
    served: Any = _without_lifespan(app)  # its types are those of starlette
    await serve(served, config, shutdown_trigger=stopped)


def _without_lifespan(app: ASGIApp) -> ASGIApp:
    """Return an application that has nothing to do at its start and its end.

    Starlette answers a cancellation of its lifespan with a failure, which would hide
    why the server was cancelled.
    """

    async def serving(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        for _ in range(2):
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})

    return serving


def dashboard_service(
    supervisor: Supervisor,
    port: int = 8741,
    *,
    host: str = "127.0.0.1",
    **options: Any,
) -> Callable[..., Awaitable[None]]:
    """Return a service that serves the dashboard of a supervisor from inside it.

    ``supervisor.add_service("dashboard", dashboard_service(supervisor))``; with
    ``restart="transient"`` a dashboard that cannot start is tried again and, as any
    service, ends the supervisor when it fails too often.

    Args:
        supervisor: the supervisor that runs the shown pipes.
        port: where; 0 takes any free one, which the log names.
        host: the interface; any but the loopback needs ``token=``.
        options: the other options of ``create_app``.

    Raises:
        ValueError: the interface is reachable from elsewhere and there is no token, or
            an option makes no sense.
    """
    if host not in ("127.0.0.1", "::1", "localhost") and not options.get("token"):
        msg = f"A dashboard at {host} can be read by others: pass token=."
        raise ValueError(msg)
    app = create_app(supervisor=supervisor, **options)

    async def dashboard(task_status: Any) -> None:
        app.state.site.streams.stopping = anyio.Event()
        listener = bind(host, port)
        _logger.info("The dashboard is at %s", address_of(listener))
        await serve_app(
            app, listener, task_status.stopping.wait, task_status=task_status
        )

    return dashboard
