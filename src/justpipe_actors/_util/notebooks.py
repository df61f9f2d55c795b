"""Notebooks: whether this is one, how to show HTML in it, and tables of HTML.

IPython is used only where it is imported already: a notebook has it, and other programs
do not import it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any


CODE_REMEDY = "In a notebook, run the cell that makes the Pipe again, then this one."
"""What to do when a cell that changes a definition is run a second time."""


def is_notebook() -> bool:
    """Tell whether the code runs in the kernel of a notebook."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if hasattr(ipython, "get_ipython") else None
    return hasattr(shell, "kernel")


def notebook_remedy() -> str:
    """Return the remedy for a cell that was run twice; empty outside of notebooks."""
    return f" {CODE_REMEDY}" if is_notebook() else ""


def display_html(html: str, text: str) -> Any:
    """Show HTML below the current cell; return a handle to replace it with.

    Args:
        html: what to show.
        text: shown where there is no HTML: in terminals and exported text.
    """
    display: Any = import_module("IPython.display")
    return display.display(_both(html, text), raw=True, display_id=True)


def update_html(handle: Any, html: str, text: str) -> None:
    """Replace what a handle shows."""
    handle.update(_both(html, text), raw=True)


def _both(html: str, text: str) -> dict[str, str]:
    return {"text/html": html, "text/plain": text}


def _escape(text: str) -> str:
    from html import escape  # noqa: PLC0415 - it reads tables that only notebooks need

    return escape(text)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table of HTML; every cell is escaped.

    >>> table(["a"], [["<b>"]])
    '<table><tr><th>a</th></tr><tr><td>&lt;b&gt;</td></tr></table>'
    """
    lines = ["".join(f"<th>{_escape(name)}</th>" for name in header)] if header else []
    lines += ["".join(f"<td>{_escape(str(v))}</td>" for v in row) for row in rows]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def paragraph(text: str) -> str:
    """Return a paragraph of HTML."""
    return f"<p>{_escape(text)}</p>"
