"""``run``: load a pipe, build its state, run it, show it."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import anyio
import attrs
from rich.console import Console

from ...codec import to_text
from ...errors import DefinitionError
from ...pipe import Pipe
from ..conducting import Stream, conduct
from ..live import LiveView
from ..loading import load_pipe
from ..outline import outline
from ..plain import JsonView, LinesView
from ..refusals import Refused
from ..values import build, build_default, read_json
from ..views import Place, Style, View, style_for
from ..words import INTERRUPTED, UNREAD, Ending


@attrs.frozen(kw_only=True)
class RunOptions:
    """What ``run`` was asked."""

    target: str
    """Where the pipe is."""
    state: str | None
    """JSON."""
    context: str | None
    """JSON."""
    backend: str
    """The event loop."""
    timeout: float | None
    """Seconds."""
    start: str | None
    """The step to begin with."""
    style: Style | None
    """How to show it; None leaves it to where output goes."""
    has_state: bool
    """Whether to show the state, too."""


def run_command(options: RunOptions) -> int:
    """Run a pipe and return the exit status.

    Raises:
        Refused: something about the input is wrong.
    """
    pipe = load_pipe(options.target)
    state = _value(pipe.state_type, options.state, "--state")
    context = _value(pipe.context_type, options.context, "--context")
    view = _view(pipe, options)

    def open_run() -> Stream:
        return pipe.run(state, context, start=options.start, timeout=options.timeout)

    ending = _run_in_loop(open_run, view, options.backend)
    if isinstance(ending, int):
        return ending
    view.conclude(ending)
    if options.has_state and not isinstance(view, JsonView):
        sys.stdout.write(f"{to_text(state)}\n")
    return ending.status


def _value(wanted: Any, text: str | None, option: str) -> Any:
    if text is None:
        return build_default(wanted, option)
    return build(wanted, read_json(text, option))


def _view(pipe: Pipe[Any, Any], options: RunOptions) -> View:
    progress = outline(pipe)
    out, err = sys.stdout, sys.stderr
    screens = [Console(file=one) for one in (out, err)]
    places = [
        Place(one.is_terminal, one.is_terminal and not one.is_dumb_terminal)
        for one in screens
    ]
    match style_for(options.style, *places):
        case "json":
            return JsonView(progress, out, err, has_state=options.has_state)
        case "lines":
            return LinesView(progress, out, err)
        case "live":
            title = f"{pipe.name} on {options.backend}"
            if places[0].can_redraw:
                return LiveView(title, progress, screens[0], None)
            return LiveView(title, progress, screens[1], out)


def _run_in_loop(
    open_run: Callable[[], Stream], view: View, backend: str
) -> Ending | int:
    """Run in an event loop of its own; an exit status if that was cut short."""
    try:
        with view, briefly_warned():
            return _interruptible(partial(conduct, open_run, view), backend)
    except BrokenPipeError:
        # What is still buffered would fail again when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    except DefinitionError as error:
        msg = f"The pipe cannot run. {error}"
        raise Refused(msg) from error


def _interruptible(main: Callable[[], Awaitable[Ending]], backend: str) -> Ending | int:
    ending: Ending | int = INTERRUPTED
    try:
        ending = anyio.run(main, backend=backend)
    except* KeyboardInterrupt:
        sys.stderr.write("interrupted again: steps at work were torn off\n")
    return ending


@contextmanager
def briefly_warned() -> Generator[None]:
    """Let warnings be sentences, and logs not repeat what the view says.

    Only where the program that is run has not arranged its logs itself.
    """
    last_resort = logging.lastResort or logging.NullHandler()
    last_resort.addFilter(_is_no_step_failure)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _say_warning
            yield
    finally:
        last_resort.removeFilter(_is_no_step_failure)


def _is_no_step_failure(record: logging.LogRecord) -> bool:
    return not hasattr(record, "error_type")


def _say_warning(message: Warning | str, *_: object, **__: object) -> None:
    sys.stderr.write(f"warning: {message}\n")
