"""A run in an event loop of its own, and what may cut that short."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial

import anyio

from ..errors import DefinitionError
from .conducting import Stream, conduct
from .refusals import Refused
from .statuses import INTERRUPTED, UNREAD
from .unread import forget_output
from .views import View
from .words import Ending


def run_in_loop(
    open_run: Callable[[], Stream], view: View, backend: str
) -> Ending | int:
    """Run in an event loop of its own; an exit status if that was cut short.

    Raises:
        Refused: the pipe is wired wrongly.
    """
    ending: Ending | int = UNREAD
    try:
        with view, _briefly_warned():
            ending = _interruptible(partial(conduct, open_run, view), backend)
    except* BrokenPipeError:
        forget_output()
    return ending


def _interruptible(main: Callable[[], Awaitable[Ending]], backend: str) -> Ending | int:
    ending: Ending | int = INTERRUPTED
    try:
        ending = _to_the_end(main, backend)
    except* KeyboardInterrupt:
        sys.stderr.write("interrupted again: steps at work were torn off\n")
    return ending


def _to_the_end(main: Callable[[], Awaitable[Ending]], backend: str) -> Ending:
    try:
        return anyio.run(main, backend=backend)
    except DefinitionError as error:
        said = error.message if isinstance(error, ExceptionGroup) else error
        msg = f"The pipe cannot run. {said}"
        raise Refused(msg) from error


@contextmanager
def _briefly_warned() -> Generator[None]:
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
