"""Rows to lines of a terminal: what is shown, how wide, in which colour.  Pure.

::

    mark  name            time  bar or note
    ✓     discover        1.1s  ━━━━━━━━━━━━━━━━━━━━━━━━━━  812/812
    ●       parse         1.1s  4 at work
    ○     overview              waits for imports

Colour says only how a step stands; whoever has none loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
from rich.text import Text

from .formatting import counted, format_duration, printable
from .progress import Mark, Progress, Row


GLYPHS = {
    Mark.WAITING: ("○", "."),
    Mark.RUNNING: ("●", "*"),
    Mark.DONE: ("✓", "+"),
    Mark.FAILED: ("✗", "x"),
    Mark.CUT_OFF: ("■", "!"),
    Mark.NOT_TAKEN: ("–", "-"),
}
"""A mark's sign, and the one for terminals that have ASCII only."""

STYLES = {
    Mark.WAITING: "dim",
    Mark.RUNNING: "cyan",
    Mark.DONE: "green",
    Mark.FAILED: "red",
    Mark.CUT_OFF: "yellow",
    Mark.NOT_TAKEN: "dim",
}

NAME_WIDTH = (16, 32)
"""The least and the most columns for names."""
BAR_WIDTH = 30
"""The most columns for a bar."""


@attrs.frozen
class Canvas:
    """What there is to draw on."""

    width: int
    """Columns."""
    height: int
    """Lines."""
    has_only_ascii: bool = False
    """Whether its encoding lacks our signs."""

    def glyph(self, mark: Mark) -> Text:
        """Return the sign of a mark."""
        return Text(GLYPHS[mark][self.has_only_ascii], STYLES[mark])


def draw(progress: Progress, canvas: Canvas, now: float) -> Iterator[Text]:
    """Yield a line per row that there is room for."""
    is_over = progress.end is not None
    rows = list(progress.rows.values())
    shown = chosen(rows, canvas.height, is_over=is_over)
    least, most = NAME_WIDTH
    widest = max((2 * r.depth + len(_short(r)) for r in shown), default=0)
    column = max(least, min(widest, most, canvas.width - 20))
    for row in shown:
        yield _line(row, progress, canvas, column, now)
    if hidden := len(rows) - len(shown):
        yield Text(f"  and {counted(hidden, 'step')} more", "dim")


def chosen(rows: Sequence[Row], room: int, *, is_over: bool) -> list[Row]:
    """Return the rows worth showing, in order: first those at work, last those to come."""
    if len(rows) <= room:
        return list(rows)
    worth = [
        Mark.FAILED,
        Mark.RUNNING,
        Mark.CUT_OFF,
        Mark.DONE,
        Mark.WAITING,
        Mark.NOT_TAKEN,
    ]
    ranked = sorted(
        range(len(rows)), key=lambda at: worth.index(rows[at].mark(is_over=is_over))
    )
    return [rows[at] for at in sorted(ranked[: max(0, room - 1)])]


def _short(row: Row) -> str:
    """Return the name as it reads below its owner."""
    return printable(row.name.rpartition(":")[2] if row.depth else row.name)


def _line(
    row: Row, progress: Progress, canvas: Canvas, column: int, now: float
) -> Text:
    mark = row.mark(is_over=progress.end is not None)
    is_idle = mark in (Mark.WAITING, Mark.NOT_TAKEN)
    name = Text("  " * row.depth + _short(row), "dim" if is_idle else "")
    name.truncate(column, overflow="ellipsis", pad=True)
    time = format_duration(row.seconds(now)) if row.began is not None else ""
    line = Text.assemble(
        canvas.glyph(mark), " ", name, " ", (f"{time:>7}", "dim"), "  "
    )
    if row.worker is not None and row.worker in progress.rows and row.began is not None:
        line.append_text(_bar(row, progress.rows[row.worker], canvas, column))
    line.append_text(_note(row))
    line.rstrip()
    line.truncate(canvas.width, overflow="ellipsis")
    return line


def _bar(row: Row, worker: Row, canvas: Canvas, column: int) -> Text:
    done = worker.done + worker.failed
    if row.uncounted or not row.items:
        return Text(f"{done:,}")
    room = min(
        BAR_WIDTH, canvas.width - column - 12 - 2 - 2 * len(f"{row.items:,}") - 1
    )
    figures = f"{done:,}/{row.items:,}"
    if room < 5:
        return Text(figures)
    filled = min(room, room * done // row.items)
    full, empty = ("=", "-") if canvas.has_only_ascii else ("━", "─")
    style = "" if done >= row.items else "cyan"
    return Text.assemble(
        (full * filled, style), (empty * (room - filled), "dim"), f"  {figures}"
    )


def _note(row: Row) -> Text:
    parts = []
    if row.failed and row.started > 1:
        parts.append((f"{row.failed:,} failed", "red"))
    if row.running > 1:
        parts.append((f"{row.running:,} at work", ""))
    elif row.done > 1 and not row.running and not row.is_worker:
        parts.append((f"{row.done:,} times", "dim"))
    if row.retried:
        parts.append((counted(row.retried, "more attempt"), "yellow"))
    if row.awaits:
        parts.append((f"waits for {', '.join(map(printable, row.awaits))}", "dim"))
    return Text("  ").join(Text(text, style) for text, style in parts)
