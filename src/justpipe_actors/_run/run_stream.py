"""What ``Pipe.run`` returns: a run seen from its consumer.

A plain object and never an async generator: a generator that yields while a task group
is open corrupts its caller's cancel scopes, or leaks, as soon as anything but a plain
loop to the end happens to it.

The run never refers to its stream.  So when the consumer drops the stream, ``__del__``
runs (in any thread, at any moment), and all it does is ask the loop to stop the run.

Closing cancels first and closes the buffer second.  The other way round a step that is
just emitting would see a closed buffer instead of a cancellation.

A *kept* run (``Supervisor.submit``) is the supervisor's and not its consumer's: it goes on
when its streams are dropped and when who reads them is cancelled.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from functools import partial
from types import TracebackType
from typing import NoReturn, Self

import anyio
from trio.lowlevel import enable_ki_protection

from .._backends import Group, Loop, current_loop
from .._engine.user_code import OWNER_CANCELLED
from .._util import failpoints
from .._util.failpoints import Seam
from ..errors import RunAwaited, RunInterrupted
from ..events import Event
from ..outcomes import PipelineEndData, PipelineTerminalStatus
from .event_buffer import Feed, StrictFeed, feed_for
from .lifecycle import conduct
from .ownership import Owner, ambient_owner
from .replay_buffer import Tail, TailReader
from .run import Order, Run, RunSnapshot, inside_runs, snapshot_of
from .setup import new_run


Leave = Callable[[], None]
"""Gives back the place of a run."""


class Entry:
    """A run that was asked for, on its way in."""

    def __init__(
        self, prepare: Callable[[], Order], owner: Owner | None = None
    ) -> None:
        self._owner = owner
        self._prepare = prepare
        self._order: Order | None = None
        self._loop: Loop | None = None
        self._run: Run | None = None
        self._feed: Feed | None = None
        self._tail: TailReader | None = None
        self._block: AbstractAsyncContextManager[Group] | None = None
        self._line: anyio.CancelScope | None = None
        self._cancelled: str | None = None
        self._is_entered = False
        self._is_closed = False
        self._is_over = False

    @property
    def run_id(self) -> str:
        """The run's id, the same as on its events."""
        return self._ordered().run_id

    @property
    def pipe_name(self) -> str:
        """Name of the pipe it is a run of."""
        return self._ordered().plan.name

    @property
    def end(self) -> PipelineEndData | None:
        """How the run ended; None before FINISH."""
        return self._run.end if self._run is not None else None

    def _ordered(self) -> Order:
        if self._order is None:
            self._order = self._prepare()
            del self._prepare  # and what it was asked with
        return self._order

    def begin_kept(self, owner: Owner, leave: Leave) -> None:
        """Begin a run that goes on whether or not anybody looks at it."""
        tail = Tail(self._ordered().capacity)
        self._tail = TailReader(tail)
        self._begin_in(owner, tail, leave).is_orphan = True

    async def _start_detached(self) -> None:
        owner = self._owner or ambient_owner()
        if owner is not None:
            await self._begin_in_owner(owner)
            return
        run = self._set_up(None, self._new_feed(None))
        assert self._loop is not None
        self._loop.spawn(partial(conduct, run))

    async def _begin_in_owner(self, owner: Owner) -> None:
        if self._cancelled is not None:
            leave: Leave | None = _nothing  # it needs no place to end in
        else:
            leave = owner.admit_nowait(self.run_id)
        if leave is None:
            leave = await self._stand_in_line(owner)
        if self._is_closed:
            leave()
            reason = "the stream was closed while it waited for its turn"
            raise RunInterrupted(reason)
        self._begin_in(owner, self._new_feed(owner), leave)

    def _begin_in(self, owner: Owner, sink: Feed | Tail, leave: Leave) -> Run:
        try:
            run = self._set_up(owner, sink)
        except BaseException:
            leave()
            raise
        try:
            owner.begin(run, leave)
        except BaseException:
            self._is_closed = True
            run.done.set()
            raise
        return run

    async def _stand_in_line(self, owner: Owner) -> Leave:
        """Wait for a place; a run that is cancelled meanwhile needs none."""
        run_id = self.run_id
        with anyio.CancelScope() as self._line:
            if self._cancelled is not None:
                self._line.cancel()
            return await owner.admit(run_id)
        return _nothing

    def _step_out(self) -> None:
        if self._line is not None:
            self._line.cancel()

    def _new_feed(self, owner: Owner | None) -> Feed:
        order = self._ordered()
        loop = owner.loop if owner is not None else current_loop()
        self._loop = loop
        return feed_for(order.overflow, order.capacity, loop.new_signal)

    def _set_up(self, owner: Owner | None, sink: Feed | Tail) -> Run:
        if self._run is not None:
            msg = "This run has already begun; call pipe.run() again for another one."
            raise RuntimeError(msg)
        system = None
        if owner is not None:
            system, self._loop = owner.system, owner.loop
        assert self._loop is not None
        run = self._run = new_run(self._ordered(), self._loop, sink, system)
        self._feed = sink if isinstance(sink, Feed) else None
        if isinstance(sink, StrictFeed):
            sink.on_overflow = run.break_off
        if self._cancelled is not None:
            run.stop(PipelineTerminalStatus.CANCELLED, self._cancelled)
        return run

    def _running(self) -> Run:
        if self._run is None:
            msg = "This run has not begun; iterate it, enter it or await wait()."
            raise RuntimeError(msg)
        return self._run


