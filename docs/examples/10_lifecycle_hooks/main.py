"""Open what a run needs before its first step, and close it however the run ends.

The database is SQLite in memory.  The second run fails, and its connection is closed,
too; hooks run once for every run.
"""

from __future__ import annotations

import argparse
import sqlite3
from dataclasses import dataclass, field

import anyio

from justpipe_actors import Pipe


@dataclass
class Services:
    db: sqlite3.Connection | None = None


@dataclass
class Import:
    rows: list[tuple[str, int]]
    best: list[str] = field(default_factory=list)


pipe = Pipe(Import, Services, name="import", log_state=False)


@pipe.on_startup
async def connect(services: Services) -> None:
    print("Connecting to mock database")
    services.db = sqlite3.connect(":memory:")
    services.db.execute(
        "CREATE TABLE score (name TEXT, points INTEGER CHECK (points >= 0))"
    )


@pipe.on_shutdown
async def disconnect(services: Services) -> None:
    """Is called after the steps have cleaned up, before FINISH."""
    assert services.db is not None
    services.db.close()
    services.db = None
    print("Disconnecting")


@pipe.step(to="query")
async def insert(state: Import, services: Services) -> None:
    assert services.db is not None
    services.db.executemany("INSERT INTO score VALUES (?, ?)", state.rows)


@pipe.step
async def query(state: Import, services: Services) -> None:
    assert services.db is not None
    found = services.db.execute("SELECT name FROM score ORDER BY points DESC LIMIT 2")
    state.best = [name for (name,) in found]
    print(f"  best: {', '.join(state.best)}")


async def main() -> None:
    for rows in ([("ada", 9), ("bob", 4), ("cyd", 7)], [("dan", -1)]):
        services = Services()
        async with pipe.run(Import(rows), services) as run:
            end = await run.wait()
        print(f"  {end.status.value}{f': {end.error}' if end.error else ''}")
        assert services.db is None


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    anyio.run(main, backend=options.parse_args().backend)
