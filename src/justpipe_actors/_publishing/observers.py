"""The observers of one run: they get its events before the consumer does.

A slow observer delays only the producers, and only when its queue is full.  Every
observer has received all events, FINISH and the terminal callback included, before the
consumer sees FINISH.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, cast

import anyio
import attrs

from .._util import failpoints
from .._util.blocking_calls import BlockingReport, watch
from .._util.failpoints import Seam
from .._util.interrupts import enable_ki_protection
from .._util.lazy_classes import define
from .._util.sync import Wakeup, do_nothing
from .._util.text import safe_str
from .._util.user_errors import classify_exception, drop_engine_frames
from ..abc import ObserverMeta, ObserverProtocol, WakefulProtocol, WitnessProtocol
from ..events import Event
from ..outcomes import PipelineEndData


if TYPE_CHECKING:
    from .._backends import Group, Loop
    from ..abc import RunRecorder, Wake


_logger = logging.getLogger("justpipe_actors")

TASK_CANCELLED_TEXT = (
    "its task was cancelled by its event loop's own means; it listens on"
)

RELEASE_TIMEOUT = 5.0
"""Seconds for an observer to receive the queued events of a run that is released."""

QUEUE_SIZE = 1000
"""Maximum number of events in the queue of one observer."""


@define(eq=False, repr=False)
class ObserverTask:
    """One observer, the queue of its events and the task that delivers them."""

    observer: ObserverProtocol
    """The user's observer."""
    state: object
    context: object
    meta: ObserverMeta
    """Facts about the run."""
    loop: Loop
    """Event loop in which it is called."""
    on_abort: Callable[[BaseException], None] = do_nothing
    """Called with an error that must end the run, such as an interrupt."""
    scope: anyio.CancelScope = attrs.field(
        factory=lambda: anyio.CancelScope(shield=True)
    )
    """Scope of the delivering task; cancelled only by ``abandon``."""
    finished: anyio.Event = attrs.field(factory=anyio.Event)
    """Set when the observer has received everything or was abandoned."""
    _witness: WitnessProtocol | None = attrs.field(default=None, init=False)
    _wakeful: WakefulProtocol | None = attrs.field(default=None, init=False)
    _queue: deque[Event] = attrs.field(factory=deque, init=False)
    _terminal_call: tuple[str, object] | None = attrs.field(default=None, init=False)
    _wakeup: Wakeup = attrs.field(factory=Wakeup, init=False)
    _writable: anyio.Event | None = attrs.field(default=None, init=False)
    _blocking: BlockingReport = attrs.field(init=False)
    _has_failed: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._blocking = BlockingReport("", None, run=self.meta.run_id)
        # Looked up on the class, because a mock has every attribute.
        kind = type(self.observer)
        if hasattr(kind, "witness"):
            self._witness = cast("WitnessProtocol", self.observer)
        if hasattr(kind, "wake_after") and hasattr(kind, "on_wake"):
            self._wakeful = cast("WakefulProtocol", self.observer)

    @property
    def is_full(self) -> bool:
        """Whether its queue is full: ``QUEUE_SIZE`` events."""
        return len(self._queue) >= QUEUE_SIZE and not self.finished.is_set()

    def put(self, event: Event) -> None:
        """Queue an event; call the observer's ``witness`` at once, if it has one."""
        if self.finished.is_set():
            return
        if self._witness is not None:
            self._call_witness(self._witness, event)
        self._queue.append(event)
        self._wakeup.notify()

    def _call_witness(self, witness: WitnessProtocol, event: Event) -> None:
        try:
            witness.witness(self.state, self.meta, event)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - an observer cannot harm a run
            self._classify("witness", error, (event,))

    async def open(self) -> None:
        """Tell it that the run begins."""
        await self.call("on_pipeline_start")

    def start(self, tasks: Group) -> None:
        """Start the task that delivers events to the observer."""
        tasks.start(self.run)

    def finish(self, callback: str, argument: object) -> None:
        """Announce that no event will follow, and the last callback."""
        self._terminal_call = (callback, argument)
        self._wakeup.notify()

    async def wait_finished(self, end: PipelineEndData) -> None:
        """Wait until it has handled every event, or was given up."""
        await self.finished.wait()

    async def release(self) -> None:
        """Deliver the queued events and stop, because the run continues elsewhere."""
        self.finish("", None)
        with anyio.move_on_after(RELEASE_TIMEOUT):
            await self.finished.wait()
        self.scope.cancel()

    def abandon(self) -> None:
        """Cancel the delivery to the observer and log a warning."""
        if self.finished.is_set() or self.scope.cancel_called:
            return
        text = "Observer %s was given up before it had handled the end of run %s"
        _logger.warning(text, type(self.observer).__name__, self.meta.run_id)
        self.scope.cancel()

    async def wait_writable(self) -> None:
        """Wait until it has caught up by one event."""
        while self.is_full:
            self._writable = self._writable or anyio.Event()
            await self._writable.wait()

    @enable_ki_protection
    async def run(self) -> None:
        """Hand over the events one by one, then the terminal callback."""
        try:
            with self.scope:
                while not await self._deliver_all():
                    name = type(self.observer).__name__
                    _logger.warning("Observer %s: %s", name, TASK_CANCELLED_TEXT)
        finally:
            self.finished.set()
            self._notify_writers()

    async def _deliver_all(self) -> bool:
        """Deliver all events to the end; return False if the task was cancelled."""
        try:
            while self._queue or self._terminal_call is None:
                if self._queue:
                    event = self._queue.popleft()
                    self._notify_writers()
                    await self.call("on_event", event)
                elif not await self._wait_event():
                    await self.call("on_wake")
            method, argument = self._terminal_call
            if method:
                await self.call(method, argument)
        except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - re-raised unless the task can go on
            is_ours = anyio.current_effective_deadline() == -inf
            if is_ours or not self.loop.absorb_native_cancel():
                raise
        else:
            return True
        return False

    async def _wait_event(self) -> bool:
        """Wait for something to deliver; return False when ``wake_after`` is over."""
        delay = self._wake_delay()
        if delay is None:
            await self._wakeup.wait()
            return True
        with anyio.move_on_after(delay):
            await self._wakeup.wait()
        return bool(self._queue) or self._terminal_call is not None

    def _wake_delay(self) -> float | None:
        if self._wakeful is None:
            return None
        try:
            return self._wakeful.wake_after(self.meta)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - an observer cannot harm a run
            self._classify("wake_after", error, ())
        return None

    def _notify_writers(self) -> None:
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    async def call(self, method: str, *arguments: object) -> None:
        """Call one of the observer's methods; log what it raises."""
        hook = getattr(self.observer, method)
        try:
            if failpoints.active is not None:
                await failpoints.active.reach(
                    Seam.LISTEN, self.meta.run_id or "", method
                )
            report = self._blocking
            report.func = hook
            report.subject = f"Observer {type(self.observer).__name__}.{method}"
            awaitable = hook(self.state, self.context, self.meta, *arguments)
            await watch(awaitable, report)
        except BaseException as error:  # noqa: ASYNC103 - the engine's own errors are re-raised
            if not self._classify(method, error, arguments):
                raise

    def _classify(
        self, method: str, error: BaseException, arguments: Sequence[object]
    ) -> bool:
        """Log an error, or abort the run for an interrupt; False if cancelled."""
        culprit = classify_exception(
            error, type(self.observer).__name__, self.loop.is_task_cancelled
        )
        if isinstance(culprit, Exception):
            self._log(method, culprit, arguments)
        elif culprit is not None:
            self.on_abort(culprit)
        return culprit is not None

    def _log(self, method: str, error: Exception, arguments: Sequence[object]) -> None:
        event = arguments[0] if arguments and isinstance(arguments[0], Event) else None
        name = type(self.observer).__name__
        extra = {
            "observer": name,
            "method": method,
            "error_type": type(error).__name__,
            "event_type": event.type.value if event else None,
            "event_stage": event.stage if event else None,
        }
        message = f"Observer {name}.{method} error: {safe_str(error)}"
        # Once a run: an observer that fails at one event fails at most others, too.
        shown = None if self._has_failed else drop_engine_frames(error)
        self._has_failed = True
        logging.getLogger().error("%s", message, extra=extra, exc_info=shown)


