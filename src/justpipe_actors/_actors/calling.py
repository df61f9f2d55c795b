"""One call of a user's function, inside the context variables of its run.

Receivers are long-lived and shared, so an activation cannot use its task's context: it
would see the variables of whoever came before.  ``within`` drives a coroutine in a
context of its own instead, one ``Context.run`` per resumption, without a task of its own
(a task costs seventeen times what this does).

A streaming step is driven in the activation's own task and an error of ``emit`` is
*thrown into the generator*.  The obvious ``async for`` would leave the generator's
cancel scopes open around our own awaits: ``with move_on_after(...): yield`` inside a step
would leak a cancellation that belongs to nobody.

On trio a Ctrl-C is raised wherever the program happens to be.  The engine's tasks are
protected from that, because half a commit is a token that never comes back; users' code
is not, or a step that computes for ever could not be interrupted.  This page is where
the one calls the other.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterator,
)
from contextvars import Context
from typing import Any, cast

from trio.lowlevel import disable_ki_protection

from .._plan.answers import CONTROL_ITEMS


Emit = Callable[[object], Awaitable[None]]


@types.coroutine
def within(
    variables: Context,
    coroutine: Coroutine[Any, Any, object],
    pause: Callable[[], Awaitable[None]] | None = None,
) -> Generator[Any, Any, object]:
    """Drive a coroutine inside a context, in the current task.

    Args:
        variables: the context.
        coroutine: what to drive.
        pause: awaited after each of its waits, outside the context; for tests.
    """
    run = variables.run
    try:
        trap = run(coroutine.send, None)
        while True:
            try:
                answer = yield trap
                if pause is not None:
                    yield from pause().__await__()
            except GeneratorExit:
                run(coroutine.close)
                raise
            except BaseException as error:  # noqa: BLE001, ASYNC103 - thrown on into the coroutine
                trap = run(coroutine.throw, error)
            else:
                trap = run(coroutine.send, answer)
    except StopIteration as stop:
        return stop.value


@disable_ki_protection
def call(func: Callable[..., object], arguments: dict[str, object]) -> object:
    """Call a user's function, where Ctrl-C may strike."""
    return func(**arguments)


@disable_ki_protection
def advance(source: Iterator[object], end: object) -> object:
    """Return the next item of a user's iterator, ``end`` when there is none."""
    return next(source, end)


@disable_ki_protection
async def advance_async(source: AsyncIterator[object], end: object) -> object:
    """Return the next item of a user's async iterator, ``end`` when there is none."""
    try:
        return await source.__anext__()
    except StopAsyncIteration:
        return end


@disable_ki_protection
async def settle_value(result: object, emit: Emit | None) -> object:
    """Wait for what a function returned, and stream it if it is a stream.

    Args:
        result: a value, an awaitable, or an async generator.
        emit: takes the items of a stream; None leaves the stream to the caller.
    """
    if inspect.isawaitable(result):
        result = await result
    if emit is not None and inspect.isasyncgen(result):
        return await stream(cast("AsyncGenerator[object, None]", result), emit)
    return result


@disable_ki_protection
async def stream(items: AsyncGenerator[object, None], emit: Emit) -> object:
    """Emit every item that is not a control item; return the last one that is."""
    answer: object = None
    try:
        item = await items.__anext__()
        while True:
            if isinstance(item, CONTROL_ITEMS):
                answer = item
                item = await items.__anext__()
                continue
            try:
                await emit(item)
            except BaseException as error:  # noqa: BLE001, ASYNC103 - thrown on into the generator
                item = await items.athrow(error)  # noqa: ASYNC102
            else:
                item = await items.__anext__()
    except StopAsyncIteration:
        return answer
    finally:
        await items.aclose()
