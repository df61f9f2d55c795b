"""The log records of one run: from its store, or from memory for a run without one.

Both sources have the same two methods, which are called in worker threads, so pages and
streams do not need to know where the records are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import attrs

from ..abc import LogStore
from ..logs import LogBuffer, LogEntry, log_buffers
from .errors import NotFoundError, RequestError
from .live_runs import is_at_work
from .run_details import StoredRun
from .site import Site


PAGE = 500
"""Log records that are read from a store at once."""


@attrs.frozen
class LogFilter:
    """Which log records of a run are requested."""

    level: int = logging.NOTSET
    """Only records with at least this level."""
    steps: tuple[str, ...] = ()
    """Only records of these steps."""
    text: str = ""
    """Text that the message, the traceback or the name of the logger must contain."""
    after: int = 0
    """Only records with higher numbers."""
    limit: int = PAGE
    """Maximum number of records."""

    def matches(self, entry: LogEntry) -> bool:
        """Tell whether a record is asked for."""
        text = self.text.casefold()
        return (
            entry.level >= self.level
            and (not self.steps or entry.step in self.steps)
            and (
                not text
                or any(
                    text in part.casefold()
                    for part in (entry.text, entry.traceback or "", entry.logger)
                )
            )
        )


@attrs.frozen
class StoredLogs:
    """Log records in a store; the methods are called in threads."""

    stored: StoredRun

    def read(self, after: int, limit: int) -> list[LogEntry]:
        """Return the next records; none if the store keeps no log records."""
        store = self.stored.store
        if not isinstance(store, LogStore):
            return []
        return store.get_logs(self.stored.run_id, after=after, limit=limit)

    def is_open(self) -> bool:
        """Tell whether the run goes on; records read after that are complete."""
        return self.stored.is_still_open()


@attrs.define(eq=False)
class KeptLogs:
    """Log records of a run that the supervisor has at work and that is in no store yet.

    A buffer that was found is held on to: the buffer of a run with a store is dropped
    when all is stored, and a reader may not have seen all of it by then.
    """

    site: Site
    run_id: str
    _buffer: LogBuffer | None = attrs.field(default=None, init=False)

    def read(self, after: int, limit: int) -> list[LogEntry]:
        """Return the next records that are kept."""
        if self._buffer is None:
            self._buffer = log_buffers.find(self.run_id)
        return [] if self._buffer is None else self._buffer.newer(after)[:limit]

    def is_open(self) -> bool:
        """Tell whether the run is at work."""
        return is_at_work(self.site.supervisor, self.run_id)


LogSource = StoredLogs | KeptLogs
"""The source of the log records of one run."""


def check_logs(site: Site) -> None:
    """Refuse log records where payloads are not shown: they are data of users, too.

    Raises:
        RequestError: this dashboard shows no payloads.
    """
    if not site.has_payloads:
        msg = "This dashboard shows no log records."
        raise RequestError(msg)


async def logs_of(site: Site, run_id: str) -> LogSource:
    """Return the log records of a run.

    Raises:
        NotFoundError: there is no such run.
        RequestError: this dashboard shows no payloads.
    """
    check_logs(site)
    try:
        return StoredLogs(await site.in_thread(site.find, run_id))
    except NotFoundError:
        if not is_at_work(site.supervisor, run_id):
            raise
        return KeptLogs(site, run_id)


def logs_page(source: LogSource, wanted: LogFilter) -> dict[str, Any]:
    """Return a page of log records."""
    page: list[dict[str, Any]] = []
    for entry in _all_after(source, wanted.after):
        if wanted.matches(entry):
            if len(page) == wanted.limit:
                return {"logs": page, "next": page[-1]["number"]}
            page.append(log_to_json(entry))
    return {"logs": page, "next": None}


def _all_after(source: LogSource, after: int) -> Iterator[LogEntry]:
    while entries := source.read(after, PAGE):
        yield from entries
        after = entries[-1].number


def log_to_json(entry: LogEntry) -> dict[str, Any]:
    """Return a log record as the API shows it."""
    return {
        "number": entry.number,
        "at": entry.timestamp,
        "level": logging.getLevelName(entry.level),
        "severity": entry.level,
        "logger": entry.logger,
        "text": entry.text,
        "step": entry.step,
        "invocation_id": entry.invocation_id,
        "attempt": entry.attempt,
        "traceback": entry.traceback,
    }


@attrs.define(eq=False)
class LogWatch:
    """Looks for new log records of one run, once for all readers."""

    site: Site
    source: LogSource
    number: int
    """Number of the newest record that is known."""

    async def produce(self) -> str:
        """Return a text that changes when a reader has something to do."""
        return await self.site.in_thread(self._look)

    def _look(self) -> str:
        is_open = self.source.is_open()
        while entries := self.source.read(self.number, PAGE):
            self.number = entries[-1].number
        return f"{self.number} {is_open}"
