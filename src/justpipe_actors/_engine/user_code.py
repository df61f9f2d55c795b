"""Calling users' functions, and classifying what they raise.

A coroutine is driven inside the context variables of its invocation, in the task of the
dispatcher.  Hooks, observers and resources have no context of their own, so a simpler
driver (``_util/blocking_calls.py``) measures them.

``failure_of`` distinguishes a failure of the function, a cancellation by the engine and
a cancellation from outside.  Two cases are none of these: a defect of the engine, and a
dispatcher task that was cancelled natively.  The message then becomes a dead letter and
its run ends; other runs continue.
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
from time import monotonic
from types import CoroutineType, GeneratorType
from typing import Any, cast

import anyio

from .._plan.step_results import CONTROL_ITEMS, FailStep
from .._util import failpoints
from .._util.async_generators import GeneratorResult, iterate_generator
from .._util.blocking_calls import BLOCKING_LIMIT
from .._util.interrupts import disable_ki_protection
from .._util.user_errors import (
    OWNER_CANCELLED,
    TASK_CANCELLED,
    classify_exception,
)
from ..errors import DispatcherTaskKilled, ForeignCancellation, StepAborted
from ..outcomes import PipelineTerminalStatus
from .invocation import Invocation, TokenEmitter
from .messages import Message
from .run_state import RunState


AfterWait = Callable[[], Awaitable[None]]
OnBlock = Callable[[float], None]


def drive_in_context(
    variables: Context,
    coroutine: Coroutine[Any, Any, object],
    after_wait: AfterWait | None = None,
    on_block: OnBlock | None = None,
) -> Awaitable[object]:
    """Drive a coroutine inside a context, in the current task.

    Args:
        variables: the context.
        coroutine: the coroutine to drive.
        after_wait: awaited after each of its waits, outside the context; for tests.
        on_block: called if the coroutine held the event loop for long.
    """
    return drive_pending(variables, coroutine, _NOT_BEGUN, after_wait, on_block)


_NOT_BEGUN: Any = object()
"""Stands for the trap of a coroutine that is to take its first step."""


def _begin(
    variables: Context,
    coroutine: Coroutine[Any, Any, object],
    on_block: OnBlock | None,
) -> object:
    """Run a coroutine to its first wait, and return the object it yields."""
    began = monotonic()
    try:
        return variables.run(first_step, coroutine)
    finally:
        if on_block is not None and monotonic() - began > BLOCKING_LIMIT:
            on_block(monotonic() - began)


def _drive(
    variables: Context,
    coroutine: Coroutine[Any, Any, object],
    trap: object,
    after_wait: AfterWait | None = None,
    on_block: OnBlock | None = None,
) -> Generator[Any, Any, object]:
    # perf: a local name for ``variables.run`` would take 144 bytes (scale, idle run).
    try:
        if trap is _NOT_BEGUN:
            trap = _begin(variables, coroutine, on_block)
        while True:
            began = inf
            try:
                answer = yield trap
                if after_wait is not None:
                    yield from after_wait().__await__()
            except GeneratorExit:
                variables.run(coroutine.close)
                raise
            except BaseException as error:  # noqa: BLE001, ASYNC103 - thrown on into the coroutine
                trap = variables.run(_throw, coroutine, error)
            else:
                began = monotonic()
                trap = variables.run(_send, coroutine, answer)
            finally:
                if on_block is not None and monotonic() - began > BLOCKING_LIMIT:
                    on_block(monotonic() - began)
    except StopIteration as stop:
        return stop.value


drive_pending = types.coroutine(_drive)
"""Continue a coroutine that was advanced once and waits for the ``trap``."""


@disable_ki_protection
def call(func: Callable[..., object], arguments: dict[str, object]) -> object:
    """Call a user's function with Ctrl-C enabled."""
    return func(**arguments)


class PendingCall:
    """A coroutine that has run up to its first wait."""

    __slots__ = ("coroutine", "trap")

    def __init__(
        self, coroutine: CoroutineType[Any, Any, object], trap: object
    ) -> None:
        self.coroutine = coroutine
        """The coroutine to continue."""
        self.trap = trap
        """The object that it yielded to wait."""


@disable_ki_protection
def call_step_function(
    func: Callable[..., object], arguments: dict[str, object]
) -> object:
    """Call a user's function and return its value, or ``PendingCall`` if it has to wait.

    Most functions never wait and return their value directly.
    """
    result = func(**arguments)
    if type(result) is not CoroutineType:
        return result
    try:
        trap = result.send(None)
    except StopIteration as stop:
        return stop.value
    return PendingCall(result, trap)


