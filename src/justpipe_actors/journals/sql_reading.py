"""Conversion of table rows to records."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ..abc import JournaledRun, OpenAsk, RunFilter, RunRow, Signal


RUN_COLUMNS = (
    "id, run_id, pipe, fingerprint, status, input, created, worker, incarnation, "
    "wake_at, outcome, problem, forked_from, forked_at, resumed_by, ended"
)
"""The columns of ``runs``, in the order of ``RunRow``."""


def run_row(row: Sequence[Any]) -> RunRow:
    """Return a run from ``RUN_COLUMNS``."""
    names = RUN_COLUMNS.split(", ")
    return RunRow(**dict(zip(names, row, strict=True)))


def open_asks(
    connection: sqlite3.Connection, run_id: str | None, now: float
) -> list[OpenAsk]:
    """Return the questions that can be answered now, the oldest first."""
    rows = connection.execute(
        "SELECT a.id, r.run_id, r.pipe, a.step, a.note, a.form, a.asked, a.due, a.problem "
        "FROM asks a JOIN runs r ON r.id = a.run "
        "WHERE a.form IS NOT NULL AND NOT a.is_answered "
        "AND (a.due IS NULL OR a.due > ?1) AND (?2 IS NULL OR r.run_id = ?2) "
        "ORDER BY a.asked, a.id",
        (now, run_id),
    )
    return [
        OpenAsk(
            id=ask,
            run_id=run,
            pipe=pipe,
            step=step,
            note=note,
            form=json.loads(form),
            asked_at=moment(asked),
            due_at=None if due is None else moment(due),
            problem=problem,
        )
        for ask, run, pipe, step, note, form, asked, due, problem in rows
    ]


def signals_where(
    connection: sqlite3.Connection, condition: str, value: int
) -> list[Signal]:
    """Return signals of one run or of one worker's runs, in their order."""
    rows = connection.execute(
        "SELECT s.id, s.run, s.kind, s.ask, s.body, s.sender, s.at FROM signals s "
        f"JOIN runs r ON r.id = s.run WHERE {condition} = ? ORDER BY s.id",
        (value,),
    )
    return [
        Signal(id=number, run=run, kind=kind, ask=ask, body=body, by=by, at=at)
        for number, run, kind, ask, body, by, at in rows
    ]


def journaled_runs(
    connection: sqlite3.Connection, which: RunFilter, now: float
) -> list[JournaledRun]:
    """Return runs for display, the newest first."""
    condition, values = _conditions(which)
    rows = connection.execute(
        "SELECT r.id, r.run_id, r.pipe, r.status, w.name, r.incarnation, r.created, "
        "r.ended, r.wake_at, r.problem, r.resumed_by "
        f"FROM runs r LEFT JOIN workers w ON w.id = r.worker WHERE {condition} "
        "ORDER BY r.created DESC, r.id DESC LIMIT ?",
        (*values, -1 if which.limit is None else which.limit),
    ).fetchall()
    asks: dict[str, list[str]] = {}
    if len(rows) == 1:
        asks[rows[0][1]] = [one.id for one in open_asks(connection, rows[0][1], now)]
    elif rows:
        for one in open_asks(connection, None, now):
            asks.setdefault(one.run_id, []).append(one.id)
    return [
        JournaledRun(
            run_id=run_id,
            pipe=pipe,
            status=status,
            worker=worker,
            incarnation=incarnation,
            created_at=moment(created),
            ended_at=None if ended is None else moment(ended),
            wake_at=None if wake_at is None else moment(wake_at),
            asks=tuple(asks.get(run_id, ())),
            problem=problem,
            resumed_by=resumed_by,
        )
        for (
            _id,
            run_id,
            pipe,
            status,
            worker,
            incarnation,
            created,
            ended,
            wake_at,
            problem,
            resumed_by,
        ) in rows
    ]


def _conditions(which: RunFilter) -> tuple[str, list[Any]]:
    parts, values = ["1"], list[Any]()
    for column, wanted in (("status", which.statuses), ("pipe", which.pipes)):
        if wanted:
            parts.append(f"r.{column} IN ({', '.join('?' * len(wanted))})")
            values.extend(wanted)
    if which.prefix:
        parts.append("substr(r.run_id, 1, ?) = ?")
        values.extend((len(which.prefix), which.prefix))
    return " AND ".join(parts), values


def moment(seconds: float) -> datetime:
    """Return a time as a timezone-aware datetime."""
    return datetime.fromtimestamp(seconds, UTC)
