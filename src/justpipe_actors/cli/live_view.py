"""A run on a terminal: what it streams goes up, what it does stays below.

A token seldom ends where its line does.  So the line that is not yet complete is part of
what is drawn anew, and goes up for good once it is.
"""

from __future__ import annotations

import time
from typing import Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from ..events import Event, EventType
from .formatting import Canvas, canvas_of, draw, format_duration, printable
from .outcome_text import Ending, details, headline
from .progress import Progress
from .views import TokenTexts, View


class LiveView(View):
    """Draws the rows again ten times a second, below what has been said.

    Args:
        title: the pipe and its loop.
        progress: the rows to begin with.
        screen: the terminal.
        out: where tokens go when that is not the terminal.
        began: wall clock at the run's start in seconds, if that is not now.
    """

    def __init__(
        self,
        title: str,
        progress: Progress,
        screen: Console,
        out: TextIO | None = None,
        began: float | None = None,
    ) -> None:
        self._title = title
        self._progress = progress
        self._screen = screen
        self._out = out
        self._began = time.time() if began is None else began
        self._tokens = TokenTexts()
        self._tail = ""
        self._notice = ""
        self._is_over = False
        self._live = Live(
            console=screen,
            auto_refresh=False,
            redirect_stdout=out is None,
            vertical_overflow="crop",
        )

    def __enter__(self) -> Self:
        self._live.start()
        self.tick()
        return self

    def __exit__(self, *_: object) -> None:
        if self._tail:
            self._print(self._tail)
            self._tail = ""
        self._is_over = True
        self.tick()
        self._live.stop()

    def hear(self, event: Event) -> None:
        """Show an event: a token at once, anything else with the next tick."""
        self._progress.hear(event)
        if event.type is EventType.TOKEN:
            self._stream(self._tokens.of(event.payload))

    def tick(self) -> None:
        """Draw what has changed."""
        self._live.update(self._drawn(), refresh=True)

    def notice(self, text: str) -> None:
        """Say something about the run, below it."""
        self._notice = text
        self.tick()

    def conclude(self, ending: Ending) -> None:
        """Say how it ended, below the rows."""
        mark, text = headline(ending, self._progress)
        canvas = self._canvas()
        self._screen.print(Text.assemble(canvas.glyph(mark), " ", text), soft_wrap=True)
        for line in details(ending, self._progress):
            self._screen.print(Text(f"  {line}"), soft_wrap=True)

    # -- inside

    def _stream(self, text: str) -> None:
        if self._out is not None:
            self._out.write(text)
            self._out.flush()
            return
        whole, newline, self._tail = (self._tail + text).rpartition("\n")
        if newline:
            self._print(whole)

    def _print(self, text: str) -> None:
        self._screen.print(_streamed(text), soft_wrap=True)

    def _drawn(self) -> Group:
        canvas = self._canvas()
        lines = list(draw(self._progress, canvas, time.time()))
        if self._progress.tokens and self._out is None:
            lines.insert(0, Text())
        if self._tail:
            lines.insert(0, _streamed(self._tail[-canvas.width :]))
        if not self._is_over:
            lines.append(self._footer(canvas))
        return Group(*lines)

    def _footer(self, canvas: Canvas) -> Text:
        took = format_duration(time.time() - self._began)
        text = f"{self._title}, {took}"
        line = Text(printable(text), "dim")
        if self._notice:
            line.append(f"  {self._notice}", "yellow")
        line.truncate(canvas.width, overflow="ellipsis")
        return line

    def _canvas(self) -> Canvas:
        # The tail, a blank line, the footer, and the line the cursor rests on.
        return canvas_of(self._screen, 4)


def _streamed(text: str) -> Text:
    """Return what a run streams: its colours stay, nothing else moves the terminal."""
    return Text.from_ansi(text.translate(C1))


C1 = dict.fromkeys(range(0x80, 0xA0))
"""Control characters that rich lets pass."""
