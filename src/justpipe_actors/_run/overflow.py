"""What happens when the consumer of a run is behind: three ways, chosen per run.

==================  ====================================================================
``"block"``         the run's producers wait; nothing is lost (the default)
``"drop_oldest"``   the oldest TOKEN goes; events of the run's own life are never lost,
                    so producers wait when nothing but those is left
``"fail"``          the run fails with ``ConsumerTooSlow``
==================  ====================================================================

Other runs notice none of it.  A submitted run has no consumer to wait for and keeps a
``Tail`` instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import attrs

from .._actors.bell import NewSignal
from ..errors import ConsumerTooSlow
from ..events import Event, EventType
from .feed import Feed


Overflow = Literal["block", "drop_oldest", "fail"]


@attrs.define(eq=False, repr=False)
class SheddingFeed(Feed):
    """A buffer that drops its oldest TOKEN instead of making anybody wait."""

    _tokens: int = attrs.field(default=0, init=False)

    def put(self, event: Event) -> None:
        """Add an event, in place of the oldest TOKEN when there is no room."""
        if self._closed:
            return
        if self._tokens and 0 < self.capacity <= len(self._events):
            self._shed()
        self._tokens += event.type is EventType.TOKEN
        super().put(event)
        self._judge_room()

    def get_nowait(self) -> Event | None:
        """Return the next event if one is there and it is not time to let others run."""
        event = super().get_nowait()
        if event is not None and event.type is EventType.TOKEN:
            self._tokens -= 1
            self._judge_room()
        return event

    def _is_crowded(self) -> bool:
        """Producers wait only when there is no TOKEN to drop."""
        return not self._tokens and super()._is_crowded()

    def close(self) -> None:
        """Stop reading."""
        self._tokens = 0
        super().close()

    def _shed(self) -> None:
        place = next(
            place
            for place, event in enumerate(self._events)
            if event.type is EventType.TOKEN
        )
        del self._events[place]
        self._tokens -= 1
        self.dropped += 1


@attrs.define(eq=False, repr=False)
class StrictFeed(Feed):
    """A buffer whose run fails when it is full."""

    on_overflow: Callable[[Exception], None] = lambda error: None
    """Ends the run."""

    async def wait_room(self) -> None:
        """End the run instead of waiting; what waits is interrupted by that."""
        if self._is_crowded():
            self.on_overflow(ConsumerTooSlow(self.capacity))
        await super().wait_room()


_FEEDS: dict[str, type[Feed]] = {
    "block": Feed,
    "drop_oldest": SheddingFeed,
    "fail": StrictFeed,
}


def feed_for(overflow: str, capacity: int, new_signal: NewSignal) -> Feed:
    """Return the buffer that does what was chosen.

    Raises:
        ValueError: the choice is none of the three.
    """
    if overflow not in _FEEDS:
        msg = f"overflow must be one of {get_args(Overflow)}, not {overflow!r}."
        raise ValueError(msg)
    return _FEEDS[overflow](capacity, new_signal)
