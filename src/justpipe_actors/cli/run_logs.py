"""Keep the log records of a run that the command line starts, for its page."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

from ..logs import LogCapture, log_buffers


@contextmanager
def captured_logs() -> Generator[None]:
    """Capture what runs log within this block, unless the program does so itself.

    The handler belongs to a parent of the root logger.  As a handler of the root logger
    it would make ``logging.basicConfig`` do nothing in a hook or step of the program.
    """
    if log_buffers.is_captured:
        yield
        return
    parent = logging.Logger("justpipe_actors.cli")
    parent.addHandler(_RunLogCapture())
    logging.root.parent = parent
    try:
        yield
    finally:
        logging.root.parent = None


class _RunLogCapture(LogCapture):
    """Captures records, and prints those that would be printed without a handler."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record if it is of a run."""
        super().emit(record)
        last = logging.lastResort
        if last and record.levelno >= last.level and not _has_handler(record.name):
            last.handle(record)


def _has_handler(name: str) -> bool:
    """Tell whether a logger of the program, up to the root, has a handler."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        if logger.handlers:
            return True
        logger = None if logger is logging.root else logger.parent
    return False