@disable_ki_protection
def first_step(coroutine: Coroutine[Any, Any, object]) -> object:
    """Run a coroutine to its first wait, and return the object it yields.

    Raises:
        StopIteration: the coroutine ended without waiting; holds its value.
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
    """Return the next item of a user's iterator; ``end`` if there is none."""
    return next(source, end)


@disable_ki_protection
async def advance_async(source: AsyncIterator[object], end: object) -> object:
    """Return the next item of a user's async iterator; ``end`` if there is none."""
    try:
        return await source.__anext__()
    except StopAsyncIteration:
        return end


@disable_ki_protection
async def resolve_value(result: object, emitter: TokenEmitter | None) -> object:
    """Await the result of a function, and stream it if it is a generator.

    Args:
        result: a value, an awaitable, or a generator of either kind.
        emitter: takes the items of a stream; None leaves the stream to the caller.
    """
    # A run has ``__await__`` only to raise an error that explains its use.
    if inspect.isawaitable(result) and not hasattr(result, "__anext__"):
        result = await result
    if emitter is None:
        return result
    if isinstance(result, GeneratorType):
        result = iterate_generator(result)
    if inspect.isasyncgen(result):
        return await stream(cast("AsyncGenerator[object, None]", result), emitter)
    return result


@disable_ki_protection
async def drain_generator(result: object) -> None:
    """Run a generator of either kind to its end and drop its items."""
    if isinstance(result, GeneratorType):
        for _ in result:
            pass
    elif inspect.isasyncgen(result):
        async for _ in result:
            pass


@disable_ki_protection
async def stream(items: AsyncGenerator[object, None], emitter: TokenEmitter) -> object:
    """Emit all items except control items; return the last control item."""
    answer: object = None
    put, backpressure = emitter.put, emitter.publisher.backpressure
    # perf: tokens are usually of one type, and asking whether an item is a control item
    # costs a tenth of a token, as does ``__anext__`` (bench: tokens).
    advance, plain_type = items.asend, None
    try:
        item = await advance(None)
        while True:
            if type(item) is not plain_type:
                if isinstance(item, CONTROL_ITEMS):
                    answer = item
                    item = await advance(None)
                    continue
                plain_type = type(item)
            if backpressure.is_full or failpoints.active is not None:
                try:
                    await emitter.wait_writable()
                except BaseException as error:  # noqa: BLE001, ASYNC103 - thrown on into the generator
                    item = await items.athrow(error)  # noqa: ASYNC102
                    continue  # noqa: ASYNC104 - thrown into it
            put(item)
            item = await advance(None)
    except StopAsyncIteration:
        return answer.value if isinstance(answer, GeneratorResult) else answer
    finally:
        await items.aclose()


def failure_of(invocation: Invocation, error: BaseException) -> FailStep | None:
    """Convert an exception to a result; None for a cancellation by the engine."""
    system = invocation.run_state.system
    culprit = classify_exception(error, invocation.node.name, system.is_owner_cancelled)
    if culprit is None:
        return None
    if isinstance(culprit, ForeignCancellation) and system.absorb_native_cancel():
        _add_killed_dead_letter(invocation)
    return (
        FailStep(culprit)
        if isinstance(culprit, Exception)
        else _abort(invocation, culprit)
    )


def _add_killed_dead_letter(invocation: Invocation) -> None:
    killed = DispatcherTaskKilled(invocation.node.name)
    invocation.run_state.system.add_dead_letter(
        invocation.run_state,
        invocation.message,
        "its dispatcher task was killed",
        killed,
    )


def _abort(invocation: Invocation, error: BaseException) -> FailStep:
    if invocation.run_state.abort_error is None:
        invocation.run_state.abort_error = error
    failure = StepAborted(invocation.node.name, type(error).__name__)
    failure.__cause__ = error
    return FailStep(failure)


def survives_native_cancel(run_state: RunState, message: Message) -> bool:
    """Tell whether the dispatcher task survives a native cancellation; end the run.

    The task survives a cancellation between the run's own functions.  Otherwise the
    invocation is lost and the run ends, unless the cancellation ended the invocation.
    """
    is_owner = anyio.current_effective_deadline() == -inf
    # The end of an asyncio loop cancels the owner's task and this one together.
    is_owner = is_owner or run_state.system.is_owner_cancelled()
    if not is_owner and run_state.system.absorb_native_cancel():
        add_dead_letter(run_state, message, DispatcherTaskKilled(message.step))
        return True
    if run_state.termination is None:
        reason = OWNER_CANCELLED if is_owner else TASK_CANCELLED
        run_state.interrupt(PipelineTerminalStatus.CANCELLED, reason)
    return False


def add_dead_letter(
    run_state: RunState, message: Message, error: BaseException
) -> None:
    """Report a message that failed in its dispatcher as a dead letter; end its run."""
    run_state.system.add_dead_letter(run_state, message, "it ended its run", error)
    run_state.crash(error)
