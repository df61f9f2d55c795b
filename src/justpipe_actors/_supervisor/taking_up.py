"""A claimed run as data: its folded rows, and whether this version can continue it.

``load`` runs in the journal's thread, because reading and parsing thousands of rows would
block the event loop.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from .._engine.batch_stream import apply_delta
from .._engine.restore import SavedRun, parse
from .._plan.plan import Plan
from .._util.lazy_classes import define
from .._util.state_parts import fold_state
from ..abc import Claim, Commit, Journal, Signal


@define(eq=False, repr=False)
class TakenUp:
    """A claimed run, read from its journal."""

    claim: Claim
    """The lease."""
    input: dict[str, Any]
    """State, context and options as submitted."""
    saved: SavedRun | None
    """Its recorded progress; None if it has not begun."""
    state: Any
    """Its state as a JSON value; the input's if none was stored later."""
    has_state: bool
    """Whether a state was stored after the input."""
    fold: dict[str, object]
    """Its entities by key."""
    signals: list[Signal]
    """Signals that arrived while it was not at work."""


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
    """Return why a version of a pipe cannot continue a run; None if it can."""
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
