"""A dashboard that a browser can open: served by a thread with a loop of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import attrs

from justpipe_actors.dashboard import create_app
from justpipe_actors.dashboard.serving import address_of, bind, serve_app
from justpipe_actors.storage import PipelineRegistry


Wrap = Callable[[Any], Any]
"""Puts the application into another one."""


@attrs.define
class Served:
    """A dashboard at an address."""

    address: str
    """Where, without a slash at the end."""
    portal: anyio.from_thread.BlockingPortal
    """Calls into its loop."""
    app: Any
    """The application."""


@asynccontextmanager
async def serving(
    app: Any, outer: Any, port: int, address: Callable[[str], None]
) -> AsyncGenerator[None]:
    """Serve inside the loop that is there."""
    listener = bind("127.0.0.1", port)
    address(address_of(listener).rstrip("/"))
    stopping = anyio.Event()
    if outer is not app:
        outer.state = app.state  # the server tells the streams that it stops
    async with anyio.create_task_group() as tasks:
        await tasks.start(serve_app, outer, listener, stopping.wait)
        yield
        stopping.set()


@contextmanager
def served(
    root: Path,
    *,
    backend: str = "asyncio",
    port: int = 0,
    wrap: Wrap = lambda app: app,
    **options: Any,
) -> Generator[Served]:
    """Serve the dashboard of a storage root while the block is open."""
    with anyio.from_thread.start_blocking_portal(backend) as portal:
        app = portal.call(lambda: create_app(PipelineRegistry(root), **options))
        addresses: list[str] = []
        context = portal.wrap_async_context_manager(
            serving(app, wrap(app), port, addresses.append)
        )
        with context:
            yield Served(addresses[0], portal, app)
