"""A user's stream, with something that begins before it and ends behind it."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any


Stream = AsyncGenerator[Any, None]

OnStreamEnd = Callable[[BaseException | None], None]
"""Told when the stream is over, and which error ended it."""

OpenStream = Callable[[dict[str, Any]], Awaitable[tuple[Stream, OnStreamEnd]]]
"""Opens the stream that a function called with these arguments returns."""


def wrap_stream(func: Callable[..., Any], begin: OpenStream) -> Callable[..., Stream]:
    """Return a streaming function in place of another, which ``begin`` calls.

    A partial of an async generator function passes for one, as its middleware must
    know.
    """
    return functools.update_wrapper(functools.partial(stream_through, begin), func)


async def stream_through(begin: OpenStream, /, **arguments: Any) -> Stream:
    """Stream what a function streams, as ``yield from`` would if it could."""
    items, end = await begin(arguments)
    problem: BaseException | None = None
    try:
        item = await anext(items)
        while True:
            # What is thrown in belongs to the function, whose own cancel scopes may be
            # open around its yield.
            try:
                yield item
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001, ASYNC103 - thrown on
                item = await items.athrow(error)  # noqa: ASYNC102
            else:
                item = await anext(items)
    except StopAsyncIteration:
        return
    except BaseException as error:
        problem = error
        raise
    finally:
        try:
            await items.aclose()  # noqa: ASYNC102 - its cleanup shields itself
        finally:
            end(problem)
