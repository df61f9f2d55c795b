"""Take up a claimed run: read its rows, check that it can go on, and build its parts.

``load`` runs in the journal's thread, because reading and parsing thousands of rows would
block the event loop.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from .._engine.batch_stream import BatchStream, apply_delta
from .._engine.journal_port import PutBatch
from .._engine.restore import SavedRun, parse
from .._engine.run_journal import RunJournal
from .._engine.value_codec import StorableValues
from .._run.durable_run import break_durable, lost, parked
from .._run.run import Run, RunRequest
from .._util.lazy_classes import define
from .._util.stored_state import fold_state
from ..abc import Claim, Commit, Journal, Signal
from .fitting import migrated, misfit_of, state_misfit
from .plan_version import version_of


if TYPE_CHECKING:
    from .catalog import Catalog


@define(eq=False, repr=False)
class TakenUp:
    """A claimed run, read from its journal."""

    claim: Claim
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

    @property
    def version(self) -> str:
        """The version of the pipe that has stored the state."""
        counters = {} if self.saved is None else self.saved.counters
        return str(counters.get("v", self.claim.run.fingerprint))


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


def refusal_of(
    taken: TakenUp, catalog: Catalog, values: StorableValues, attempts: int
) -> str | None:
    """Return why a run must not be taken up; None if it may.

    Args:
        taken: the run.
        catalog: the pipes of this supervisor.
        values: reads stored values.
        attempts: workers that may die with the run.
    """
    claim = taken.claim
    saved = taken.saved
    if claim.deaths >= attempts:
        steps = [] if saved is None else [m["s"] for m in saved.messages.values()]
        at_work = ", ".join(f"'{step}'" for step in dict.fromkeys(steps)) or "none"
        return f"{claim.deaths} workers died with it; steps in flight: {at_work}"
    plan = catalog.find(claim.run.pipe).plan()
    problem = state_misfit(plan, taken.state, taken.version, values)
    if problem is None and saved is not None:
        problem = misfit_of(plan, saved, values, catalog.find)
    return problem


def request_of(taken: TakenUp, catalog: Catalog, values: StorableValues) -> RunRequest:
    """Return the request for the current version of the run's pipe.

    Raises:
        DefinitionError: the supervisor has no pipe of this name.
        UnreadableDataError: the state or the context does not fit the pipe's types.
    """
    row, given = taken.claim.run, taken.input
    pipe = catalog.find(row.pipe)
    plan = pipe.plan()
    plain = migrated(plan, taken.state, taken.version)
    state = values.load_state(plan, plain)
    context = values.load_context(plan, given["context"])
    if context is None and catalog.make_context is not None:
        context = catalog.make_context()
    request = pipe.build_request(
        state, context, given["start"], given["capacity"], given["timeout"]
    )
    return attrs.evolve(request, run_id=row.run_id)


def open_run_journal(
    taken: TakenUp,
    run: Run,
    journal: Journal,
    *,
    put: PutBatch,
    values: StorableValues,
    find_pipe: Callable[[str], object],
    deadline: float | None,
) -> RunJournal:
    """Return the ``RunJournal`` of a run that this worker begins or continues.

    Args:
        taken: the run as it is stored.
        run: the run at work.
        journal: the journal of the supervisor.
        put: stores a batch.
        values: converts values to JSON values and back.
        find_pipe: returns the pipe of a name.
        deadline: when the run times out, on the journal's clock; None is never.
    """
    claim = taken.claim
    system = run.run_state.system
    stream = BatchStream(
        run=claim.run.id,
        n=claim.n,
        incarnation=claim.run.incarnation,
        holds=journal.mode == "sync",
        put=put,
        codec=values,
        call_soon=run.loop.call_after_turn,
        now=run.loop.now,
        wall_now=journal.now,
        timers=system.timers,
        find_pipe=find_pipe,
        on_lost=partial(lost, run),
        on_parked=partial(parked, run),
        on_broken=partial(break_durable, run),
        deadline=deadline,
        version_of=version_of,
        verifies=getattr(journal, "verify", False),
    )
    saved = taken.saved
    if saved is not None:
        stream.item_lists = saved.counters.get("lists", 0)
        stream.begin_fold(taken.fold)
    made = RunJournal(stream, run.run_state, saved=saved)
    version = version_of(run.run_state.plan)
    made.version = None if version == claim.run.fingerprint else version
    made.is_changed = version != taken.version
    stream.members.append(made)
    if taken.has_state:
        made.resume_state(taken.state)
    return made
