"""Log records as plain data: made in a worker, handled where the run is.

The worker has one handler on its root logger.  While a call runs, the handler hands
each record to that call, which is found by a context variable; records of threads that a
function starts without its context are not forwarded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any


Report = Callable[[Mapping[str, Any]], None]

_current: ContextVar[tuple[Report, Mapping[str, Any]] | None] = ContextVar(
    "justpipe_actors_remote_log", default=None
)

_formatter = logging.Formatter()


class _ForwardingHandler(logging.Handler):
    """Gives records to the call that the code is part of."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one record on; records from outside of calls are dropped."""
        current = _current.get()
        if current is not None:
            report, facts = current
            report({**_plain(record), **facts})


_handler = _ForwardingHandler()


@contextmanager
def forwarded_logs(
    report: Report, level: int, facts: Mapping[str, Any]
) -> Generator[None]:
    """Hand every log record of the block to a function, as plain data.

    Args:
        report: takes the records.
        level: the level of the root logger meanwhile.
        facts: attributes that every record gets: the run and the step.
    """
    root = logging.getLogger()
    if _handler not in root.handlers:
        root.addHandler(_handler)
    if level and root.level != level:
        root.setLevel(level)
    reset = _current.set((report, facts))
    try:
        yield
    finally:
        _current.reset(reset)


def _plain(record: logging.LogRecord) -> dict[str, Any]:
    text = record.exc_text
    if text is None and record.exc_info:
        text = _formatter.formatException(record.exc_info)
    return {
        "name": record.name,
        "levelno": record.levelno,
        "levelname": record.levelname,
        "msg": record.getMessage(),
        "created": record.created,
        "msecs": record.msecs,
        "pathname": record.pathname,
        "filename": record.filename,
        "module": record.module,
        "lineno": record.lineno,
        "funcName": record.funcName,
        "process": record.process,
        "processName": record.processName,
        "threadName": record.threadName,
        "exc_text": text,
    }


def handle_record(data: Mapping[str, Any]) -> None:
    """Pass a record from another process to this process's logging handlers."""
    record = logging.makeLogRecord({"args": None, **data})
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
