"""Three ways to live with something that fails: try again, do without, or say so.

``retries=`` is done by a middleware made from tenacity; its ``retry_wait_min`` and
``retry_wait_max`` are seconds, and waiting blocks nothing.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field

import anyio

from justpipe_actors import EventType, Pipe


class FlakyApi:
    """Fails twice before it works."""

    def __init__(self) -> None:
        self.calls = 0

    async def fetch(self) -> str:
        self.calls += 1
        print(f"Attempt {self.calls}")
        if self.calls < 3:
            msg = "503, come back later"
            raise ConnectionError(msg)
        return "42 results"


@dataclass
class Search:
    api: FlakyApi = field(default_factory=FlakyApi)
    results: str = ""
    ranking: str = ""


pipe = Pipe(Search, name="search")


def unranked(state: Search, error: Exception) -> None:
    """Stand in for a step that failed: what follows it runs as if nothing had been."""
    print(f"Ranking failed ({error}), going on without")
    state.ranking = "unranked"


@pipe.step(to="rank", retries=3, retry_wait_min=0.1, retry_wait_max=0.5)
async def fetch(search: Search) -> None:
    search.results = await search.api.fetch()
    print("Successfully called flaky API")


@pipe.step(to="publish", on_error=unranked)
async def rank(search: Search) -> None:
    msg = "no model loaded"
    raise RuntimeError(msg)


@pipe.step(to="celebrate")
async def publish(search: Search) -> None:
    print(f"Publishing {search.results}, {search.ranking}")
    msg = "disk full"
    raise OSError(msg)


@pipe.step
async def celebrate(search: Search) -> None:
    """Is never run: nothing handled the failure before it."""
    print("Never printed")


async def main() -> None:
    async with pipe.run(Search()) as run:
        async for event in run:
            if event.type is EventType.STEP_ERROR:
                print(f"{event.stage} failed: {event.payload}")
        end = await run.wait()
    print(
        f"{end.status.value}: {end.failed_step} ({end.error}), by {end.failure_source.value}"
    )


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    anyio.run(main, backend=options.parse_args().backend)
