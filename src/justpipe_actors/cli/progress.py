"""Progress rows of a run, built from its live or stored events.

Pure bookkeeping: events go in, rows come out, and nothing is printed here.  ``run`` feeds
live events, ``show`` and ``tail`` feed stored ones, so all three show the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

import attrs

from .._util.text import invocation_label
from ..abc import StorageBackend
from ..events import Event, EventType
from ..outcomes import PipelineEndData
from ..records import RunRecord, StoredEvent
from ..storage.history import UNREADABLE, event_of


class Mark(Enum):
    """Summary status of a step."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CUT_OFF = "cut off"
    NOT_TAKEN = "not taken"


@attrs.define
class Row:
    """One step so far."""

    name: str
    """The step, ``owner:inner`` for one of a sub-pipeline."""
    depth: int = 0
    """Level of indentation: one more for each map and sub around it."""
    started: int = 0
    """Invocations that began."""
    done: int = 0
    """Invocations that succeeded."""
    failed: int = 0
    """Invocations that failed."""
    retried: int = 0
    """Further attempts."""
    interrupted: int = 0
    """Invocations that were underway when their process ended; they begin again."""
    started_at: float | None = None
    """Wall clock at the first start, in seconds."""
    ended_at: float | None = None
    """Wall clock at the last end, in seconds."""
    worker: str | None = None
    """The step a map starts for every item."""
    is_worker: bool = False
    """Whether it is such a step."""
    items: int = 0
    """Items of all its maps, as far as they are known."""
    open_maps: dict[str | None, int | None] = attrs.field(factory=dict)
    """Items of the maps underway, by invocation; None where they are not known yet."""
    waiting_for: tuple[str, ...] = ()
    """Parents that a join still waits for."""

    @property
    def running(self) -> int:
        """Invocations at work."""
        return self.started - self.done - self.failed

    @property
    def uncounted_maps(self) -> int:
        """Maps at work with an unknown number of items."""
        return sum(count is None for count in self.open_maps.values())

    def interrupt(self, gap: float) -> None:
        """Forget what is underway: its process is gone, and it begins again.

        Args:
            gap: seconds in which no process had the run; they are not counted.
        """
        count = self.running
        if count and self.started_at is not None:
            is_first = not (self.done or self.failed)
            self.started_at = None if is_first else self.started_at + gap
        self.interrupted += count
        self.started -= count
        self.items -= sum(count or 0 for count in self.open_maps.values())
        self.open_maps.clear()
        self.waiting_for = ()

    def mark(self, *, is_over: bool) -> Mark:
        """Summary status of the step."""
        if self.failed:
            return Mark.FAILED
        if self.running:
            return Mark.CUT_OFF if is_over else Mark.RUNNING
        if self.done:
            return Mark.DONE
        return Mark.NOT_TAKEN if is_over else Mark.WAITING

    def seconds(self, now: float) -> float | None:
        """Return the time from its first start to its last end, or to now."""
        if self.started_at is None:
            return None
        end = now if self.running or self.ended_at is None else self.ended_at
        return max(0.0, end - self.started_at)


@attrs.define
class StepFailure:
    """A failed invocation."""

    step: str
    error: str
    """The exception, its type first where that is known."""
    location: str
    """File, line and function that raised it, empty if they are not known."""
    label: str
    """Which invocation: for a map's worker the step with the item's number."""
    item: str
    """The item of a map's worker, empty if it is not known."""

    @property
    def item_text(self) -> str:
        """Which item of a map it was, in words; empty if it was no map's worker."""
        if self.label == self.step:
            return ""
        return f"in {self.label}" + (f", for the item {self.item}" if self.item else "")


