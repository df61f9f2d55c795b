"""Writes of a batch: its row, and the tables that are read without the stream."""

from __future__ import annotations

import sqlite3

from ..abc import Batch
from .settings import COMMITS_KEPT


def insert_commit(connection: sqlite3.Connection, batch: Batch, at: float) -> bool:
    """Write a batch's row; False when its number is taken, or the run is gone."""
    try:
        return (
            connection.execute(
                "INSERT OR IGNORE INTO commits VALUES (?, ?, ?, ?, ?, ?)",
                (batch.run, batch.n, batch.kind, at, batch.delta, batch.state),
            ).rowcount
            == 1
        )
    except sqlite3.IntegrityError:
        return False  # no such run


def is_stored(connection: sqlite3.Connection, batch: Batch) -> bool:
    """Return whether the row of a batch's number is this batch's own.

    A writer that does not know that its transaction is committed stores it again.
    """
    row = connection.execute(
        "SELECT kind, delta, state FROM commits WHERE run = ? AND n = ?",
        (batch.run, batch.n),
    ).fetchone()
    return bool(row == (batch.kind, batch.delta, batch.state))


def mark_resumed(connection: sqlite3.Connection, run_id: str, by: str) -> bool:
    """Record that another run resumes a suspended one; False if one does already."""
    return (
        connection.execute(
            "UPDATE runs SET resumed_by = ? WHERE run_id = ? "
            "AND status = 'suspended' AND resumed_by IS NULL",
            (by, run_id),
        ).rowcount
        == 1
    )


def apply_batch(connection: sqlite3.Connection, batch: Batch, at: float) -> None:
    """Write the parts of a batch that other tables hold."""
    if batch.items or batch.maps_gone:
        _apply_items(connection, batch)
    if batch.asks or batch.asks_gone or batch.consumed:
        _apply_asks(connection, batch, at)
    if batch.kind == "commit":
        return
    run = batch.run
    if batch.kind == "snapshot":
        oldest = batch.n - COMMITS_KEPT
        connection.execute("DELETE FROM commits WHERE run = ? AND n < ?", (run, oldest))
        connection.execute(
            "DELETE FROM items WHERE run = ? AND gone < ?", (run, oldest)
        )
    elif batch.kind == "release":
        connection.execute(
            "UPDATE runs SET status = ?, worker = NULL, wake_at = ?, problem = ? WHERE id = ?",
            (batch.status or "ready", batch.wake_at, batch.problem, run),
        )
    elif batch.kind == "end":
        _end(connection, batch, at)


def _apply_items(connection: sqlite3.Connection, batch: Batch) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, NULL)",
        [(batch.run, one.map, one.chunk, one.items) for one in batch.items],
    )
    connection.executemany(
        "UPDATE items SET gone = ? WHERE run = ? AND map = ?",
        [(batch.n, batch.run, gone) for gone in batch.maps_gone],
    )


def _apply_asks(connection: sqlite3.Connection, batch: Batch, at: float) -> None:
    run = batch.run
    connection.executemany(
        "DELETE FROM asks WHERE run = ? AND id = ?",
        [(run, ask) for ask in batch.asks_gone],
    )
    connection.executemany(
        "INSERT INTO asks (id, run, step, note, form, asked, due, problem) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET step = excluded.step, "
        "note = excluded.note, form = excluded.form, due = excluded.due, "
        "problem = excluded.problem, is_answered = 0",
        [
            (ask.id, run, ask.step, ask.note, ask.form, at, ask.due, ask.problem)
            for ask in batch.asks
        ],
    )
    connection.executemany(
        "DELETE FROM signals WHERE run = ? AND id = ?",
        [(run, signal) for signal in batch.consumed],
    )


def _end(connection: sqlite3.Connection, batch: Batch, at: float) -> None:
    connection.execute(
        "UPDATE runs SET status = ?, worker = NULL, wake_at = NULL, outcome = ?, "
        "problem = ?, ended = ? WHERE id = ?",
        (batch.status or "success", batch.outcome, batch.problem, at, batch.run),
    )
    connection.execute("DELETE FROM asks WHERE run = ?", (batch.run,))
    connection.execute("DELETE FROM signals WHERE run = ?", (batch.run,))
