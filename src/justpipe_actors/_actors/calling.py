"""One call of a user's function, inside the context variables of its run.

Receivers are long-lived and shared, so an activation cannot use its task's context: it
would see the variables of whoever came before.  ``within`` drives a coroutine in a
context of its own instead, one ``Context.run`` per resumption, without a task of its own
(a task costs seventeen times what this does).

A streaming step is driven in the activation's own task and what is raised while its item
waits for room is *thrown into the generator*.  The obvious ``async for`` would leave the generator's
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
from types import CoroutineType
from typing import Any, Protocol, cast

from trio.lowlevel import disable_ki_protection

from .. import seams
from .._plan.answers import CONTROL_ITEMS
from .voices import Voice


class Outlet(Protocol):
    """Where the items of a stream go."""

    @property
    def voice(self) -> Voice:
        """The run's way to the outside: when it is full, the next item has to wait."""
        ...

    @property
    def put(self) -> Callable[[object], None]:
        """What takes an item, room or not."""
        ...

    async def wait_room(self) -> None:
        """Wait until there is room."""


Pause = Callable[[], Awaitable[None]]


@types.coroutine
def within(
    variables: Context,
    coroutine: Coroutine[Any, Any, object],
    pause: Pause | None = None,
) -> Generator[Any, Any, object]:
    """Drive a coroutine inside a context, in the current task.

    Args:
        variables: the context.
        coroutine: what to drive.
        pause: awaited after each of its waits, outside the context; for tests.
    """
    try:
        trap = variables.run(step_into, coroutine)
    except StopIteration as stop:
        return stop.value
    return (yield from _pump(variables, coroutine, trap, pause))


def _pump(
    variables: Context,
    coroutine: Coroutine[Any, Any, object],
    trap: object,
    pause: Pause | None = None,
) -> Generator[Any, Any, object]:
    run = variables.run
    try:
        while True:
            try:
                answer = yield trap
                if pause is not None:
                    yield from pause().__await__()
            except GeneratorExit:
                run(coroutine.close)
                raise
            except BaseException as error:  # noqa: BLE001, ASYNC103 - thrown on into the coroutine
                trap = run(_throw, coroutine, error)
            else:
                trap = run(_send, coroutine, answer)
    except StopIteration as stop:
        return stop.value


resume = types.coroutine(_pump)
"""Go on driving a coroutine that was advanced once and waits for the ``trap``."""


@disable_ki_protection
def call(func: Callable[..., object], arguments: dict[str, object]) -> object:
    """Call a user's function, where Ctrl-C may strike."""
    return func(**arguments)


class Begun:
    """A coroutine that was called, went as far as it could, and waits now."""

    __slots__ = ("coroutine", "trap")

    def __init__(
        self, coroutine: CoroutineType[Any, Any, object], trap: object
    ) -> None:
        self.coroutine = coroutine
        """What has to be driven on."""
        self.trap = trap
        """What it waits for."""


@disable_ki_protection
def call_into(func: Callable[..., object], arguments: dict[str, object]) -> object:
    """Call a user's function and return its value, or ``Begun`` if it has to wait.

    Most functions never wait; for those nothing has to be driven.
    """
    result = func(**arguments)
    if type(result) is not CoroutineType:
        return result
    try:
        trap = result.send(None)
    except StopIteration as stop:
        return stop.value
    return Begun(result, trap)


@disable_ki_protection
def step_into(coroutine: Coroutine[Any, Any, object]) -> object:
    """Run a coroutine to where it first waits, and return what it waits for.

    Raises:
        StopIteration: it never waited; its value is the coroutine's.
    """
    return coroutine.send(None)


@disable_ki_protection
def _send(coroutine: Coroutine[Any, Any, object], answer: object) -> object:
    return coroutine.send(answer)


@disable_ki_protection
def _throw(coroutine: Coroutine[Any, Any, object], error: BaseException) -> object:
    return coroutine.throw(error)


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
async def settle_value(result: object, outlet: Outlet | None) -> object:
    """Wait for what a function returned, and stream it if it is a stream.

    Args:
        result: a value, an awaitable, or an async generator.
        outlet: takes the items of a stream; None leaves the stream to the caller.
    """
    # A run is no awaitable; it is one only to say so.
    if inspect.isawaitable(result) and not hasattr(result, "__anext__"):
        result = await result
    if outlet is not None and inspect.isasyncgen(result):
        return await stream(cast("AsyncGenerator[object, None]", result), outlet)
    return result


@disable_ki_protection
async def stream(items: AsyncGenerator[object, None], outlet: Outlet) -> object:
    """Hand on every item that is not a control item; return the last one that is."""
    answer: object = None
    put, room = outlet.put, outlet.voice.room
    try:
        item = await items.__anext__()
        while True:
            if isinstance(item, CONTROL_ITEMS):
                answer = item
                item = await items.__anext__()
                continue
            if room.is_full or seams.active is not None:
                try:
                    await outlet.wait_room()
                except BaseException as error:  # noqa: BLE001, ASYNC103 - thrown on into the generator
                    item = await items.athrow(error)  # noqa: ASYNC102
                    continue  # noqa: ASYNC104 - thrown into it
            put(item)
            item = await items.__anext__()
    except StopAsyncIteration:
        return answer
    finally:
        await items.aclose()