@attrs.define
class Progress:
    """A run so far."""

    rows: dict[str, Row]
    """By name, in the order of the definition."""
    tokens: int = 0
    """Number of streamed tokens."""
    failures: list[StepFailure] = attrs.field(factory=list)
    """Failed invocations; the first few, there may be a million."""
    suspended: object = None
    """What a step that suspended the run waits for."""
    end: PipelineEndData | None = None
    """The payload of FINISH; None while the run is at work."""
    latest: float = 0.0
    """Wall clock at the last event, in seconds."""
    run_id: str | None = None
    """The run, once it has begun."""
    _open: set[str] = attrs.field(factory=set, init=False)
    _interrupted: set[str] = attrs.field(factory=set, init=False)

    def on_event(self, event: Event) -> None:
        """Update the rows with an event."""
        before, self.latest = self.latest, event.timestamp
        self.run_id = event.run_id
        match event.type:
            case EventType.TOKEN:
                self.tokens += 1
            case EventType.SUSPEND:
                self.suspended = event.payload
            case EventType.FINISH if event.stage == "system":
                self.end = event.payload
            case EventType.STEP_START | EventType.STEP_END | EventType.STEP_ERROR:
                self._on_step_event(event)
            case EventType.MAP_START | EventType.MAP_COMPLETE:
                self._on_map_event(event)
            case EventType.BARRIER_WAIT | EventType.BARRIER_RELEASE:
                waiting = event.payload if event.type is EventType.BARRIER_WAIT else {}
                self._row(event).waiting_for = tuple(waiting.get("waiting_for", ()))
            case EventType.RECOVERED:
                self._on_recovered(event.timestamp - before)
            case _:
                return

    def _on_step_event(self, event: Event) -> None:
        row = self._row(event)
        row.retried += event.type is EventType.STEP_START and event.attempt > 1
        name = event.invocation_id or ""
        if event.type is EventType.STEP_START:
            # A later attempt belongs to an invocation that was counted, unless the
            # process that ran the earlier ones has ended.
            row.started += event.attempt == 1 or name in self._interrupted
            self._interrupted.discard(name)
            self._open.add(name)
            row.started_at = row.started_at or event.timestamp
            row.waiting_for = ()
            return
        self._open.discard(name)
        row.ended_at = event.timestamp
        if event.type is EventType.STEP_END:
            row.done += 1
            return
        # A failure without a STEP_START (a hook, a barrier) is no invocation.
        row.failed += 1
        row.started = max(row.started, row.done + row.failed)
        if len(self.failures) < MAX_FAILURES:
            self.failures.append(step_failure(event))

    def _on_recovered(self, gap: float) -> None:
        for row in self.rows.values():
            row.interrupt(gap)
        self._interrupted, self._open = self._open, set()

    def _on_map_event(self, event: Event) -> None:
        row = self._row(event)
        prefix = event.stage.rpartition(":")[0]
        target = str(event.payload["target"])
        row.worker = f"{prefix}:{target}" if prefix else target
        count: int | None = event.payload["item_count"]
        if event.type is EventType.MAP_START:
            row.open_maps[event.invocation_id] = count
            row.items += count or 0
        elif row.open_maps.pop(event.invocation_id, 0) is None:
            row.items += count or 0

    def _row(self, event: Event) -> Row:
        if event.stage not in self.rows:
            self.rows = _insert_row(self.rows, event.stage)
        return self.rows[event.stage]


MAX_FAILURES = 20
"""Number of failures that are kept."""


def step_failure(event: Event) -> StepFailure:
    """Return the text of a STEP_ERROR, the exception's type first."""
    framework: dict[str, Any] = (event.meta or {}).get("framework", {})
    error_type, text = framework.get("error_type"), str(event.payload)
    error = f"{error_type}: {text}" if error_type and text else error_type or text
    return StepFailure(
        event.stage,
        error,
        _raised_at(framework.get("traceback", "")),
        invocation_label(event.stage, event.scope),
        str(framework.get("item", "")),
    )


def _raised_at(traceback: str) -> str:
    frames = re.findall(
        r'^  File "(.+)", line (\d+), in (.+)$', traceback, re.MULTILINE
    )
    return "{}:{} in {}".format(*frames[-1]) if frames else ""


