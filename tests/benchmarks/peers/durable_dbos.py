"""The durable programs as DBOS users write them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dbos import DBOS


@DBOS.step()
async def step(state: dict[str, Any], number: int) -> dict[str, Any]:
    """Change one number."""
    return {**state, "n": number}


@DBOS.step()
async def item(number: int) -> dict[str, Any]:
    """Make what a worker of the map makes."""
    return {"i": number, "text": "y" * 100}


@DBOS.workflow()
async def chain(state: dict[str, Any], count: int) -> int:
    """Call steps one after the other."""
    for number in range(count):
        state = await step(state, number)
    return int(state["n"])


@DBOS.workflow()
async def map_items(state: dict[str, Any], count: int) -> int:
    """Call steps beside each other."""
    return len(await asyncio.gather(*(item(number) for number in range(count))))


PROGRAMS: dict[str, Any] = {"chain": chain, "map": map_items}


@asynccontextmanager
async def launched(path: Path) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Launch DBOS with an SQLite file; give a function that runs a workflow."""
    url = f"sqlite:///{path}"
    DBOS(
        config={
            "name": "bench",
            "system_database_url": url,
            "log_level": "ERROR",
            "run_admin_server": False,
        }
    )
    DBOS.launch()

    async def start(program: str, state: dict[str, Any], count: int) -> Any:
        handle = await DBOS.start_workflow_async(PROGRAMS[program], state, count)
        return await handle.get_result()

    try:
        yield start
    finally:
        DBOS.destroy()
