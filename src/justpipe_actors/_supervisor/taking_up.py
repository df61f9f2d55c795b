"""A claimed run as data: what its rows say, and whether this version can go on with it.

``load`` runs in the journal's thread, as reading and parsing thousands of rows would hold
up the event loop.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import attrs

from .._engine.batch_stream import apply_delta
from .._engine.restore import SavedRun, parse
from .._plan.plan import Plan
from .._util.state_parts import fold_state
from ..abc import Claim, Commit, Journal, Signal


@attrs.define(eq=False, repr=False)
class TakenUp:
    """A claimed run, read from its journal."""

    claim: Claim
    """The lease."""
    input: dict[str, Any]
    """State, context and options as submitted."""
    saved: SavedRun | None
    """How it stood; None when it has not begun."""
    state: Any
    """Its state as a JSON value; that of the input when none was stored since."""
    has_state: bool
    """Whether a state was stored since."""
    fold: dict[str, object]
    """Its entities by key."""
    signals: list[Signal]
    """What it was told meanwhile."""


def load(journal: Journal, claim: Claim) -> TakenUp:
    """Read a claimed run."""
    rows = journal.load(claim.run.id)
    fold = fold_rows(rows)
    given = json.loads(claim.run.input)
    texts = [row.state for row in rows]
    has_state = any(text is not None for text in texts)
    saved = None
    if fold:
        lists = stored_lists(fold)
        items = {number: _items(journal, claim.run.id, number) for number in lists}
        saved = parse(fold, items)
    state = fold_state(texts) if has_state else given["state"]
    signals = journal.signals_of(claim.run.id)
    return TakenUp(claim, given, saved, state, has_state, fold, signals)


def fold_rows(rows: Iterable[Commit]) -> dict[str, object]:
    """Return the entities of a run by key, from its rows in order."""
    fold: dict[str, object] = {}
    for row in rows:
        if row.kind == "snapshot":
            fold.clear()
        apply_delta(fold, json.loads(row.delta))
    return fold


def stored_lists(fold: dict[str, object]) -> list[int]:
    """Return the numbers of the lists of map items that open maps need."""
    found = []
    for key, value in fold.items():
        kind = key.rpartition("c/")[2].partition("/")
        is_map = key.startswith("f/") or (kind[2].startswith("f/") and "c/" in key)
        if is_map and isinstance(value, dict) and "i" in value:
            found.append(value["i"])
    return found


def _items(journal: Journal, run: int, number: int) -> list[object]:
    values: list[object] = []
    for row in journal.items(run, number):
        values.extend(json.loads(row.items))
    return values


def problem_of(plan: Plan, saved: SavedRun) -> str | None:
    """Say why a version of a pipe cannot go on with a run; None when it can."""
    for number, message in {**saved.messages, **saved.expiries}.items():
        if message["s"] not in plan.nodes:
            return f"step '{message['s']}' is gone; message {number} waits for it"
    for mapping in saved.maps.values():
        if mapping["w"] not in plan.nodes:
            return f"step '{mapping['w']}' is gone; a map has items for it"
    for _, join in saved.timers:
        if join not in plan.nodes:
            return f"step '{join}' is gone; its timer runs"
    return None
