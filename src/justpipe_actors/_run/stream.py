"""What ``Pipe.run`` returns: a run seen from its consumer.

A plain object and never an async generator: a generator that yields while a task group
is open corrupts its caller's cancel scopes, or leaks, as soon as anything but a plain
loop to the end happens to it.

The run never refers to its stream.  So when the consumer drops the stream, ``__del__``
runs (in any thread, at any moment), and all it does is ask the loop to stop the run.

Closing cancels first and closes the buffer second.  The other way round a step that is
just emitting would see a closed buffer instead of a cancellation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from types import TracebackType
from typing import Self

import anyio
import attrs
from anyio.abc import TaskGroup
from trio.lowlevel import enable_ki_protection

from .. import seams
from .._actors.calling import within
from .._actors.parts import Stage
from ..errors import RunInterrupted
from ..events import Event
from ..outcomes import PipelineEndData, PipelineTerminalStatus
from ..seams import Seam
from .feed import Feed
from .hosting import Loop, ambient_host, current_loop
from .run import Order, Run, new_run


@attrs.frozen
class RunSnapshot:
    """What a run is doing right now; plain data."""

    run_id: str
    """The run."""
    tokens: dict[str, int]
    """Tokens by holder: the steps, barriers and children it waits for."""
    waiting: dict[str, tuple[str, ...]]
    """Joins that wait, and the parents they wait for."""
    running: tuple[tuple[str, float], ...]
    """Invocations at work: step and seconds."""
    buffered: int
    """Events the consumer has not read."""
    age: float
    """Seconds since the run began."""


class RunStream:
    """One run: iterate it for its events, or ``wait`` for its end.

    ``async with pipe.run(state) as run:`` makes the run's tasks children of the block.
    ``async for event in pipe.run(state):`` works too; the run is then owned by the
    open supervisor, or by the event loop.
    """

    def __init__(self, prepare: Callable[[], Order], host: Stage | None = None) -> None:
        self._host = host
        self._prepare = prepare
        self._run: Run | None = None
        self._feed: Feed | None = None
        self._loop: Loop | None = None
        self._tasks: TaskGroup | None = None
        self._is_closed = False
        self._is_over = False
        self._cancelled: str | None = None
        self._order: Order | None = None

    @property
    def run_id(self) -> str:
        """The run's id, the same as on its events."""
        return self._ordered().run_id

    @property
    def end(self) -> PipelineEndData | None:
        """How the run ended; None before FINISH."""
        return self._run.end if self._run is not None else None

    def _ordered(self) -> Order:
        if self._order is None:
            self._order = self._prepare()
        return self._order

    # -- consuming

    @enable_ki_protection
    async def __aenter__(self) -> Self:
        """Begin the run as a child of this block."""
        run = self._set_up()
        if run.host is not None:
            self._hand_over(run, run.host)
            return self
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        self._tasks = tasks
        tasks.start_soon(run.conduct)
        return self

    @enable_ki_protection
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the run and wait until nothing of it is left; a body's error goes on bare."""
        run = self._running()
        self._close(run)
        tasks, self._tasks = self._tasks, None
        if tasks is None:
            with anyio.CancelScope(shield=True):
                await run.done.wait()
        elif isinstance(error, Exception):
            # The body's own error goes out, even if the block is cancelled meanwhile.
            with suppress(BaseException):
                await tasks.__aexit__(None, None, None)  # noqa: ASYNC102
        else:
            await tasks.__aexit__(None, None, None)  # noqa: ASYNC102
        self._raise_after_body(run, error)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Return the next event.

        Raises:
            StopAsyncIteration: after FINISH, or when the stream was closed.
            DefinitionError: at the first event, when the pipe is wired wrongly.
            RunInterrupted: the run ended without FINISH.
        """
        if self._is_closed or self._is_over:
            raise StopAsyncIteration
        if self._run is None:
            self._start_detached()
        run, feed = self._running(), self._feed
        assert feed is not None
        try:
            if seams.active is not None:
                await seams.active.reach(Seam.READ, run.ledger.run_id, "consumer")
            event = await feed.get()
        except anyio.get_cancelled_exc_class():
            if self._tasks is None:
                await self._give_up(run)  # noqa: ASYNC102
            raise
        if event is not None:
            return event
        await self._reach_end(run)
        raise StopAsyncIteration

    async def wait(self) -> PipelineEndData:
        """Let the run go on to its end without looking at its events.

        Raises:
            RunInterrupted: the run ended without FINISH.
        """
        async for _ in self:
            pass
        if self.end is None:
            reason = "the stream was closed"
            raise RunInterrupted(reason)
        return self.end

    # -- stopping

    def cancel(self, reason: str = "Cancelled") -> None:
        """End the run now: FINISH says CANCELLED, with this reason."""
        if self._run is None:
            self._cancelled = reason
        else:
            self._run.stop(PipelineTerminalStatus.CANCELLED, reason)

    @enable_ki_protection
    async def aclose(self) -> None:
        """End the run without its consumer; returns when nothing of it is left."""
        run = self._run
        if run is None:
            self._is_closed = True
            return
        self._close(run)
        with anyio.CancelScope(shield=True):
            await run.done.wait()
        self._raise_aborted(run)

    def snapshot(self) -> RunSnapshot:
        """Return what the run is doing right now."""
        run = self._running()
        ledger = run.ledger
        return RunSnapshot(
            run_id=ledger.run_id,
            tokens=dict(ledger.holders),
            waiting={join.step: join.missing for join in ledger.waiting()},
            running=tuple((a.node.name, a.seconds) for a in ledger.activations),
            buffered=len(self._feed) if self._feed is not None else 0,
            age=run.age,
        )

    # -- inside

    def _set_up(self) -> Run:
        if self._run is not None:
            msg = "This run has already begun; call pipe.run() again for another one."
            raise RuntimeError(msg)
        order = self._ordered()
        self._loop = current_loop()
        self._feed = Feed(order.capacity)
        self._run = new_run(order, self._loop, self._feed, self._host or ambient_host())
        if self._cancelled is not None:
            self._run.stop(PipelineTerminalStatus.CANCELLED, self._cancelled)
        return self._run

    def _start_detached(self) -> None:
        run = self._set_up()
        if run.host is not None:
            self._hand_over(run, run.host)
        elif self._loop is not None:
            self._loop.spawn(run.conduct)

    def _hand_over(self, run: Run, host: Stage) -> None:
        """Let a host own the run, with the context variables of this consumer."""
        variables = copy_context()
        try:
            host.spawn(lambda: _within(variables, run))
        except BaseException:
            self._is_closed = True
            run.done.set()
            raise

    def _running(self) -> Run:
        if self._run is None:
            msg = "This run has not begun; iterate it, enter it or await wait()."
            raise RuntimeError(msg)
        return self._run

    def _close(self, run: Run) -> None:
        self._is_closed = True
        run.stop(PipelineTerminalStatus.CLIENT_CLOSED, "The consumer closed the stream")
        if self._feed is not None:
            self._feed.close()

    @enable_ki_protection
    async def _give_up(self, run: Run) -> None:
        """The consumer was cancelled while it waited: the run ends before it goes on."""
        self._close(run)
        with anyio.CancelScope(shield=True):  # noqa: ASYNC912
            while not run.done.is_set():
                try:
                    await run.done.wait()
                except anyio.get_cancelled_exc_class():  # noqa: ASYNC103
                    # Cancelled natively once more; the first one is raised at the end.
                    continue  # noqa: ASYNC104
        self._raise_aborted(run)

    async def _reach_end(self, run: Run) -> None:
        self._is_over = True
        with anyio.CancelScope(shield=True):
            await run.done.wait()
        self._raise_aborted(run)
        if run.end is None and not self._is_closed:
            raise RunInterrupted

    def _raise_aborted(self, run: Run) -> None:
        error, run.ledger.aborted = run.ledger.aborted, None
        if error is not None:
            raise error

    def _raise_after_body(self, run: Run, error: BaseException | None) -> None:
        """Raise what the run left, unless the body's own error is at least as grave."""
        left = run.ledger.aborted
        if error is None or (left is not None and not isinstance(left, Exception)):
            self._raise_aborted(run)
        else:
            run.raise_unseen()

    def __del__(self) -> None:
        run = self._run
        if run is None or self._is_closed or self._is_over:
            return
        if self._loop is not None and self._feed is not None:
            self._loop.call_soon(partial(_abandon, run, self._feed))
        if run.done.is_set():
            return
        # Last, because it raises where warnings are errors.
        warnings.warn(
            f"A run of pipe '{run.order.plan.name}' was dropped before its end; "
            "use 'async with', or aclose() it.",
            ResourceWarning,
            stacklevel=2,
            source=self,
        )

    def __repr__(self) -> str:
        state = "not begun"
        if self._run is not None:
            state = "over" if self._run.done.is_set() else "running"
        return f"<RunStream {state}>"


async def _within(variables: Context, run: Run) -> None:
    await within(variables, run.conduct())


def _abandon(run: Run, feed: Feed) -> None:
    run.is_orphan = True
    if run.done.is_set():
        run.raise_unseen()
        return
    run.stop(PipelineTerminalStatus.CLIENT_CLOSED, "The consumer dropped the stream")
    feed.close()
