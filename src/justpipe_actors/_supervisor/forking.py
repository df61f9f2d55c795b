"""Runs that start from another run's stored data: forks, retries, resumed runs.

A copy is a run with a snapshot as its first row.  All values here are plain data, so the
command line makes copies without the pipe; only the worker that takes the copy up needs
the pipe.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .._engine.batch_stream import apply_delta
from .._run.run import new_run_id
from .._util.stored_state import fold_change
from ..abc import Commit, NewRun, RunRow
from ..errors import RunRejected
from .retrying import revive, rows_before_effect


def fork_of(
    row: RunRow,
    rows: Sequence[Commit],
    *,
    at: int | None = None,
    state: str | None = None,
    run_id: str | None = None,
) -> NewRun:
    """Return a run that continues from a commit of another run.

    Args:
        row: the run to copy.
        rows: all stored rows of that run.
        at: number of the commit to continue from; None is the last.
        state: JSON of a replacement state, in parts; None keeps the stored state.
        run_id: the new run's id; None generates one.

    Raises:
        RunRejected: there is no such commit.
    """
    kept = [one for one in rows if at is None or one.n <= at]
    if not kept or (at is not None and kept[-1].n != at):
        numbers = f"{rows[0].n} to {rows[-1].n}" if rows else "none"
        reason = f"run '{row.run_id}' has no commit {at}"
        raise RunRejected(reason, f"It has {numbers}; 'show RUN --commits' lists them.")
    entities, stored = fold_rows(kept)
    if not entities:  # the run had not begun at that commit
        return _copy(row, None, state, kept[-1].n, run_id)
    return _copy(row, entities, state or stored, kept[-1].n, run_id)


def retry_of(row: RunRow, rows: Sequence[Commit], run_id: str | None = None) -> NewRun:
    """Return a run that does the failed work of another run again, and only that.

    Raises:
        RunRejected: the run has not failed.
    """
    if row.status not in {"failed", "timeout", "cancelled"}:
        reason = f"run '{row.run_id}' is {row.status}"
        raise RunRejected(reason, "Only runs that failed are retried.")
    kept = rows_before_effect(rows)
    entities, stored = fold_rows(kept)
    at = kept[-1].n if kept else 0
    keys = entities.get("k", row.run_id)
    if not (entities.get("x") or {}).get("sent"):  # it failed before its first step
        return _copy(row, {"k": keys}, stored, at, run_id)
    return _copy(row, {**revive(entities), "k": keys}, stored, at, run_id)


def resume_of(row: RunRow, rows: Sequence[Commit], run_id: str | None = None) -> NewRun:
    """Return a run that continues after the step that suspended another run.

    Raises:
        RunRejected: the run was not suspended, or was resumed before.
    """
    if row.status != "suspended" or row.resumed_by is not None:
        reason = f"run '{row.run_id}' is {row.status}"
        if row.resumed_by is not None:
            reason = f"run '{row.run_id}' goes on as '{row.resumed_by}'"
        raise RunRejected(reason, "Only a run that was suspended is resumed, once.")
    entities, stored = fold_rows(rows)
    step = json.loads(row.outcome or "{}").get("suspended")
    version = (entities.get("x") or {}).get("v")
    delta = {"r": step, "x": {"sent": 0, "waves": 0}}
    if version is not None:
        delta["x"]["v"] = version
    if "k" in entities:
        delta["k"] = entities["k"]
    return _copy(row, delta, stored, rows[-1].n if rows else 0, run_id)


def fold_rows(rows: Sequence[Commit]) -> tuple[dict[str, Any], str | None]:
    """Return entities and state folded from rows; the state is JSON of one change."""
    entities: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    has_state = False
    for one in rows:
        if one.kind == "snapshot":
            entities.clear()
        apply_delta(entities, json.loads(one.delta))
        if one.state is not None:
            has_state = True
            fold_change(parts, json.loads(one.state))
    return entities, json.dumps({"p": parts}) if has_state else None


def _copy(
    row: RunRow,
    entities: dict[str, Any] | None,
    state: str | None,
    at: int,
    run_id: str | None,
) -> NewRun:
    return NewRun(
        run_id=run_id or new_run_id(),
        pipe=row.pipe,
        fingerprint=row.fingerprint,
        input=row.input,
        forked_from=row.run_id,
        forked_at=at,
        delta=None if entities is None else json.dumps(entities),
        state=state,
    )
