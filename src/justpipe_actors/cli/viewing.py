"""Which view a command gets: what was asked for, else what fits where output goes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import attrs
import click
from rich.console import Console

from .live import LiveView
from .plain import JsonView, LinesView
from .progress import Progress
from .views import Place, Style, View, style_for


FuncT = TypeVar("FuncT", bound=Callable[..., Any])


def style_options(func: FuncT) -> FuncT:
    """Let a command be told how to show a run; it gets ``style``."""
    as_json = click.option(
        "--json",
        "style",
        flag_value="json",
        default=None,
        help="Write every event as a line of JSON; the default when output is no terminal.",
    )
    as_text = click.option(
        "--text",
        "style",
        flag_value="lines",
        default=None,
        help="Write what the run streams, and its progress to standard error.",
    )
    return as_json(as_text(func))


def style_of(asked: Style | None) -> Style:
    """Return how to show a run, here and now."""
    return style_for(asked, _place(sys.stdout), _place(sys.stderr))


def _place(stream: Any) -> Place:
    screen = Console(file=stream)
    return Place(screen.is_terminal, screen.is_terminal and not screen.is_dumb_terminal)


@attrs.frozen(kw_only=True)
class Shown:
    """What is to be shown."""

    title: str
    """What stands at the end of the rows while it runs."""
    progress: Progress
    """The rows to begin with."""
    has_state: bool = False
    """Whether events carry the state as JSON."""
    began: float | None = None
    """Wall clock at the run's start in seconds, if that is not now."""


def view_for(style: Style, shown: Shown) -> View:
    """Return the view of a style."""
    out, err = sys.stdout, sys.stderr
    match style:
        case "json":
            return JsonView(shown.progress, out, err, has_state=shown.has_state)
        case "lines":
            return LinesView(shown.progress, out, err)
        case "live":
            is_above = _place(out).can_redraw
            return LiveView(
                shown.title,
                shown.progress,
                Console(file=out if is_above else err),
                None if is_above else out,
                shown.began,
            )
