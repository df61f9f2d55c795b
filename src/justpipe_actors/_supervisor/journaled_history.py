"""The present status of stored durable runs, from their journals.

A history has the events of a run, and the journal has its status.  The two are not
written in one transaction.  So after a crash, the history of a run may still have the
status ``running`` although the run waits for a process or has ended.  ``JournalLookup``
reads the journal that a record names, and completes the history of a run that has
ended.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .. import codec
from .._run.durable_run import load_outcome
from .._util.process_identity import is_process_alive
from ..abc import Journal, JournaledRun, RunFilter, RunRow, StorageBackend
from ..errors import StoreError
from ..events import Event, EventType
from ..journals import open_journal
from ..records import OpenStatus, RunQuery, RunRecord


OPEN_LABELS = (OpenStatus.RUNNING.value, OpenStatus.WAITING.value, "stuck")
"""Labels of stored runs for which the journal has newer data."""

_logger = logging.getLogger("justpipe_actors.journal")


class JournalLookup:
    """Reads the status of stored runs in their journals; opens each journal once."""

    def __init__(self, *journals: Journal) -> None:
        self._journals: dict[str, Journal | None] = {
            journal.location: journal for journal in journals
        }
        self._own = set(self._journals)

    def close(self) -> None:
        """Close the journals that this lookup has opened."""
        for location, journal in self._journals.items():
            if journal is not None and location not in self._own:
                journal.close()

    def find(self, run: RunRecord) -> tuple[RunRow, JournaledRun] | None:
        """Return a run as its journal has it; None if that cannot be read."""
        journal = self.journal_of(run)
        if journal is None:
            return None
        try:
            row = journal.find(run.run_id)
            shown = journal.runs(RunFilter(prefix=run.run_id))
        except Exception as error:  # noqa: BLE001 - a damaged journal may raise anything
            _logger.warning("The journal %s cannot be read: %s", run.journal, error)
            return None
        found = next((one for one in shown if one.run_id == run.run_id), None)
        return None if row is None or found is None else (row, found)

    def journal_of(self, run: RunRecord) -> Journal | None:
        """Return the journal that a run's record names, if it is there."""
        if run.journal is None:
            return None
        if run.journal not in self._journals:
            self._journals[run.journal] = _open_existing(run.journal)
        return self._journals[run.journal]

    def current(self, run: RunRecord, store: StorageBackend | None = None) -> RunRecord:
        """Return a record with the status that its journal has.

        Args:
            run: a stored run.
            store: where it is stored, to complete it there if it has ended.
        """
        if run.label not in OPEN_LABELS or run.journal is None:
            return run
        found = self.find(run)
        if found is None:
            return run
        row, shown = found
        if row.outcome is not None:
            # The recorder of a run at work may be about to store its end.
            is_recorded = run.status is OpenStatus.RUNNING
            return _complete(run, row, None if is_recorded else store)
        if row.status == "stuck":
            return replace(run, status=OpenStatus.STUCK, error_message=row.problem)
        is_at_work = row.status == "running" and (
            shown.worker is None or is_process_alive(shown.worker) is not False
        )
        status = OpenStatus.RUNNING if is_at_work else OpenStatus.WAITING
        return replace(run, status=status)


def complete_histories(journal: Journal, stores: Sequence[StorageBackend]) -> None:
    """Complete the histories of runs that have ended in a journal."""
    lookup = JournalLookup(journal)
    for store in stores:
        try:
            for run in store.query_runs(RunQuery(labels=OPEN_LABELS)):
                if run.journal == journal.location:
                    lookup.current(run, store)
        except Exception as error:  # noqa: BLE001 - a history never holds a run up
            _logger.warning("A history cannot be completed: %s", error)


def is_private(journal: Journal) -> bool:
    """Return whether only this process can open a journal."""
    return journal.location == ":memory:"


def _open_existing(location: str) -> Journal | None:
    if "://" not in location and not Path(location).is_file():
        return None
    try:
        return open_journal(location)
    except (ValueError, OSError, StoreError) as error:
        _logger.warning("The journal %s cannot be opened: %s", location, error)
        return None


def _complete(run: RunRecord, row: RunRow, store: StorageBackend | None) -> RunRecord:
    """Return the record of an ended run; store it with the FINISH that is missing."""
    end = load_outcome(json.loads(row.outcome or "null"))
    ended = datetime.fromtimestamp(row.ended or 0, UTC)
    record = replace(
        run,
        end_time=ended,
        duration=timedelta(seconds=end.duration_s),
        status=end.status,
        error_message=end.error,
        error_step=end.failed_step,
        reason=None if end.reason is None else end.reason.value,
        is_suspended=row.status == "suspended",
        last_seen=None,
    )
    if store is not None:
        finish = Event(
            EventType.FINISH,
            "system",
            end,
            timestamp=ended.timestamp(),
            run_id=run.run_id,
            origin_run_id=run.run_id,
        )
        try:
            store.save_run(record, [json.dumps(codec.to_plain(finish))])
        except Exception as error:  # noqa: BLE001 - the record is right all the same
            _logger.warning("Run %s is not completed: %s", run.run_id, error)
    return record
