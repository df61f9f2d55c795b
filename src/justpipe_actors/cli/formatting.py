"""What commands write to a terminal: marks, tables, text, and the rows of a run.

``draw`` yields one line per step of a run: a mark, the name, the time and a bar.  A
terminal without Unicode gets ASCII marks.  Names that justpipe has here, such as
``short_id``, are exported under the same names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TextIO

import attrs
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .._compat import (
    format_status,
    format_timestamp,
    parse_run_meta,
    resolve_or_exit,
    short_id,
)
from .._util.text import count_text, escape_controls, format_duration, format_time
from .progress import Mark, Progress, Row


__all__ = [
    "count_text",
    "format_duration",
    "format_status",
    "format_time",
    "format_timestamp",
    "parse_run_meta",
    "printable",
    "resolve_or_exit",
    "short_id",
]


def printable(text: object) -> str:
    """Return a text on one line, with the characters that move the cursor escaped."""
    return escape_controls(str(text))


GLYPHS = {
    Mark.WAITING: ("○", "."),
    Mark.RUNNING: ("●", "*"),
    Mark.DONE: ("✓", "+"),
    Mark.FAILED: ("✗", "x"),
    Mark.CUT_OFF: ("■", "!"),
    Mark.NOT_TAKEN: ("–", "-"),
}
"""The glyph of each mark, in Unicode and in ASCII."""

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
    """The terminal that is drawn on."""

    width: int
    """Columns of the terminal."""
    height: int
    """Lines of the terminal."""
    has_only_ascii: bool = False
    """Whether its encoding cannot write the Unicode marks."""

    def glyph(self, mark: Mark) -> Text:
        """Return the glyph of a mark."""
        return Text(GLYPHS[mark][self.has_only_ascii], STYLES[mark])


def draw(progress: Progress, canvas: Canvas, now: float) -> Iterator[Text]:
    """Yield a line for each row that fits on the canvas."""
    is_over = progress.end is not None
    rows = list(progress.rows.values())
    shown = select_rows(rows, canvas.height, is_over=is_over)
    min_width, max_width = NAME_WIDTH
    widest = max((2 * r.depth + len(_short_name(r)) for r in shown), default=0)
    column = max(min_width, min(widest, max_width, canvas.width - 20))
    for row in shown:
        yield _row_line(row, progress, canvas, column, now)
    if hidden := len(rows) - len(shown):
        yield Text(f"  and {count_text(hidden, 'step')} more", "dim")


def select_rows(rows: Sequence[Row], limit: int, *, is_over: bool) -> list[Row]:
    """Return the rows worth showing, in order: first those at work, last those to come."""
    if len(rows) <= limit:
        return list(rows)
    priority = [
        Mark.FAILED,
        Mark.RUNNING,
        Mark.CUT_OFF,
        Mark.DONE,
        Mark.WAITING,
        Mark.NOT_TAKEN,
    ]
    ranked = sorted(
        range(len(rows)),
        key=lambda index: priority.index(rows[index].mark(is_over=is_over)),
    )
    return [rows[index] for index in sorted(ranked[: max(0, limit - 1)])]


def _short_name(row: Row) -> str:
    """Return the name as it reads below its owner."""
    return printable(row.name.rpartition(":")[2] if row.depth else row.name)


def _row_line(
    row: Row, progress: Progress, canvas: Canvas, column: int, now: float
) -> Text:
    mark = row.mark(is_over=progress.end is not None)
    is_idle = mark in (Mark.WAITING, Mark.NOT_TAKEN)
    name = Text("  " * row.depth + _short_name(row), "dim" if is_idle else "")
    name.truncate(column, overflow="ellipsis", pad=True)
    time = format_duration(row.seconds(now)) if row.started_at is not None else ""
    line = Text.assemble(
        canvas.glyph(mark), " ", name, " ", (f"{time:>7}", "dim"), "  "
    )
    if (
        row.worker is not None
        and row.worker in progress.rows
        and row.started_at is not None
    ):
        line.append_text(_bar(row, progress.rows[row.worker], canvas, column))
    line.append_text(_notes_text(row))
    line.rstrip()
    line.truncate(canvas.width, overflow="ellipsis")
    return line


def _bar(row: Row, worker: Row, canvas: Canvas, column: int) -> Text:
    done = worker.done + worker.failed
    if row.uncounted_maps or not row.items:
        return Text(f"{done:,} of {worker.started:,} so far" if worker.started else "")
    bar_width = min(
        BAR_WIDTH, canvas.width - column - 12 - 2 - 2 * len(f"{row.items:,}") - 1
    )
    fraction = f"{done:,}/{row.items:,}"
    if bar_width < 5:
        return Text(fraction)
    filled = min(bar_width, bar_width * done // row.items)
    full_char, empty_char = ("=", "-") if canvas.has_only_ascii else ("━", "─")
    style = "" if done >= row.items else "cyan"
    return Text.assemble(
        (full_char * filled, style),
        (empty_char * (bar_width - filled), "dim"),
        f"  {fraction}",
    )


def _notes_text(row: Row) -> Text:
    parts = []
    if row.failed and row.started > 1:
        parts.append((f"{row.failed:,} failed", "red"))
    if row.running > 1:
        parts.append((f"{row.running:,} at work", ""))
    elif row.done > 1 and not row.running and not row.is_worker:
        parts.append((f"{row.done:,} times", "dim"))
    if row.retried:
        parts.append((count_text(row.retried, "more attempt"), "yellow"))
    if row.waiting_for:
        parts.append((f"waits for {', '.join(map(printable, row.waiting_for))}", "dim"))
    return Text("  ").join(Text(text, style) for text, style in parts)


NON_TERMINAL_WIDTH = 1000
"""Columns when the output is no terminal: programs get untruncated text."""

STATUS_MARKS = {
    "success": Mark.DONE,
    "failed": Mark.FAILED,
    "timeout": Mark.FAILED,
    "running": Mark.RUNNING,
}
"""The mark of each stored status; any other status gets the one of a run cut off."""


def open_console(stream: TextIO) -> Console:
    """Return a console that draws on a stream, whether or not it is a terminal."""
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = NON_TERMINAL_WIDTH
    return console


def canvas_for(console: Console, reserved: int = 0) -> Canvas:
    """Return the size and abilities of a terminal, without some reserved lines."""
    size = console.size
    return Canvas(size.width, max(3, size.height - reserved), _has_only_ascii(console))


def _has_only_ascii(console: Console) -> bool:
    try:
        "".join(glyph for glyph, _ in GLYPHS.values()).encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return True
    return False


def status_text(label: str, canvas: Canvas) -> Text:
    """Return a stored run's status, with its sign."""
    mark = STATUS_MARKS.get(label, Mark.CUT_OFF)
    return Text.assemble(canvas.glyph(mark), " ", (label, STYLES[mark]))


def new_table(*titles: str, flexible: str = "") -> Table:
    """Return a table without lines, ``>`` before what stands on the right.

    When space is short, the flexible column is cut off first: give it ``truncatable_text``.
    """
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(
            title.lstrip(">"),
            justify="right" if title.startswith(">") else "left",
            no_wrap=title != flexible,
            overflow="ellipsis",
        )
    return table


def truncatable_text(text: object) -> Text:
    """Return foreign text that may be cut off."""
    return Text(printable(text), no_wrap=True, overflow="ellipsis")


def print_table(console: Console, table: Table) -> None:
    """Draw a table, without trailing padding for programs."""
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    console.file.writelines(
        f"{line.rstrip()}\n" for line in captured.get().splitlines()
    )
