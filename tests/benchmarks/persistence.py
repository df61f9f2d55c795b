"""What persisting costs: CPU of the whole process with it and without, as a ratio.

The ratio of the least CPU of each side comes first: it is what a quiet machine shows.  The
ratio of the medians follows.

Run it with ``python tests/benchmarks/persistence.py [rounds]``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import AsyncIterator
from statistics import median
from typing import Any

import anyio

from justpipe_actors import Pipe


AnyPipe = Pipe[Any, Any]
State = dict[str, Any]


STEPS, TOKENS = 200, 20_000


def chain(**options: Any) -> AnyPipe:
    """Return a pipe of steps that each change a small state."""
    pipe: AnyPipe = Pipe(dict, name="chain", **options)

    def count(state: State) -> None:
        state["n"] += 1

    for n in range(STEPS):
        pipe.step(f"s{n}", to=f"s{n + 1}" if n < STEPS - 1 else None)(count)
    return pipe


def stream(**options: Any) -> AnyPipe:
    """Return a pipe whose only step says many tokens."""
    pipe: AnyPipe = Pipe(dict, name="stream", **options)

    @pipe.step("talk")
    async def talk(state: State) -> AsyncIterator[str]:
        for _ in range(TOKENS):
            yield "token "

    return pipe


async def consume(pipe: AnyPipe) -> None:
    """Run it once, looking at every event."""
    async with pipe.run({"user": "ada", "n": 0, "items": [1, 2, 3]}) as run:
        async for _ in run:
            pass


def cpu(pipe: AnyPipe, backend: str) -> float:
    """Return the seconds of CPU one run takes, all threads included."""
    began = time.process_time()
    anyio.run(consume, pipe, backend=backend)
    return time.process_time() - began


def main(rounds: int) -> None:
    """Take turns, so that a busy machine is busy for both."""
    for make, per in ((chain, STEPS), (stream, TOKENS)):
        for state in ("full", "none"):
            for backend in ("asyncio", "trio"):
                with tempfile.TemporaryDirectory() as root:
                    off, on = make(), make(storage=root, persist_state=state)
                    both = [
                        (cpu(off, backend), cpu(on, backend)) for _ in range(rounds)
                    ]
                sides = list(zip(*both[2:], strict=True))
                without, along = (min(times) for times in sides)
                usual = median(sides[1]) / median(sides[0])
                more = (along - without) / per * 1e6
                print(
                    f"{make.__name__:7}{backend:8} state={state}: "
                    f"{along / without:.2f} times the CPU (median {usual:.2f}), "
                    f"{more:.2f} us more for each"
                )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