def _nothing() -> None:
    """Give back no place."""


class Rereading:
    """One reader of a kept run."""

    def __init__(self, tail: Tail, wait: Callable[[], Awaitable[object]]) -> None:
        self._reader = TailReader(tail)
        self._wait = wait

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await self._reader.get()
        if event is not None:
            return event
        await self._wait()
        raise StopAsyncIteration


class RunStream(Entry):
    """One run: iterate it for its events, or ``wait`` for its end.

    ``async with pipe.run(state) as run:`` makes the run's tasks children of the block.
    ``async for event in pipe.run(state):`` works too; the run is then owned by the
    open supervisor, or by the event loop.
    """

    # -- consuming

    @enable_ki_protection
    async def __aenter__(self) -> Self:
        """Begin the run as a child of this block."""
        if self._tail is not None:
            return self
        self._is_entered = True
        owner = self._owner or ambient_owner()
        if owner is not None:
            await self._begin_in_owner(owner)
            return self
        run = self._set_up(None, self._new_feed(None))
        assert self._loop is not None
        block = self._block = self._loop.open_group()
        (await block.__aenter__()).start(conduct, run)
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
        if isinstance(error, anyio.get_cancelled_exc_class()):
            run.stop(PipelineTerminalStatus.CANCELLED, OWNER_CANCELLED)
        self._close(run)
        # The body's own error goes out, even if the block is cancelled meanwhile.
        is_beaten = isinstance(error, Exception) and self._block is not None
        with suppress(BaseException) if is_beaten else nullcontext():
            await self._leave(run)  # noqa: ASYNC102 - shielded
        self._raise_after_body(run, error)

    async def _leave(self, run: Run) -> None:
        """Wait until nothing of the run is left, then leave its block behind."""
        block, self._block = self._block, None
        try:
            await _wait_over(run)
        finally:
            if block is not None:
                await block.__aexit__(None, None, None)  # noqa: ASYNC102 - nobody is in it

    def __aiter__(self) -> AsyncIterator[Event]:
        """Return the events; of a kept run, those that are kept, each time anew."""
        return self if self._tail is None else Rereading(self._tail.tail, self.wait)

    async def __anext__(self) -> Event:
        """Return the next event.

        Raises:
            StopAsyncIteration: after FINISH, or when the stream was closed.
            DefinitionError: at the first event, when the pipe is wired wrongly.
            RunRejected: at the first event, when the supervisor takes no more runs.
            RunInterrupted: the run ended without FINISH.
        """
        if self._is_closed or self._is_over:
            raise StopAsyncIteration
        if self._feed is not None and failpoints.active is None:
            event = self._feed.get_nowait()
            if event is not None:
                return event
        return await self._next()

    async def _next(self) -> Event:
        if self._run is None:
            await self._start_detached()
        reader = self._tail if self._feed is None else self._feed
        assert reader is not None
        try:
            if failpoints.active is not None:
                await failpoints.active.reach(Seam.READ, self.run_id, "consumer")
            event = await reader.get()
        except anyio.get_cancelled_exc_class():
            if not self._is_entered and self._tail is None:
                await self._give_up(self._running())  # noqa: ASYNC102
            raise
        if event is not None:
            return event
        await self._reach_end(self._running())
        raise StopAsyncIteration

    def __await__(self) -> NoReturn:
        """Say what to await instead.

        Raises:
            RunAwaited: always.
        """
        raise RunAwaited

    async def wait(self) -> PipelineEndData:
        """Let the run go on to its end without looking at its events.

        Raises:
            RunInterrupted: the run ended without FINISH.
        """
        if self._tail is not None:
            await self._running().done.wait()
        else:
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
            self._step_out()
        else:
            self._run.stop(PipelineTerminalStatus.CANCELLED, reason)

    @enable_ki_protection
    async def aclose(self) -> None:
        """End the run without its consumer; returns when nothing of it is left.

        Raises:
            RuntimeError: called in a step, hook or observer of this run.
        """
        run = self._run
        if run is None:
            self._is_closed = True
            self._step_out()
            return
        if run.order.run_id in inside_runs.get():
            msg = (
                "A run cannot wait for its own end; "
                "call run.cancel() in its steps, hooks and observers."
            )
            raise RuntimeError(msg)
        self._close(run)
        await _wait_over(run)
        self._raise_aborted(run)

    @property
    def dropped(self) -> int:
        """Events that were dropped because nobody read them in time."""
        return self._run.publisher.sink.dropped if self._run is not None else 0

    def snapshot(self) -> RunSnapshot:
        """Return what the run is doing right now."""
        return snapshot_of(self._running())

    # -- inside

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
        try:
            await _wait_over(run)
        except BaseException:
            run.raise_unseen()
            raise
        self._raise_aborted(run)
        if run.end is None and not self._is_closed:
            raise RunInterrupted

    def _raise_aborted(self, run: Run) -> None:
        error, run.run_state.aborted = run.run_state.aborted, None
        if error is not None:
            raise error

    def _raise_after_body(self, run: Run, error: BaseException | None) -> None:
        """Raise what the run left, unless the body's own error is at least as grave."""
        left = run.run_state.aborted
        if error is None or (left is not None and not isinstance(left, Exception)):
            self._raise_aborted(run)
        else:
            run.raise_unseen()

    def __del__(self) -> None:
        run = self._run
        if run is None or self._is_closed or self._is_over or self._tail is not None:
            return
        # Asked first: in another thread's time the loop may end the run meanwhile.
        is_done = run.done.is_set()
        if self._loop is not None and self._feed is not None:
            self._loop.call_soon(partial(_abandon, run, self._feed))
        if is_done:
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


async def _wait_over(run: Run) -> None:
    """Wait until nothing of a run is left, whatever is being cancelled meanwhile."""
    try:
        await run.done.wait()
    except anyio.get_cancelled_exc_class():
        # A shield costs as much as all the rest, and is seldom needed.
        with anyio.CancelScope(shield=True):  # noqa: ASYNC912
            await run.done.wait()  # noqa: ASYNC102
        raise


def _abandon(run: Run, feed: Feed) -> None:
    run.is_orphan = True
    if run.done.is_set():
        run.raise_unseen()
        return
    run.stop(PipelineTerminalStatus.CLIENT_CLOSED, "The consumer dropped the stream")
    feed.close()