@define(eq=False, repr=False)
class RecorderObserver:
    """The recorder as an observer: it takes events synchronously and has no task."""

    recorder: RunRecorder
    """Stores the run's events."""
    wake: Wake
    """Calls into the run's event loop."""
    put: Callable[[Event], None] = attrs.field(init=False)
    """Give it an event."""
    put_token: Callable[[Event, object], None] = attrs.field(init=False)
    """Give it a TOKEN event and its payload."""

    def __attrs_post_init__(self) -> None:
        self.put = self.recorder.put
        self.put_token = self.recorder.put_token

    @property
    def on_abort(self) -> Callable[[BaseException], None]:
        """Called with an error of a redaction that must end the run."""
        return self.recorder.on_abort

    @on_abort.setter
    def on_abort(self, on_abort: Callable[[BaseException], None]) -> None:
        self.recorder.on_abort = on_abort

    async def open(self) -> None:
        """Do nothing: ``start`` is called later, even if the run ends meanwhile."""

    def start(self, tasks: Group) -> None:
        """Tell it that the run begins."""
        self.recorder.begin(self.wake)

    def finish(self, callback: str, argument: object) -> None:
        """Leave the end to ``wait_finished``, after all other observers have got it."""

    async def wait_finished(self, end: PipelineEndData) -> None:
        """Pass the end of the run to the recorder, and wait until it is stored."""
        await self.recorder.finish(end)

    async def release(self) -> None:
        """Notify the recorder that the run continues later, or in another process."""
        await self.recorder.release()

    def abandon(self) -> None:
        """Do nothing: the recorder gives up by itself."""

    async def wait_writable(self) -> None:
        """Wait until it has caught up."""
        await self.recorder.wait_writable()


