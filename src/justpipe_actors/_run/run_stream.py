"""The stream that ``Pipe.run`` returns: the consumer's interface to a run.

It is a plain object and not an async generator: a generator that yields while a task
group is open corrupts its caller's cancel scopes, or leaks, unless the caller iterates
it to the end.

The run never refers to its stream.  So when the consumer drops the stream, ``__del__``
runs (in any thread, at any time), and only asks the loop to stop the run.

Closing cancels first and closes the buffer second.  In the other order a step that is
emitting would see a closed buffer instead of a cancellation.

A *kept* run (``Supervisor.submit``) belongs to the supervisor and not to its consumer:
it goes on when its streams are dropped and when their reader is cancelled.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Generator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, cast

import anyio

from .. import _engine, _publishing
from .._backends import Loop, current_loop
from .._publishing.event_buffer import EventBuffer, FailFastBuffer, new_buffer
from .._util import failpoints
from .._util.failpoints import Seam
from .._util.interrupts import enable_ki_protection
from .._util.notebooks import is_notebook, paragraph
from .._util.sync import do_nothing
from .._util.text import short_text
from .._util.user_errors import (
    OWNER_CANCELLED,
    drop_engine_frames,
    is_native_cancellation,
)
from ..errors import (
    AsyncForNeeded,
    AsyncWithNeeded,
    DefinitionError,
    OtherLoopError,
    RunAwaited,
    RunInterrupted,
    RunTimeout,
    UnknownAsk,
)
from ..events import Event
from ..outcomes import REPR_LIMIT, PipelineEndData, PipelineTerminalStatus
from .closing import (
    abandon,
    raise_abort_error,
    raise_after_body,
    wait_done,
    wait_done_uncancelled,
)
from .lifecycle import execute_run
from .ownership import RunOwner, ambient_owner
from .run import Run, RunRequest, RunSnapshot, enclosing_runs, snapshot_of
from .setup import new_run


if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from .._publishing.replay_buffer import ReplayBuffer, ReplayReader
    from ..abc import OpenAsk

    StateT_co = TypeVar("StateT_co", covariant=True, default=Any)
else:  # Python 3.11 knows no defaults
    from typing import TypeVar

    StateT_co = TypeVar("StateT_co", covariant=True)

ReleasePlace = Callable[[], None]
"""Releases the place that a run was admitted to."""


class RunStream(Generic[StateT_co]):
    """One run: iterate it for its events, or ``wait`` for its end.

    ``async with pipe.run(state) as run:`` ends the run with the block.
    ``async for event in pipe.run(state):`` works too; the run is then owned by the
    open supervisor, or by the event loop.

    A run of a ``Pipe[Page]`` is a ``RunStream[Page]``, and ``result`` returns a ``Page``.
    ``RunStream`` alone is the run of any pipe.

    ``Pipe.run`` and ``Supervisor`` create it; programs do not.  ``build_request``
    compiles the pipe when the run begins, and ``owner`` hosts the run.
    """

    def __init__(
        self, build_request: Callable[[], RunRequest], owner: RunOwner | None = None
    ) -> None:
        self._owner = owner
        self._build_request = build_request
        self._request: RunRequest | None = None
        self._loop: Loop | None = None
        self._run: Run | None = None
        self._buffer: EventBuffer | None = None
        self._replay: ReplayReader | None = None
        self._admission_scope: anyio.CancelScope | None = None
        self._cancel_reason: str | None = None
        self._is_entered = False
        self._ignores_events = False
        self._was_asked = False
        self._is_closed = False
        self._is_finished = False

    @property
    def run_id(self) -> str:
        """The run's id, the same as on its events."""
        return self._get_request().run_id

    @property
    def pipe_name(self) -> str:
        """Name of the pipe it is a run of."""
        return self._get_request().plan.name

    @property
    def end(self) -> PipelineEndData | None:
        """How the run ended; None before FINISH."""
        return self._run.end if self._run is not None else None

    # -- consuming

    def __enter__(self) -> NoReturn:
        """Raise an error that names the right statement.

        Raises:
            AsyncWithNeeded: always.
        """
        self._was_asked = True  # no second warning: the error is enough
        statement = "pipe.run(...) as run"
        raise AsyncWithNeeded(statement)

    def __exit__(self, *_: object) -> None:
        """Do nothing; ``with`` looks for this method before it calls ``__enter__``."""

    @enable_ki_protection
    async def __aenter__(self) -> Self:
        """Begin the run; leaving the block ends it, in this task or in another one."""
        if self._replay is not None:
            return self
        self._is_entered = True
        owner = self._owner or ambient_owner()
        if owner is not None:
            await self._begin_in_owner(owner)
            return self
        self._start_private()
        return self

    @enable_ki_protection
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the run and wait for its end; raise the body's error ungrouped."""
        run = self._begun_run()
        if not run.done.is_set():
            self._refuse_other_loop()
        if isinstance(error, anyio.get_cancelled_exc_class()):
            run.stop(PipelineTerminalStatus.CANCELLED, OWNER_CANCELLED)
        self._close(run)
        if isinstance(error, Exception):
            # Raise the body's own error, even if a scope is cancelled meanwhile.
            try:
                await wait_done(run)  # noqa: ASYNC102 - shielded
            except anyio.get_cancelled_exc_class() as cancelled:  # noqa: ASYNC103 - comes again
                if is_native_cancellation(cancelled):
                    raise
        else:
            await wait_done(run)  # noqa: ASYNC102 - shielded
        raise_after_body(run, error)

    def __iter__(self) -> NoReturn:
        """Raise an error that names ``async for``.

        Raises:
            AsyncForNeeded: always.
        """
        self._was_asked = True  # no second warning: the error is enough
        raise AsyncForNeeded

    def __aiter__(self) -> AsyncIterator[Event]:
        """Return the events; for a kept run, a new iterator of its kept events."""
        return (
            self
            if self._replay is None
            else _publishing.replay_buffer.ReplayIterator(
                self._replay.buffer, self.wait, self._refuse_other_loop
            )
        )

    async def __anext__(self) -> Event:
        """Return the next event.

        Raises:
            StopAsyncIteration: after FINISH, or when the stream was closed.
            DefinitionError: at the first event, when the pipe is wired wrongly.
            RunRejected: at the first event, when the supervisor takes no more runs.
            RunInterrupted: the run ended without FINISH.
        """
        # perf: first, because it is empty once the stream was closed (bench: chain).
        if self._buffer is not None and failpoints.active is None:
            event = self._buffer.get_nowait()
            if event is not None:
                return event
        if self._is_closed or self._is_finished:
            raise StopAsyncIteration
        return await self._next()

    async def _next(self) -> Event:
        if self._run is None:
            await self._start_detached()
        self._refuse_other_loop()
        reader = self._replay if self._buffer is None else self._buffer
        assert reader is not None
        try:
            if failpoints.active is not None:
                await failpoints.active.reach(Seam.READ, self.run_id, "consumer")
            event = await reader.get()
        except (anyio.get_cancelled_exc_class(), KeyboardInterrupt):
            if not self._is_entered and self._replay is None:
                await self._close_after_cancel(self._begun_run())  # noqa: ASYNC102
            raise
        if event is not None:
            return event
        await self._finish_reading(self._begun_run())
        raise StopAsyncIteration

    def __await__(self) -> NoReturn:
        """Raise an error that names the methods to await instead.

        Raises:
            RunAwaited: always.
        """
        self._was_asked = True  # no second warning: the error is enough
        raise RunAwaited

    async def wait(self) -> PipelineEndData:
        """Wait for the end of the run, ignore its events and return how it ended.

        The failure of a run is not raised here, but by ``end.raise_for_failure()`` and
        by ``result``.

        Raises:
            DefinitionError: the pipe is wired wrongly.
            RunRejected: the supervisor takes no more runs.
            RunInterrupted: the run ended without FINISH.
        """
        if self._replay is not None:
            self._refuse_other_loop()
            run = self._begun_run()
            if not run.done.is_set():
                change = run.done.begin_wait(run.loop.new_loop_event)
                try:
                    await change.wait()
                finally:
                    run.done.end_wait(change)
        elif not (self._is_closed or self._is_finished):
            run, buffer = await self._begin_unread()
            # perf: it waits here, because each coroutine of a task that waits takes
            # 0.2 kB (scale, idle run).
            try:
                while not buffer.is_over:
                    change = buffer.begin_wait()  # raises if another task reads the run
                    _ignore_events(run, buffer, ignored=True)
                    try:
                        await change.wait()
                    finally:
                        buffer.end_wait(change)
            except BaseException as error:
                await self._stop_waiting(run, buffer, error)  # noqa: ASYNC102
                raise
            buffer.ignore_events(ignored=True)
            await self._finish_reading(run)
        if self.end is None:
            reason = "the stream was closed"
            raise RunInterrupted(reason)
        return self.end

    async def _begin_unread(self) -> tuple[Run, EventBuffer]:
        """Begin the run if needed; only hooks, observers and listeners see its events."""
        self._ignores_events = True  # the buffer is made when the run begins
        try:
            if self._run is None:
                await self._start_detached()
        finally:
            self._ignores_events = False
        self._refuse_other_loop()
        run, buffer = self._begun_run(), self._buffer
        assert buffer is not None
        if failpoints.active is not None:
            try:
                await failpoints.active.reach(Seam.READ, self.run_id, "consumer")
            except BaseException as error:
                await self._stop_waiting(run, buffer, error)  # noqa: ASYNC102
                raise
        return run, buffer

    async def _stop_waiting(
        self, run: Run, buffer: EventBuffer, error: BaseException
    ) -> None:
        """Keep the events that come after a cancelled wait for the next reader."""
        _ignore_events(run, buffer, ignored=False)
        kinds = (anyio.get_cancelled_exc_class(), KeyboardInterrupt)
        if isinstance(error, kinds) and not self._is_entered:
            await self._close_after_cancel(run)

    async def result(self) -> StateT_co:
        """Wait for the end of the run and return its state, or raise its failure.

        Raises:
            Exception: the primary failure of the run, with its traceback; the other
                failures are its notes.
            RunTimeout: the run took longer than its ``timeout=``.
            PipelineCancelled: the run was cancelled, or closed.
            RunInterrupted: the run ended without FINISH.
        """
        end = await self.wait()
        if end.status is PipelineTerminalStatus.TIMEOUT:
            seconds = self._get_request().timeout or end.duration_s
            raise RunTimeout(seconds, tuple(end.steps_at_work), self.run_id)
        end.raise_for_failure()
        return cast("StateT_co", self._begun_run().run_state.state)

    # -- stopping

    def cancel(self, reason: str = "Cancelled") -> None:
        """End the run now: FINISH has the status CANCELLED and this reason.

        May be called in any thread.
        """
        if self._run is None:
            self._cancel_reason = reason
            self._leave_queue()
            return
        stop = partial(self._run.stop, PipelineTerminalStatus.CANCELLED, reason)
        if self._run.loop.is_current():
            stop()
        else:
            self._run.loop.call_soon(stop)

    def asks(self) -> list[OpenAsk]:
        """Return the questions that wait for an answer, the oldest first.

        These are the questions of a run at work in this process.  ``Supervisor.asks``
        also returns those of a durable run that is not in memory or is at work in
        another process.
        """
        run = self._run
        return (
            []
            if run is None
            else _engine.answering.open_asks(run.run_state.system, self.run_id)
        )

    def answer(self, ask_id: str, value: object, *, by: str | None = None) -> Answered:
        """Answer a question of this run.

        Args:
            ask_id: the question's id.
            value: the answer: JSON data, or a value of the form's type.
            by: name of the person or program that answers.

        Returns:
            An object that may be awaited and need not be.  For a durable run, awaiting
            it waits until the answer is stored, and raises the errors listed here.

        Raises:
            UnknownAsk: no question of this id is open.
            AnswerRejected: the value does not fit; the question stays open.
        """
        run = self._run
        if run is None:
            raise UnknownAsk(ask_id)
        _engine.answering.answer_ask(run.run_state.system, ask_id, value, by)
        return Answered()

    @enable_ki_protection
    async def aclose(self) -> None:
        """End the run without its consumer; returns when nothing of it is left.

        Raises:
            RuntimeError: called in a step, hook or observer of this run.
        """
        run = self._run
        if run is None:
            self._is_closed = True
            self._leave_queue()
            return
        if run.request.run_id in enclosing_runs.get():
            msg = (
                "A run cannot wait for its own end; "
                "call run.cancel() in its steps, hooks and observers."
            )
            raise RuntimeError(msg)
        self._refuse_other_loop()
        self._close(run)
        await wait_done(run)
        raise_abort_error(run)

    @property
    def dropped(self) -> int:
        """Number of events that were dropped because they were not read in time."""
        return self._run.publisher.sink.dropped if self._run is not None else 0

    @property
    def is_submitted(self) -> bool:
        """Whether the run goes on when its stream is dropped."""
        return self._replay is not None

    def kept_events(self) -> tuple[Event, ...]:
        """Return the events that a submitted run keeps; empty for any other run."""
        return () if self._replay is None else self._replay.buffer.kept()

    def snapshot(self) -> RunSnapshot:
        """Return the current state of the run."""
        return snapshot_of(self._begun_run())

    def __del__(self) -> None:
        run = self._run
        if run is None:
            self._warn_if_never_begun()
            return
        if self._is_closed or self._is_finished or self._replay is not None:
            return
        # Read first: in another thread the loop may end the run meanwhile.
        is_done = run.done.is_set() or self._has_read_finish(run)
        if self._loop is not None and self._buffer is not None:
            self._loop.call_soon(partial(abandon, run, self._buffer))
        if is_done:
            return
        # Last, because it raises if warnings are errors.
        warnings.warn(
            f"A run of pipe '{run.request.plan.name}' was dropped before its end; "
            "use 'async with', or aclose() it.",
            ResourceWarning,
            stacklevel=2,
            source=self,
        )

    def _warn_if_never_begun(self) -> None:
        """Warn as Python does of a coroutine that was never awaited."""
        is_from_pipe = type(self) is RunStream and self._owner is None
        if not is_from_pipe or self._is_closed or self._was_asked:
            return
        if self._cancel_reason is not None:
            return
        warnings.warn(
            "A run was never begun: nothing happens before it is entered with "
            "'async with', iterated, or its wait() or result() is awaited.",
            RuntimeWarning,
            stacklevel=3,
            source=self,
        )

    def _has_read_finish(self, run: Run) -> bool:
        """Return whether the consumer has received FINISH and then left its loop."""
        return (
            run.end is not None and self._buffer is not None and not len(self._buffer)
        )

    def __repr__(self) -> str:
        name, run, end = type(self).__name__, self._run, self.end
        if end is not None:
            text = short_text(end.headline, REPR_LIMIT)
        elif run is None:
            return f"<{name} not begun>"
        else:
            text = "over" if run.done.is_set() else self.snapshot().headline
        return f"<{name} {self.run_id[:8]} of {self.pipe_name!r}: {text}>"

    # -- in a notebook

    def _notebook_view(self) -> Any:
        """Return the notebook view of this run; None outside of a notebook."""
        if self._request is None and self._run is None and not is_notebook():
            return None
        views = [o for o in self._get_request().observers if hasattr(o, "show")]
        return views[-1] if views and hasattr(views[-1], "html") else None

    def _ipython_display_(self) -> None:
        """Show the run here: rows while it runs, then its timeline.

        Raises:
            NotImplementedError: this is no notebook, and IPython shows the text.
        """
        view = self._notebook_view()
        if view is None:
            raise NotImplementedError
        view.show()

    def _repr_html_(self) -> str:
        """Return the run's current state as HTML."""
        view = self._notebook_view()
        if view is not None:
            html: str = view.html()
            return html
        return paragraph(repr(self)) if self.end is None else self.end._repr_html_()

    # -- beginning

    def begin_submitted(self, owner: RunOwner, release_place: ReleasePlace) -> None:
        """Begin a run that goes on with or without readers; for ``Supervisor.submit``.

        Args:
            owner: the supervisor.
            release_place: called when the run has ended and its place is free.
        """
        buffer = _publishing.replay_buffer.ReplayBuffer(self._get_request().capacity)
        self._replay = _publishing.replay_buffer.ReplayReader(buffer)
        self._begin_in(owner, buffer, release_place).has_no_consumer = True

    def _get_request(self) -> RunRequest:
        self._was_asked = True
        if self._request is None:
            try:
                self._request = self._build_request()
            except DefinitionError as error:
                raise drop_engine_frames(error)  # noqa: B904 - it is the same error
            del self._build_request  # which refers to the arguments of ``Pipe.run``
        return self._request

    async def _start_detached(self) -> None:
        owner = self._owner or ambient_owner()
        if owner is not None:
            await self._begin_in_owner(owner)
            return
        self._start_private()

    def _start_private(self) -> None:
        """Start the run in a task of the loop.

        Such a task does not stand in a task group or a cancel scope of the caller, so
        the block can be left in any task, and a caller's generator can yield inside it.
        """
        run = self._set_up(None, self._new_buffer(None))
        assert self._loop is not None
        try:
            self._loop.spawn(partial(execute_run, run))
        except BaseException:
            self._note_never_begun(run)
            raise

    async def _begin_in_owner(self, owner: RunOwner) -> None:
        if not owner.loop.is_current():
            raise OtherLoopError
        if self._cancel_reason is not None:
            release_place: ReleasePlace | None = (
                do_nothing  # a run that is cancelled at its start needs no place
            )
        else:
            release_place = owner.admit_nowait(self.run_id)
        if release_place is None:
            release_place = await self._wait_admission(owner)
        if self._is_closed:
            release_place()
            reason = "the stream was closed while it waited for its turn"
            raise RunInterrupted(reason)
        self._begin_in(owner, self._new_buffer(owner), release_place)

    def _begin_in(
        self,
        owner: RunOwner,
        sink: EventBuffer | ReplayBuffer,
        release_place: ReleasePlace,
    ) -> Run:
        try:
            run = self._set_up(owner, sink)
        except BaseException:
            release_place()
            raise
        try:
            owner.begin(run, release_place)
        except BaseException:
            self._note_never_begun(run)
            raise
        return run

    def _note_never_begun(self, run: Run) -> None:
        """Mark a run that did not begin as done, so that no reader waits for it."""
        self._is_closed = True
        run.done.set()

    async def _wait_admission(self, owner: RunOwner) -> ReleasePlace:
        """Wait for admission; a run that is cancelled meanwhile needs none."""
        run_id = self.run_id
        with anyio.CancelScope() as self._admission_scope:
            if self._cancel_reason is not None:
                self._admission_scope.cancel()
            return await owner.admit(run_id)
        return do_nothing

    def _leave_queue(self) -> None:
        if self._admission_scope is not None:
            self._admission_scope.cancel()

    def _new_buffer(self, owner: RunOwner | None) -> EventBuffer:
        request = self._get_request()
        loop = owner.loop if owner is not None else current_loop()
        self._loop = loop
        buffer = new_buffer(request.overflow, request.capacity, loop.new_loop_event)
        if self._ignores_events:
            buffer.ignore_events(ignored=True)
        return buffer

    def _set_up(self, owner: RunOwner | None, sink: EventBuffer | ReplayBuffer) -> Run:
        if self._run is not None:
            msg = "This run has already begun; call pipe.run() again for another one."
            raise RuntimeError(msg)
        system = None
        if owner is not None:
            system, self._loop = owner.system, owner.loop
        assert self._loop is not None
        run = self._run = new_run(self._get_request(), self._loop, sink, system)
        self._buffer = sink if isinstance(sink, EventBuffer) else None
        if isinstance(sink, FailFastBuffer):
            sink.on_overflow = run.abort
        if self._cancel_reason is not None:
            run.stop(PipelineTerminalStatus.CANCELLED, self._cancel_reason)
        return run

    def _refuse_other_loop(self) -> None:
        """Refuse to wait in an event loop that is not the run's own.

        Raises:
            OtherLoopError: this is called in another event loop.
        """
        if not self._begun_run().loop.is_current():
            raise OtherLoopError(self.run_id)

    def _begun_run(self) -> Run:
        self._was_asked = True
        if self._run is None:
            msg = "This run has not begun; iterate it, enter it or await wait()."
            raise RuntimeError(msg)
        return self._run

    # -- ending

    def _close(self, run: Run) -> None:
        self._is_closed = True
        run.stop(PipelineTerminalStatus.CLIENT_CLOSED, "The consumer closed the stream")
        if self._buffer is not None:
            self._buffer.close()
        run.on_read()

    @enable_ki_protection
    async def _close_after_cancel(self, run: Run) -> None:
        """End the run because its consumer was cancelled, or got Ctrl-C, in a wait."""
        self._close(run)
        await wait_done_uncancelled(run)
        raise_abort_error(run)

    async def _finish_reading(self, run: Run) -> None:
        self._is_finished = True
        run.on_read()
        try:
            await wait_done(run)
        except BaseException:
            run.report_abort_error()
            raise
        raise_abort_error(run)
        if run.end is None and not self._is_closed:
            raise RunInterrupted


class Answered:
    """The awaitable that ``RunStream.answer`` returns once the answer was given."""

    def __await__(self) -> Generator[None]:
        return
        yield


def _ignore_events(run: Run, buffer: EventBuffer, *, ignored: bool) -> None:
    """Tell a run whether its consumer looks at its events."""
    if buffer.ignore_events(ignored=ignored):
        run.publisher.update_visibility()
