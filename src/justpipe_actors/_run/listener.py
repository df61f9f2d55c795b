"""One observer of one run, with an ordered, bounded queue and a task of its own.

It may ask to be woken when nothing happens, and to witness each event synchronously.
What it raises is logged, and changes nothing.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, cast

import anyio
import attrs
from trio.lowlevel import enable_ki_protection

from .. import seams
from .._actors.bell import Bell
from .._actors.blame import blamed
from .._failure.texts import text_of
from ..abc import ObserverMeta, ObserverProtocol, WakefulProtocol, WitnessProtocol
from ..events import Event
from ..outcomes import PipelineEndData
from ..seams import Seam


if TYPE_CHECKING:
    from .hosting import Group, Loop


_logger = logging.getLogger("justpipe_actors")

KILLED = "its task was cancelled by its event loop's own means; it listens on"

QUEUE = 1000
"""Events one observer may be behind."""


@attrs.define(eq=False, repr=False)
class Listener:
    """One observer and what it has not heard yet."""

    observer: ObserverProtocol
    """Who listens."""
    state: object
    """The run's state."""
    context: object
    """The run's context."""
    meta: ObserverMeta
    """Which run it is."""
    loop: Loop
    """Where it listens."""
    on_abort: Callable[[BaseException], None] = lambda error: None
    """Told when it raises what is more than a failure."""
    scope: anyio.CancelScope = attrs.field(
        factory=lambda: anyio.CancelScope(shield=True)
    )
    """Cancelled only to give up on it."""
    gone: anyio.Event = attrs.field(factory=anyio.Event)
    """Set when it has heard everything, or was given up."""
    _witness: WitnessProtocol | None = attrs.field(default=None, init=False)
    _wakeful: WakefulProtocol | None = attrs.field(default=None, init=False)
    _queue: deque[Event] = attrs.field(factory=deque, init=False)
    _last: tuple[str, object] | None = attrs.field(default=None, init=False)
    _bell: Bell = attrs.field(factory=Bell, init=False)
    _room: anyio.Event | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        # On the class: a mock has every attribute one asks it for.
        kind = type(self.observer)
        if hasattr(kind, "witness"):
            self._witness = cast("WitnessProtocol", self.observer)
        if hasattr(kind, "wake_after") and hasattr(kind, "on_wake"):
            self._wakeful = cast("WakefulProtocol", self.observer)

    @property
    def is_full(self) -> bool:
        """Whether it is too far behind."""
        return len(self._queue) >= QUEUE and not self.gone.is_set()

    def put(self, event: Event) -> None:
        """Let it witness an event, and queue the event for it."""
        if self.gone.is_set():
            return
        if self._witness is not None:
            self._show(self._witness, event)
        self._queue.append(event)
        self._bell.ring()

    def _show(self, witness: WitnessProtocol, event: Event) -> None:
        try:
            witness.witness(self.state, self.meta, event)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - an observer cannot harm a run
            self._blame("witness", error, (event,))

    async def open(self) -> None:
        """Tell it that the run begins."""
        await self.call("on_pipeline_start")

    def start(self, tasks: Group) -> None:
        """Let it listen, on its own."""
        tasks.start(self.listen)

    def finish(self, callback: str, argument: object) -> None:
        """Tell it that no event will follow, and which callback is its last."""
        self._last = (callback, argument)
        self._bell.ring()

    async def wait_gone(self, end: PipelineEndData) -> None:
        """Wait until it has heard everything, or was given up."""
        await self.gone.wait()

    def drop(self) -> None:
        """Give up on it."""
        if self.gone.is_set() or self.scope.cancel_called:
            return
        text = "Observer %s was given up before it had heard of the end of run %s"
        _logger.warning(text, type(self.observer).__name__, self.meta.run_id)
        self.scope.cancel()

    async def wait_room(self) -> None:
        """Wait until it has caught up by one event."""
        while self.is_full:
            self._room = self._room or anyio.Event()
            await self._room.wait()

    @enable_ki_protection
    async def listen(self) -> None:
        """Hand over the events one by one, then the terminal callback."""
        try:
            with self.scope:
                while not await self._hear_out():
                    name = type(self.observer).__name__
                    _logger.warning("Observer %s: %s", name, KILLED)
        finally:
            self.gone.set()
            self._free_room()

    async def _hear_out(self) -> bool:
        """Hand over what there is, to the end; False when its task was killed meanwhile."""
        try:
            while self._queue or self._last is None:
                if self._queue:
                    event = self._queue.popleft()
                    self._free_room()
                    await self.call("on_event", event)
                elif not await self._wait_word():
                    await self.call("on_wake")
            await self.call(*self._last)
        except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - raised unless outlived
            is_ours = anyio.current_effective_deadline() == -inf
            if is_ours or not self.loop.outlive_kill():
                raise
            return False  # noqa: ASYNC104
        return True

    async def _wait_word(self) -> bool:
        """Wait until there is something to hand over; False when it asks to be woken."""
        patience = self._patience()
        if patience is None:
            await self._bell.wait()
            return True
        with anyio.move_on_after(patience):
            await self._bell.wait()
        return bool(self._queue) or self._last is not None

    def _patience(self) -> float | None:
        if self._wakeful is None:
            return None
        try:
            return self._wakeful.wake_after(self.meta)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - an observer cannot harm a run
            self._blame("wake_after", error, ())
            return None  # noqa: ASYNC104

    def _free_room(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None

    async def call(self, method: str, *arguments: object) -> None:
        """Call one of its hooks; what it raises is logged."""
        hook = getattr(self.observer, method)
        try:
            if seams.active is not None:
                await seams.active.reach(Seam.LISTEN, self.meta.run_id or "", method)
            await hook(self.state, self.context, self.meta, *arguments)
        except BaseException as error:  # noqa: ASYNC103 - what is our own is raised again
            if not self._blame(method, error, arguments):
                raise

    def _blame(
        self, method: str, error: BaseException, arguments: Sequence[object]
    ) -> bool:
        """Log what it raised, pass on what is graver; False if it is only cancelled."""
        culprit = blamed(
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
        message = f"Observer {name}.{method} error: {text_of(error)}"
        logging.getLogger().error("%s", message, extra=extra)