def _insert_row(rows: dict[str, Row], name: str) -> dict[str, Row]:
    """Put a new row behind its owner's, and behind those the owner has already."""
    owner = name.rpartition(":")[0]
    if owner not in rows:
        return {**rows, name: Row(name)}
    found: list[Row] = list(rows.values())
    depth = rows[owner].depth + 1
    index = found.index(rows[owner]) + 1
    while index < len(found) and found[index].depth >= depth:
        index += 1
    found.insert(index, Row(name, depth))
    return {row.name: row for row in found}


def outline(description: Mapping[str, Any]) -> Progress:
    """Return the rows of a pipe that has not begun, parents before children.

    Args:
        description: what ``Pipe.describe()`` says.
    """
    nodes: Mapping[str, Any] = description["nodes"]
    topology: Mapping[str, list[str]] = description["topology"]
    workers = {
        name: [t for t in node["targets"] if t not in topology.get(name, ())]
        for name, node in nodes.items()
        if node["kind"] == "map"
    }
    map_workers = {worker for targets in workers.values() for worker in targets}
    successors = {
        name: [
            t
            for t in dict.fromkeys([*topology.get(name, ()), *node["targets"]])
            if t in nodes
        ]
        for name, node in nodes.items()
    }
    rows: dict[str, Row] = {}
    for name in _in_order(successors):
        if name not in map_workers:
            rows[name] = Row(name)
            for worker in workers.get(name, ()):
                rows[worker] = Row(worker, 1, is_worker=True)
                rows[name].worker = worker
    for worker in sorted(map_workers - rows.keys()):
        rows[worker] = Row(worker, is_worker=True)
    return Progress(rows)


def _in_order(successors: dict[str, list[str]]) -> Iterator[str]:
    """Yield every step once, before its successors except in cycles."""
    targets_of_others = {
        target for targets in successors.values() for target in targets
    }
    order: list[str] = []
    seen: set[str] = set()
    roots = [name for name in successors if name not in targets_of_others]
    # Iterate backwards, because the result of the depth-first walk is reversed.
    for root in [*reversed(roots), *successors]:
        path = [] if root in seen else [(root, iter(reversed(successors[root])))]
        seen.add(root)
        while path:
            rest = path[-1][1]
            unseen = next((t for t in rest if t not in seen), None)
            if unseen is None:
                order.append(path.pop()[0])
            else:
                seen.add(unseen)
                path.append((unseen, iter(reversed(successors[unseen]))))
    yield from reversed(order)


PAGE_SIZE = 1000
"""Events that are read at once."""


def stored_events(
    store: StorageBackend, run_id: str, after: int = 0
) -> Iterator[StoredEvent]:
    """Yield a run's events, a page of them in memory at a time."""
    while page := store.get_events(run_id, after=after, limit=PAGE_SIZE):
        yield from page
        after = page[-1].seq


def replay_progress(
    store: StorageBackend, run: RunRecord, latest: Mapping[str, Any] | None
) -> Progress:
    """Return how far a stored run has come.

    Args:
        store: where it is.
        run: the run.
        latest: how its pipeline looked at its latest run, if that is known.
    """
    progress = initial_progress(store, run, latest)
    for stored in stored_events(store, run.run_id):
        event = event_of(stored)
        if event is not None:
            progress.on_event(event)
    return progress


def initial_progress(
    store: StorageBackend, run: RunRecord, latest: Mapping[str, Any] | None
) -> Progress:
    """Return the rows of a stored run before its first event."""
    text = store.get_definition(run.fingerprint) if run.fingerprint else None
    try:
        return outline(json.loads(text) if text else latest or EMPTY_DESCRIPTION)
    except UNREADABLE:
        return Progress({})


EMPTY_DESCRIPTION: dict[str, Any] = {"nodes": {}, "topology": {}}
"""The description of a pipeline without a stored description."""
