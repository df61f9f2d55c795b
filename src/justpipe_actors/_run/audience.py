"""Everybody who hears what one run says before its consumer does.

A slow observer delays nobody but the producers, and those only when its queue is full.
All of them have heard everything, FINISH and the terminal callback included, before the
consumer sees FINISH.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import anyio
import attrs

from ..events import Event
from ..outcomes import PipelineEndData
from .listener import Listener
from .recording import Recording


if TYPE_CHECKING:
    from ..abc import RunRecorder
    from ..abc.storing import Shut
    from .hosting import Group


@attrs.define(eq=False, repr=False)
class Audience:
    """All observers of one run."""

    listeners: Sequence[Listener | Recording]
    """In order of registration, the recorder last."""
    put: Callable[[Event], None] = attrs.field(init=False)
    """Give each of them an event."""
    put_kin: Callable[[Event, object], None] = attrs.field(init=False)
    """Give each of them an event of a kin of tokens, and its payload."""
    _gates: tuple[Listener | RunRecorder, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # Every token passes here, and most runs have one listener or none.
        is_alone = len(self.listeners) == 1
        self.put = self.listeners[0].put if is_alone else self._put
        self.put_kin = self._put_kin
        if is_alone and isinstance(self.listeners[0], Recording):
            self.put_kin = self.listeners[0].put_kin
        self._gates = tuple(
            one.recorder if isinstance(one, Recording) else one
            for one in self.listeners
        )

    @property
    def is_full(self) -> bool:
        """Whether one of them is too far behind."""
        for gate in self._gates:  # noqa: SIM110 - a generator costs more than the rest
            if gate.is_full:
                return True
        return False

    def shut_at(self, shut: Shut) -> bool:
        """Let a recorder that listens alone hold up producers where they ask anyway.

        Asking the recorder, too, would cost each token a tenth of its price.

        Returns:
            False when there are others, who have to be asked.
        """
        if len(self.listeners) == 1 and isinstance(self.listeners[0], Recording):
            self.listeners[0].recorder.shut = shut
            return True
        return False

    @property
    def is_patient(self) -> bool:
        """Whether its end may take for ever: a recorder alone gives up by itself."""
        # The recorder is the last.
        return bool(self.listeners) and isinstance(self.listeners[0], Listener)

    async def open(self, tasks: Group) -> None:
        """Let them hear that the run begins, in order, then listen on their own."""
        try:
            for listener in self.listeners:
                await listener.open()
        finally:
            # Even if the run ends meanwhile: its end waits until all have heard of it.
            self.start(tasks)

    def start(self, tasks: Group) -> None:
        """Let them listen, on their own."""
        for listener in self.listeners:
            listener.start(tasks)

    def _put(self, event: Event) -> None:
        for listener in self.listeners:
            listener.put(event)

    def _put_kin(self, event: Event, payload: object) -> None:
        self.put(event)

    async def wait_room(self) -> None:
        """Wait until none of them is too far behind."""
        for listener in self.listeners:
            await listener.wait_room()

    async def finish(
        self, end: PipelineEndData, failure: Exception | None, limit: anyio.CancelScope
    ) -> None:
        """Wait until they have heard everything; give up when ``limit`` is cancelled."""
        if not self.listeners:
            return
        callback = "on_pipeline_end" if failure is None else "on_pipeline_error"
        for listener in self.listeners:
            listener.finish(callback, failure or end.duration_s)
        with limit:  # noqa: ASYNC912
            for listener in self.listeners:
                await listener.wait_gone(end)
        self.drop()

    def drop(self) -> None:
        """Give up on those that have not heard everything; nobody else ends them."""
        for listener in self.listeners:
            listener.drop()

    async def finish_alone(self, end: PipelineEndData) -> None:
        """Wait for a recorder that listens alone, if there is one."""
        for listener in self.listeners:
            await listener.wait_gone(end)


NOBODY = Audience(())
"""The audience of all runs that nobody observes."""
