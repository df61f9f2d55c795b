"""Users' streams: relayed with hooks at both ends, and built from plain generators."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from .lazy_classes import frozen


Stream = AsyncGenerator[Any, None]

OnStreamEnd = Callable[[BaseException | None], None]
"""Called when the stream has ended, with the error that ended it, or None."""

OpenStream = Callable[[dict[str, Any]], Awaitable[tuple[Stream, OnStreamEnd]]]
"""Opens the stream that a function called with these arguments returns."""


def wrap_stream(func: Callable[..., Any], begin: OpenStream) -> Callable[..., Stream]:
    """Return a streaming function in place of another, which ``begin`` calls.

    A partial of an async generator function passes for one, as its middleware must
    know.
    """
    return functools.update_wrapper(functools.partial(stream_through, begin), func)


async def stream_through(begin: OpenStream, /, **arguments: Any) -> Stream:
    """Relay a stream, with sends and exceptions; async code has no ``yield from``."""
    items, end = await begin(arguments)
    problem: BaseException | None = None
    try:
        item = await anext(items)
        while True:
            # Pass the exception on to the function: its own cancel scopes may be open
            # around its yield.
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
            await items.aclose()  # its cleanup shields itself
        finally:
            end(problem)


# -- plain generators


@frozen(eq=False)
class GeneratorResult:
    """The return value of a plain generator, as the last item of its stream."""

    value: object
    """Never None."""


Step = Callable[[], object]
"""Runs a generator to its next item."""

RunStep = Callable[[Step], Awaitable[object]]
"""Runs such a step in some place."""


def streaming(
    func: Callable[..., Any], run_step: RunStep | None = None
) -> Callable[..., Stream]:
    """Return an async generator function in place of a generator function.

    A value that the generator returns comes last, as a ``GeneratorResult``.

    Args:
        func: the generator function.
        run_step: runs each step of the generator elsewhere; None runs it here.
    """

    # ``inspect`` treats a partial of an async generator function as one.
    return functools.update_wrapper(functools.partial(_iterate, func, run_step), func)


def iterate_generator(items: Generator[Any, Any, Any]) -> Stream:
    """Return an async generator that yields what a plain one yields."""
    return _iterate(lambda: items, None)


async def _iterate(
    func: Callable[..., Generator[Any, Any, Any]],
    run_step: RunStep | None,
    /,
    **arguments: Any,
) -> Stream:
    """Yield what a plain generator yields; a run may be cancelled between two items."""
    items = func(**arguments)
    run = run_step or _run_here
    advance: Step = functools.partial(next, items)
    try:
        while True:
            item = await run(functools.partial(_advanced, advance))
            if isinstance(item, GeneratorResult):
                if item.value is not None:
                    yield item
                return
            try:
                yield item
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001, ASYNC103 - thrown on
                advance = functools.partial(items.throw, error)
            else:
                advance = functools.partial(next, items)
    finally:
        if run_step is None:
            items.close()
        else:
            with anyio.CancelScope(shield=True):
                await run_step(items.close)


async def _run_here(step: Step) -> object:
    await checkpoint()
    return step()


def _advanced(advance: Step) -> object:
    """Return the next item, or the result: StopIteration cannot cross an await."""
    try:
        return advance()
    except StopIteration as stop:
        return GeneratorResult(stop.value)
