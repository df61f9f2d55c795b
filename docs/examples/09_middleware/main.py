"""A middleware of your own: it sees every call of every step, and measures it.

A middleware gets a step's function and returns what shall be called instead, with the
same keyword arguments.  Whatever a decorator was given that the library does not know,
``slow_after`` here, is for middleware to read.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio

from justpipe_actors import EventType, Pipe
from justpipe_actors.types import StepContext


def timing(func: Callable[..., Any], ctx: StepContext) -> Callable[..., Any]:
    """Measure a step; one that streams is measured from its first pull to its last."""
    limit = ctx.kwargs.get("slow_after", 0.1)

    def tell(began: float) -> None:
        took = anyio.current_time() - began
        mark = "  <- slow" if took > limit else ""
        print(f"  {ctx.name:8} {took * 1000:4.0f} ms{mark}")

    async def call(**arguments: Any) -> Any:
        began = anyio.current_time()
        result = func(**arguments)
        value = await result if inspect.isawaitable(result) else result
        tell(began)
        return value

    async def stream(**arguments: Any) -> AsyncIterator[Any]:
        began = anyio.current_time()
        async for item in func(**arguments):
            yield item
        tell(began)

    return stream if inspect.isasyncgenfunction(func) else call


pipe = Pipe[None, None](name="timed", middleware=[timing])


@pipe.step(to="load")
async def connect() -> None:
    await anyio.sleep(0.05)


@pipe.step(to="count", options={"slow_after": 0.5})
async def load() -> None:
    await anyio.sleep(0.2)


@pipe.step(to="sign_off", options={"slow_after": 0.03})
async def count() -> AsyncIterator[int]:
    for number in (1, 2, 3):
        await anyio.sleep(0.02)
        yield number


@pipe.step
def sign_off() -> None:
    """Synchronous functions pass through the same middleware."""


async def main() -> None:
    print("Running pipeline with Timing Middleware")
    async with pipe.run(None) as run:
        tokens = [e.payload async for e in run if e.type is EventType.TOKEN]
    print(f"Counted {tokens}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    anyio.run(main, backend=options.parse_args().backend)
