"""Streams of stored runs: ended ones, and those that another process works on.

::

    readers that are behind ──> pages of the store, each for itself
    readers that are up to date ──┬─> StoredTail: the last rows, as JSON
    ...                           │      └── one look at the store in RUN_PERIOD seconds
    ...                         ──┘

A store does not report new events, so a running run is polled: once for all its readers,
and not at all without readers.
"""

from __future__ import annotations

import json
import sqlite3
from collections import deque

import attrs

from .errors import NotFoundError
from .run_details import StoredRun
from .site import Site
from .streams import Emit, Feed, Source, emit_rows


RUN_PERIOD = 0.25
"""Seconds between two looks at the events of a run that is watched."""

PAGE = 500
"""Rows that are read from a store at once."""

KEPT_ROWS = 2_000
"""Rows that a tail keeps for readers that are a little behind."""


StoredRow = tuple[int, str]
"""An event's number, and its row as JSON."""


@attrs.define(eq=False)
class StoredTail:
    """The last rows of one run in a store, for all its readers."""

    site: Site
    """Its threads and stores."""
    stored: StoredRun
    number: int
    """Number of the last row that was read."""
    floor: int = attrs.field(init=False)
    """Rows with a greater number are kept."""
    is_over: bool = attrs.field(default=False, init=False)
    """Whether the run has ended and all of its rows were read."""
    _rows: deque[StoredRow] = attrs.field(factory=deque, init=False)

    def __attrs_post_init__(self) -> None:
        self.floor = self.number

    async def look(self) -> str:
        """Read new rows, and return a text that differs when there are any."""
        is_over, rows = await self.site.in_thread(self._read)
        self._rows.extend(rows)
        self.number = rows[-1][0] if rows else self.number
        while len(self._rows) > KEPT_ROWS:
            self.floor = self._rows.popleft()[0]
        self.is_over = is_over
        return f"{self.number} {self.is_over}"

    def _read(self) -> tuple[bool, list[StoredRow]]:
        """Return whether the run has ended, and all of its new rows; in a thread."""
        is_over = not self.stored.is_still_open()
        rows: list[StoredRow] = []
        try:
            while page := rows_of(self.stored, rows[-1][0] if rows else self.number):
                rows += page
        except sqlite3.Error:  # its writer is closing it: the next poll reads on
            return False, rows
        return is_over, rows

    def newer(self, after: int) -> list[StoredRow]:
        """Return the kept rows with a greater number than that of a reader."""
        found: list[StoredRow] = []
        for row in reversed(self._rows):
            if row[0] <= after:
                break
            found.append(row)
        found.reverse()
        return found


def rows_of(stored: StoredRun, after: int) -> list[StoredRow]:
    """Return the next rows of a run from its store."""
    return [(row[0], json.dumps(row)) for row in stored.rows_after(after, PAGE)]


async def emit_stored_run(
    site: Site, stored: StoredRun, after: int, emit: Emit
) -> None:
    """Emit a run's events from a number on while it goes on, then how it ended."""
    is_over = not await site.in_thread(stored.is_still_open)
    after = await _emit_pages(site, stored, after, emit)
    if not is_over:
        source = StoredTail(site, stored, after)
        name = f"run {stored.run_id}"
        with site.streams.reading(name, Source(source.look, RUN_PERIOD)) as feed:
            await _emit_tail(feed, _tail_of(feed), after, emit)
    try:
        details = await site.in_thread(lambda: site.find(stored.run_id).details())
    except NotFoundError:
        details = None
    await emit("end", json.dumps(details), None)


def _tail_of(feed: Feed) -> StoredTail:
    """Return the tail that the first reader of a feed has made."""
    tail: object = getattr(feed.source.produce, "__self__", None)
    assert isinstance(tail, StoredTail)
    return tail


async def _emit_pages(site: Site, stored: StoredRun, after: int, emit: Emit) -> int:
    """Emit the stored events, and return the number of the last one."""
    while rows := await site.in_thread(rows_of, stored, after):
        await emit_rows(rows, emit)
        after = rows[-1][0]
    return after


async def _emit_tail(feed: Feed, tail: StoredTail, after: int, emit: Emit) -> None:
    """Emit the rows of a tail as they come, until the run has ended."""
    seen = 0
    while True:  # noqa: ASYNC913 - it waits when there is nothing new
        is_over = tail.is_over
        if after < tail.floor:  # the reader is behind the oldest row of the tail
            after = await _emit_pages(tail.site, tail.stored, after, emit)
        rows = tail.newer(after)
        if rows:
            await emit_rows(rows, emit)
            after = rows[-1][0]
        elif is_over:
            return
        else:
            seen, _ = await feed.after(seen)
