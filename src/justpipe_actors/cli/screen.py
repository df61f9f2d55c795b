"""The terminal: how large it is, which signs it knows, and how a status looks on it."""

from __future__ import annotations

from datetime import datetime
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .formatting import printable
from .progress import Mark
from .rows import GLYPHS, STYLES, Canvas


UNWATCHED = 1000
"""Columns where nobody watches: nothing is cut off for a program that reads."""

MARKS = {
    "success": Mark.DONE,
    "failed": Mark.FAILED,
    "timeout": Mark.FAILED,
    "running": Mark.RUNNING,
}
"""How stored statuses look; the others were cut off."""


def screen_for(stream: TextIO) -> Console:
    """Return what draws on a stream, whether or not it is a terminal."""
    screen = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not screen.is_terminal:
        screen.width = UNWATCHED
    return screen


def canvas_of(screen: Console, spare: int = 0) -> Canvas:
    """Return what there is to draw on, some lines left out."""
    size = screen.size
    return Canvas(size.width, max(3, size.height - spare), _has_only_ascii(screen))


def _has_only_ascii(screen: Console) -> bool:
    try:
        "".join(glyph for glyph, _ in GLYPHS.values()).encode(screen.encoding)
    except (UnicodeEncodeError, LookupError):
        return True
    return False


def status_text(label: str, canvas: Canvas) -> Text:
    """Return a stored run's status, with its sign."""
    mark = MARKS.get(label, Mark.CUT_OFF)
    return Text.assemble(canvas.glyph(mark), " ", (label, STYLES[mark]))


def moment_text(moment: datetime | None) -> str:
    """Write a moment in local time, and say which zone that is."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}" if moment else "-"


def table_of(*titles: str, flexible: str = "") -> Table:
    """Return a table without lines, ``>`` before what stands on the right.

    When space is short, the flexible column is cut off first: give it ``flexible_text``.
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


def flexible_text(text: object) -> Text:
    """Return foreign text that may be cut off."""
    return Text(printable(text), no_wrap=True, overflow="ellipsis")


def put_table(screen: Console, table: Table) -> None:
    """Draw a table; what fills its cells up is for eyes and not for programs."""
    if screen.is_terminal:
        screen.print(table)
        return
    with screen.capture() as captured:
        screen.print(table)
    screen.file.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())
