"""What becomes of an invocation when it, or whoever performs it, breaks.

A function that fails is data (``blamed``).  A cancellation is ours or foreign (``blamed``
too).  What is left is neither: a defect of the engine, or a receiver killed past all
scopes.  Its message is buried, and its run ends; no other run hears of it.
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
from math import inf
from types import CoroutineType
from typing import Any, cast

import anyio
from trio.lowlevel import disable_ki_protection

from .._plan.step_results import CONTROL_ITEMS, Fail
from .._util import failpoints as seams
from ..errors import ForeignCancellation, ReceiverKilled, StepAborted
from ..outcomes import PipelineTerminalStatus
from .invocation import Activation, Outlet
from .messages import Message
from .run_state import Ledger


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


def blamed(
    error: BaseException, who: str, is_owner_cancelled: Callable[[], bool]
) -> BaseException | None:
    """Return what user code is to blame for; None if it is only being cancelled.

    What is returned is an ``Exception``, unless the code asked for more than failing.

    Args:
        error: what came out of it.
        who: the step, hook or observer.
        is_owner_cancelled: whether the owner was cancelled past all scopes.
    """
    if isinstance(error, Exception):
        return error
    if isinstance(error, BaseExceptionGroup):
        _, failures = error.split(anyio.get_cancelled_exc_class())
        if failures is not None:
            return failures
    elif not isinstance(error, anyio.get_cancelled_exc_class()):
        return error
    if anyio.current_effective_deadline() == -inf or is_owner_cancelled():
        return None
    foreign = ForeignCancellation(who)
    foreign.__cause__ = error
    return foreign


OWNER_CANCELLED = "The run's owner was cancelled"
"""Why a run ended when what it ran in was cancelled."""

TASK_CANCELLED = "A task of the run was cancelled from outside"
"""Why it ended when one of its own tasks was, past all scopes."""


def failure_of(act: Activation, error: BaseException) -> Fail | None:
    """Turn whatever user code raised into an answer; None for our own cancellation."""
    host = act.ledger.host
    culprit = blamed(error, act.node.name, host.is_owner_cancelled)
    if culprit is None:
        return None
    if isinstance(culprit, ForeignCancellation) and host.outlive_kill():
        _bury_killed(act)
    return Fail(culprit) if isinstance(culprit, Exception) else _abort(act, culprit)


def _bury_killed(act: Activation) -> None:
    killed = ReceiverKilled(act.node.name)
    act.ledger.host.bury(act.ledger, act.message, "its receiver was killed", killed)


def _abort(act: Activation, error: BaseException) -> Fail:
    act.ledger.aborted = act.ledger.aborted or error
    failure = StepAborted(act.node.name, type(error).__name__)
    failure.__cause__ = error
    return Fail(failure)


def is_outlived(ledger: Ledger, message: Message) -> bool:
    """Tell whether the receiver goes on although it was cancelled, and end the run.

    It does when it was killed between its run's own functions.  Else the invocation is
    gone, and with it the run, unless that is what ended the invocation.
    """
    is_owner = anyio.current_effective_deadline() == -inf
    if not is_owner and ledger.host.outlive_kill():
        bury(ledger, message, ReceiverKilled(message.step))
        return True
    if ledger.ending is None:
        # Its own conductor may be the one that performs this.
        is_owner = is_owner or ledger.host.is_owner_cancelled()
        reason = OWNER_CANCELLED if is_owner else TASK_CANCELLED
        ledger.interrupt(PipelineTerminalStatus.CANCELLED, reason)
    return False


def bury(ledger: Ledger, message: Message, error: BaseException) -> None:
    """Report a message that broke what performed it, and end its run for it."""
    ledger.host.bury(ledger, message, "it ended its run", error)
    ledger.crash(error)