@define(eq=False, repr=False)
class ObserverGroup:
    """All observers of one run."""

    members: Sequence[ObserverTask | RecorderObserver]
    """In order of registration, the recorder last."""
    put: Callable[[Event], None] = attrs.field(init=False)
    """Give each of them an event."""
    put_token: Callable[[Event, object], None] = attrs.field(init=False)
    """Give each of them a TOKEN event and its payload."""
    _bounded_queues: tuple[ObserverTask | RunRecorder, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # perf: every token passes here, and most runs have one observer or none.
        is_only = len(self.members) == 1
        self.put = self.members[0].put if is_only else self._put
        self.put_token = self._put_token
        if is_only and isinstance(self.members[0], RecorderObserver):
            self.put_token = self.members[0].put_token
        self._bounded_queues = tuple(
            member.recorder if isinstance(member, RecorderObserver) else member
            for member in self.members
        )

    @property
    def is_full(self) -> bool:
        """Whether one of them is too far behind."""
        for queue in self._bounded_queues:  # noqa: SIM110 - perf: a generator costs more
            if queue.is_full:
                return True
        return False

    def bind_backpressure(
        self, pause_producers: Callable[[], None], resume_producers: Callable[[], None]
    ) -> bool:
        """Make a recorder that is the only observer pause producers through the sink.

        Producers read the sink's ``is_full`` in any case.  Reading the recorder's, too,
        would add a tenth to the cost of each token.

        Returns:
            False when there are other observers: the caller must ask them as well.
        """
        if len(self.members) == 1 and isinstance(self.members[0], RecorderObserver):
            recorder = self.members[0].recorder
            recorder.pause_producers = pause_producers
            recorder.resume_producers = resume_producers
            return True
        return False

    @property
    def may_block_finish(self) -> bool:
        """Whether FINISH may be delayed without limit; the recorder has a limit."""
        # The recorder is the last member.
        return bool(self.members) and isinstance(self.members[0], ObserverTask)

    async def open(self, tasks: Group) -> None:
        """Announce the run to the observers in order, then start their tasks."""
        try:
            for member in self.members:
                await member.open()
        finally:
            # Start even if the run ends meanwhile: its end waits for all observers.
            self.start(tasks)

    def start(self, tasks: Group) -> None:
        """Start the tasks that deliver events to the observers."""
        for member in self.members:
            member.start(tasks)

    def _put(self, event: Event) -> None:
        for member in self.members:
            member.put(event)

    def _put_token(self, event: Event, payload: object) -> None:
        self.put(event)

    async def wait_writable(self) -> None:
        """Wait until none of them is too far behind."""
        for member in self.members:
            await member.wait_writable()

    async def finish(
        self, end: PipelineEndData, failure: Exception | None, limit: anyio.CancelScope
    ) -> None:
        """Wait until all have received everything; abandon the rest at ``limit``."""
        if not self.members:
            return
        callback = "on_pipeline_end" if failure is None else "on_pipeline_error"
        for member in self.members:
            member.finish(callback, end.duration_s if failure is None else failure)
        with limit:
            for member in self.members:
                await member.wait_finished(end)
        self.abandon()

    async def release(self) -> None:
        """Close all observers without an end, because the run continues elsewhere."""
        for member in self.members:
            await member.release()

    def abandon(self) -> None:
        """Cancel the observers that have not received everything yet."""
        for member in self.members:
            member.abandon()

    async def finish_alone(self, end: PipelineEndData) -> None:
        """Wait for the recorder if it is the only observer."""
        for member in self.members:
            await member.wait_finished(end)


NO_OBSERVERS = ObserverGroup(())
"""The group of all runs without observers."""
