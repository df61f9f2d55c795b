"""How a run comes to begin: whose it is, in which loop, and whether it has to wait.

::

    async with, or begin_kept   begun at once, or when its supervisor has a place
    the first event             the same, and else owned by the loop

``RunStream`` is the other half: what its consumer can do with it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import anyio

from ..errors import RunInterrupted
from ..outcomes import PipelineEndData, PipelineTerminalStatus
from .ambient import Owner, ambient_owner
from .conducting import conduct
from .feed import Feed
from .hosting import Group, Loop, current_loop
from .opening import new_run
from .order import Order
from .overflow import StrictFeed, feed_for
from .run import Run
from .tail import Tail, TailReader


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
            await self._begin_hosted(owner)
            return
        run = self._set_up(None, self._new_feed(None))
        assert self._loop is not None
        self._loop.spawn(partial(conduct, run))

    async def _begin_hosted(self, owner: Owner) -> None:
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
        host = None
        if owner is not None:
            host, self._loop = owner.host, owner.loop
        assert self._loop is not None
        run = self._run = new_run(self._ordered(), self._loop, sink, host)
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
