"""What shows a run: the socket, and which of the three views fits where output goes."""

from __future__ import annotations

from typing import Literal, Protocol, Self

import attrs

from ..events import Event
from .words import Ending


Style = Literal["live", "lines", "json"]


class View(Protocol):
    """Shows one run; entered before it begins, left after it has ended."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def hear(self, event: Event) -> None:
        """Show an event."""

    def tick(self) -> None:
        """Show that time has passed."""

    def notice(self, text: str) -> None:
        """Show something about the run."""

    def conclude(self, ending: Ending) -> None:
        """Show how it ended."""


@attrs.frozen
class Place:
    """What a stream leads to."""

    is_terminal: bool
    """Somebody watches."""
    can_redraw: bool
    """And what was written there can be written over."""


def style_for(asked: Style | None, out: Place, err: Place) -> Style:
    """Choose a view: a terminal is watched, a pipe is read by a program.

    Who asks for lines still sees the rows, if there is a terminal to draw them on.
    """
    if asked == "json" or (asked is None and not out.is_terminal):
        return "json"
    is_drawn = out.can_redraw or (err.can_redraw and not out.is_terminal)
    return "live" if is_drawn else "lines"
