"""Serve the dashboard from the command line until a signal comes.

Importing this module needs the ``dashboard`` extra.
"""

from __future__ import annotations

import signal
import socket
import webbrowser
from typing import Any

import anyio
import anyio.to_thread
import click

from ..dashboard.app import create_app as create_app
from ..dashboard.serving import address_of, bind, serve_app
from .errors import CommandFailed
from .formatting import printable


DEFAULT_PORT = 8741
"""The port that is tried first when none was named."""


def open_listener(host: str, port: int | None) -> socket.socket:
    """Return a socket at the port that was named, else at the first that is free.

    Raises:
        CommandFailed: there is none.
    """
    first, tries = (port, 1) if port is not None else (DEFAULT_PORT, 20)
    try:
        return bind(host, first, tries=tries)
    except OSError as error:
        msg = f"Cannot listen at {printable(host)}:{first}: {error.strerror}"
        raise CommandFailed(msg) from error


def page_address(listener: socket.socket, token: str | None) -> str:
    """Return the address to open in a browser, with the token if one is needed."""
    address = address_of(listener)
    return address if token is None else f"{address}login#{token}"


async def serve(
    app: Any, listener: socket.socket, page: str, *, is_opened: bool
) -> None:
    """Serve until SIGINT or SIGTERM; open a browser if wanted."""
    click.echo(f"The dashboard is at {page}  (Ctrl-C ends it)")
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:

        async def wait_signal() -> None:
            async for _ in signals:
                return

        async with anyio.create_task_group() as tasks:
            await tasks.start(serve_app, app, listener, wait_signal)
            if is_opened:
                await anyio.to_thread.run_sync(webbrowser.open, page)
