"""The live view of a run: streamed text scrolls, progress rows stay at the bottom.

A token seldom ends with its line.  So the view redraws the incomplete last line with
the rows, and prints the line permanently once it is complete.
"""

from __future__ import annotations

import time
from typing import Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from ..events import Event, EventType
from .formatting import Canvas, canvas_for, draw, format_duration, printable
from .outcome_text import Outcome, details, headline
from .progress import Progress
from .views import TokenFormatter, View


class LiveView(View):
    """Redraws the rows ten times a second, below the printed text.

    Args:
        title: the pipe and its loop.
        progress: the rows to begin with.
        console: the terminal.
        out: where tokens go when that is not the terminal.
        started_at: wall clock at the run's start in seconds, if that is not now.
    """

    def __init__(
        self,
        title: str,
        progress: Progress,
        console: Console,
        out: TextIO | None = None,
        started_at: float | None = None,
    ) -> None:
        self._title = title
        self._progress = progress
        self._console = console
        self._out = out
        self._started_at = time.time() if started_at is None else started_at
        self._tokens = TokenFormatter()
        self._partial_line = ""
        self._notice = ""
        self._is_over = False
        self._live = Live(
            console=console,
            auto_refresh=False,
            redirect_stdout=out is None,
            vertical_overflow="crop",
        )

    def __enter__(self) -> Self:
        self._live.start()
        self.tick()
        return self

    def __exit__(self, *_: object) -> None:
        if self._partial_line:
            self._print(self._partial_line)
            self._partial_line = ""
        self._is_over = True
        self.tick()
        self._live.stop()

    def on_event(self, event: Event) -> None:
        """Show an event: a token at once, anything else with the next tick."""
        self._progress.on_event(event)
        if event.type is EventType.TOKEN:
            self._stream(self._tokens.format(event.payload))

    def tick(self) -> None:
        """Draw what has changed."""
        self._live.update(self._render(), refresh=True)

    def notice(self, text: str) -> None:
        """Say something about the run, below it."""
        self._notice = text
        self.tick()

    def show_outcome(self, outcome: Outcome) -> None:
        """Say how it ended, below the rows."""
        mark, text = headline(outcome, self._progress)
        canvas = self._canvas()
        self._console.print(
            Text.assemble(canvas.glyph(mark), " ", text), soft_wrap=True
        )
        for line in details(outcome, self._progress):
            self._console.print(Text(f"  {line}"), soft_wrap=True)

    # -- drawing

    def _stream(self, text: str) -> None:
        if self._out is not None:
            self._out.write(text)
            self._out.flush()
            return
        complete_lines, newline, self._partial_line = (
            self._partial_line + text
        ).rpartition("\n")
        if newline:
            self._print(complete_lines)

    def _print(self, text: str) -> None:
        self._console.print(_streamed_text(text), soft_wrap=True)

    def _render(self) -> Group:
        canvas = self._canvas()
        lines = list(draw(self._progress, canvas, time.time()))
        if self._progress.tokens and self._out is None:
            lines.insert(0, Text())
        if self._partial_line:
            lines.insert(0, _streamed_text(self._partial_line[-canvas.width :]))
        if not self._is_over:
            lines.append(self._footer(canvas))
        return Group(*lines)

    def _footer(self, canvas: Canvas) -> Text:
        duration = format_duration(time.time() - self._started_at)
        text = f"{self._title}, {duration}"
        line = Text(printable(text), "dim")
        if self._notice:
            line.append(f"  {self._notice}", "yellow")
        line.truncate(canvas.width, overflow="ellipsis")
        return line

    def _canvas(self) -> Canvas:
        # The tail, a blank line, the footer, and the line the cursor rests on.
        return canvas_for(self._console, 4)


def _streamed_text(text: str) -> Text:
    """Return streamed text with its colours and without other control sequences."""
    return Text.from_ansi(text.translate(C1_CONTROLS))


C1_CONTROLS = dict.fromkeys(range(0x80, 0xA0))
"""Control characters that rich lets pass."""
