"""Checks for stores that keep the log records of runs; others pass without being asked."""

from __future__ import annotations

from contextlib import suppress

import attrs

from ...abc import LogStore, StorageBackend
from ...logs import LogEntry
from .samples import START_TIME, Check, make_running_run


def make_entry(text: str) -> LogEntry:
    """Return a log record of a step."""
    return LogEntry(
        timestamp=START_TIME.timestamp(),
        level=30,
        logger="app.models",
        text=text,
        step="embed",
        invocation_id="r:1",
        attempt=2,
        traceback="Traceback: boom",
    )


def log_records_are_kept_in_order(store: StorageBackend) -> None:
    """Log records get the next numbers of their run, and are read from any of them."""
    if not isinstance(store, LogStore):
        return
    store.begin_run(make_running_run("r"))
    store.append_logs("r", [make_entry("one"), make_entry("two")])
    store.append_logs("r", [])
    store.append_logs("r", [make_entry("three")])
    store.append_logs("other", [make_entry("of a run that is not known yet")])

    entries = store.get_logs("r")
    assert entries == [
        attrs.evolve(make_entry(text), number=number)
        for number, text in enumerate(("one", "two", "three"), 1)
    ]
    assert store.get_logs("r", after=1, limit=1) == entries[1:2]
    assert store.get_logs("r", after=3) == []
    assert store.get_logs("no such run") == []
    assert [entry.number for entry in store.get_logs("other")] == [1]
    assert store.get_run("other") is not None


def log_records_go_with_their_run(store: StorageBackend) -> None:
    """Deleting a run deletes its log records."""
    if not isinstance(store, LogStore):
        return
    store.append_logs("r", [make_entry("one")])
    store.delete_run("r")
    assert store.get_logs("r") == []
    store.append_logs("r", [make_entry("of a new run of this id")])
    assert [entry.text for entry in store.get_logs("r")] == ["of a new run of this id"]


def log_records_share_a_transaction(store: StorageBackend) -> None:
    """A transaction that fails keeps no log record."""
    if not isinstance(store, LogStore):
        return
    store.append_logs("r", [make_entry("one")])
    with suppress(KeyError), store.transaction():
        store.append_logs("r", [make_entry("two")])
        raise KeyError
    assert [entry.text for entry in store.get_logs("r")] == ["one"]


LOG_CHECKS: tuple[Check, ...] = (
    log_records_are_kept_in_order,
    log_records_go_with_their_run,
    log_records_share_a_transaction,
)
