"""The recorder of a run, as one of those who listen to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from ..events import Event
from ..outcomes import PipelineEndData


if TYPE_CHECKING:
    from ..abc import RunRecorder, Wake
    from .hosting import Group


@attrs.define(eq=False, repr=False)
class Recording:
    """The recorder among the listeners: it takes events at once and has no task."""

    recorder: RunRecorder
    """Who writes the run down."""
    wake: Wake
    """Calls into the run's event loop."""
    put: Callable[[Event], None] = attrs.field(init=False)
    """Give it an event."""
    put_kin: Callable[[Event, object], None] = attrs.field(init=False)
    """Give it an event of a kin, and its payload."""

    def __attrs_post_init__(self) -> None:
        self.put = self.recorder.put
        self.put_kin = self.recorder.put_kin

    @property
    def on_abort(self) -> Callable[[BaseException], None]:
        """Told when a redaction raises what is more than a failure."""
        return self.recorder.on_abort

    @on_abort.setter
    def on_abort(self, on_abort: Callable[[BaseException], None]) -> None:
        self.recorder.on_abort = on_abort

    async def open(self) -> None:
        """Leave the beginning to ``start``, which comes even if the run ends meanwhile."""

    def start(self, tasks: Group) -> None:
        """Tell it that the run begins."""
        self.recorder.begin(self.wake)

    def finish(self, callback: str, argument: object) -> None:
        """Leave the end to ``wait_gone``, when all others have heard of it."""

    async def wait_gone(self, end: PipelineEndData) -> None:
        """Tell it how the run ended, and wait until that is stored."""
        await self.recorder.finish(end)

    def drop(self) -> None:
        """Do nothing: it gives up by itself."""

    async def wait_room(self) -> None:
        """Wait until it has caught up."""
        await self.recorder.wait_room()
