"""Restoring a run from its recorded entities.

``parse`` is pure: it sorts the folded entities of a stream into one ``SavedRun`` per run
of the tree.  ``restore`` gives an empty ``RunState`` the waves, gates, timers, maps and
children, and delivers the messages that were not finished.  No user code is called: an
invocation that had opened a map or started a child is delivered too, and continues after
its function (``reopen``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import attrs

from .._plan.failure_policy import Failure, TerminationCause
from .._plan.plan import MapNode, Node
from .._util.lazy_classes import define, frozen
from ..errors import RecordedError
from ..failures import FailureKind, FailureReason
from ..outcomes import Diagnostic, PipelineTerminalStatus
from . import routing
from .commit import fail_between
from .entity_values import ChildRecord, MapRecord
from .joins import Decision, JoinGate, Report, StepEntry, Wave
from .journal_port import JsonValue
from .map_invocation import MapInvocation
from .messages import Expire, Message, Start
from .recorded_maps import load_item
from .run_journal import RunJournal
from .run_state import waits_of


if TYPE_CHECKING:
    from .run_state import RunState


Fields = dict[str, Any]


@define(eq=False, repr=False)
class SavedRun:
    """The recorded progress of one run: its entities by kind, as JSON values."""

    messages: dict[int, Fields] = attrs.field(factory=dict)
    expiries: dict[int, Fields] = attrs.field(factory=dict)
    waves: dict[int, Fields] = attrs.field(factory=dict)
    started: list[tuple[int, str]] = attrs.field(factory=list)
    entries: dict[tuple[int, str], Fields] = attrs.field(factory=dict)
    timers: dict[tuple[int, str], float] = attrs.field(factory=dict)
    maps: dict[int, Fields] = attrs.field(factory=dict)
    items: dict[int, list[JsonValue]] = attrs.field(factory=dict)
    """Stored lists of items by number, for the whole tree of runs."""
    collected: dict[tuple[int, int], list[JsonValue]] = attrs.field(factory=dict)
    """Results of workers of collecting maps, by map and item."""
    children: dict[int, Fields] = attrs.field(factory=dict)
    inner: dict[int, SavedRun] = attrs.field(factory=dict)
    """The saved runs of the children."""
    failed: dict[int, JsonValue] = attrs.field(factory=dict)
    """Messages whose invocations failed; they wait for a retry of the run."""
    failures: dict[int, Fields] = attrs.field(factory=dict)
    diagnostics: list[list[Any]] = attrs.field(factory=list)
    counters: Fields = attrs.field(factory=dict)
    waits: dict[str, Fields] = attrs.field(factory=dict)
    results: dict[tuple[int, str], JsonValue] = attrs.field(factory=dict)
    asked: dict[str, int] = attrs.field(factory=dict)
    keys_of: str | None = None
    """Id of the run that its idempotency keys derive from; None is this run."""
    resumed_step: str | None = None
    """The suspended step; the run begins with its successors."""
    notes: dict[str, JsonValue] = attrs.field(factory=dict)
    """Notes of ``meta.run``, as recorded."""
    parts: Fields = attrs.field(factory=dict)
    """For a child: the parts of its state."""
    entities: dict[str, JsonValue] = attrs.field(factory=dict)
    """For a child: all its entities as stored, by their full keys."""

    @property
    def termination(self) -> TerminationCause | None:
        """The recorded termination cause; None if there is none."""
        found = self.counters.get("end")
        if found is None:
            return None
        return TerminationCause(PipelineTerminalStatus(found[0]), found[1])

    @property
    def has_begun(self) -> bool:
        """Whether a step was started, or must be resumed."""
        return bool(self.counters.get("sent")) or self.resumed_step is not None


@frozen(eq=False)
class ReopenedChild:
    """A child run that had started before its parent was taken up."""

    pipe: str
    """Name of its pipe."""
    path: list[JsonValue] | None
    """Path of its state within its parent's state."""
    level: int
    """Number of error handlers that were called before it started."""
    outcome: JsonValue
    """Its outcome; None if it must continue."""
    saved: SavedRun
    origin: tuple[JsonValue, list[JsonValue]] | None = None
    """For a child on a copy of its parent's state: the copy, and the path in it."""


def parse(
    fold: dict[str, JsonValue], items: dict[int, list[JsonValue]], prefix: str = ""
) -> SavedRun:
    """Sort entities into runs.

    Args:
        fold: entities by key, folded from all rows.
        items: stored lists of map items, by number.
        prefix: the prefix of this run's keys.
    """
    saved = SavedRun(items=items)
    children: dict[int, dict[str, JsonValue]] = {}
    for key, value in fold.items():
        kind, _, rest = key.partition("/")
        number, _, inner = rest.partition("/")
        if kind == "c" and inner:
            children.setdefault(int(number), {})[inner] = value
        else:
            _sort(saved, kind, number, inner, cast("Any", value))
    for child, entities in children.items():
        inside = f"{prefix}c/{child}/"
        saved.inner[child] = parse(entities, items, inside)
        saved.inner[child].entities = {
            inside + key: value for key, value in entities.items()
        }
    return saved


def _sort(  # noqa: C901, PLR0912, PLR0915 - one row a kind
    saved: SavedRun, kind: str, first: str, rest: str, value: Any
) -> None:
    match kind:
        case "m":
            saved.messages[int(first)] = value
        case "e":
            saved.expiries[int(first)] = value
        case "w":
            saved.waves[int(first)] = value
        case "s":
            saved.started.append((int(first), rest))
        case "d":
            saved.entries[int(first), rest] = value
        case "t":
            saved.timers[int(first), rest] = value
        case "f":
            saved.maps[int(first)] = value
        case "y":
            saved.collected[int(first), int(rest)] = value
        case "c":
            saved.children[int(first)] = value
        case "b":
            saved.failed[int(first)] = value
        case "j":
            saved.failures[int(first)] = value
        case "g":
            saved.diagnostics = value
        case "x":
            saved.counters = value
        case "a":
            saved.waits[first if not rest else f"{first}/{rest}"] = value
        case "o":
            saved.results[int(first), rest] = value
        case "q":
            saved.asked[first if not rest else f"{first}/{rest}"] = value
        case "k":
            saved.keys_of = value
        case "r":
            saved.resumed_step = value
        case "n":
            saved.notes[f"n/{first}/{rest}"] = value
        case "v":
            part = first if not rest else f"{first}/{rest}"
            saved.parts[part] = value[0]
        case _:
            pass  # an entity of a later version; restoring does not need it


# -- restoring


def restore(journal: RunJournal) -> None:
    """Continue a run from its recorded progress."""
    saved, run_state = journal.saved, journal.run_state
    assert saved is not None
    journal.is_restored = True
    run_state.sent = saved.counters.get("sent", 0)
    run_state.wave_count = saved.counters.get("waves", 0)
    run_state.halted = saved.counters.get("halted", False)
    journal.suspended_at = saved.counters.get("suspended")
    restore_log(run_state, saved)
    _restore_waves(journal, saved)
    journal.failed.restore(saved.failed, run_state)
    _restore_maps(journal, saved)
    _restore_children(journal, saved)
    messages = _restore_messages(journal, saved)
    run_state.acquire_token()
    try:
        _restore_timers(journal, saved)
        if saved.waits or saved.asked or saved.results or saved.keys_of:
            waits = waits_of(run_state)
            waits.records.restore(saved)
            if not run_state.halted:  # else they were withdrawn, and wait for a retry
                waits.reopen(fail_between)
        if saved.resumed_step is not None:
            _resume(journal, saved.resumed_step)
        for message in messages:
            routing.put(run_state, message)
    finally:
        run_state.release_token()


def _resume(journal: RunJournal, step: str) -> None:
    """Start the successors of a suspended step, once."""
    run_state = journal.run_state
    wave = run_state.open_wave()
    journal.touch("r")
    routing.report_to_successors(
        run_state, wave, run_state.plan.nodes[step], Report.ARRIVED
    )


def restore_log(run_state: RunState, saved: SavedRun) -> None:
    """Restore the recorded failures and diagnostics."""
    for _, one in sorted(saved.failures.items()):
        kind, reason = FailureKind(one["kind"]), FailureReason(one["reason"])
        error = RecordedError(*one["error"])
        run_state.failures.add(Failure(kind, reason, error, one["step"]))
    for step, kind_, parents, message, count in saved.diagnostics:
        one_ = Diagnostic(step, kind_, tuple(parents), message)
        run_state.count_diagnostic(one_, count)


def _restore_waves(journal: RunJournal, saved: SavedRun) -> None:
    run_state, closed = journal.run_state, journal.failed.closed
    waves: dict[int, Wave] = {}
    for number, value in saved.waves.items():
        background = frozenset[str](value["b"])
        target = closed if "k" in value else run_state.waves
        waves[number] = target[number] = Wave(
            number,
            background,
            closing_step=value.get("c", ""),
            loop=value.get("l"),
        )
    for number, value in saved.waves.items():
        if "o" in value:
            outer = waves[number].parent_wave = waves[value["o"]]
            outer.live_count += "k" not in value
    for number, step in saved.started:
        waves[number].start(step)
    for (number, step), value in saved.entries.items():
        node = run_state.plan.nodes.get(step)
        if node is not None:
            gate = _restore_gate(node, value)
            entry = StepEntry(gate, node.routed_by)
            reports = value.get("r", {})
            entry.router_reports = {name: Report(one) for name, one in reports.items()}
            entry.dead = value.get("x", False)
            waves[number].add_entry(step, entry)


def _restore_gate(node: Node, value: Fields) -> JoinGate | None:
    """Return a join's gate; parents that exist only in a former version are omitted."""
    if not node.parents and "g" not in value:
        return None
    known = {*node.parents, *node.routed_by}
    named = [name for name in value["p"] if name in known and name not in node.parents]
    gate = JoinGate((*node.parents, *named), node.join)
    for parent, report in value.get("g", {}).items():
        if parent in gate.parents:
            gate.report(parent, Report(report))
    gate.decision = Decision(value["d"]) if "d" in value else None
    return gate


def _restore_timers(journal: RunJournal, saved: SavedRun) -> None:
    run_state, stream = journal.run_state, journal.stream
    for (number, step), due in saved.timers.items():
        journal.due[step, number] = due
        left = due - stream.wall_now()
        node = run_state.plan.nodes[step]
        wave = run_state.waves[number]
        routing.start_timer(run_state, wave, node, stream.now() + left)
    if run_state.halted:
        return  # its joins will not start any more
    for wave in run_state.waves.values():
        for step in wave.waiting():  # joins that a retry has opened again
            gate, node = wave.entries[step].gate, run_state.plan.nodes[step]
            if gate is not None and (wave.number, step) not in saved.timers:
                routing.arm_timer(run_state, wave, node, gate)


def _restore_messages(journal: RunJournal, saved: SavedRun) -> list[Message]:
    """Return the messages that were not finished, each with its token."""
    run_state = journal.run_state
    messages: list[Message] = [
        _message(journal, number, value) for number, value in saved.messages.items()
    ]
    messages += [
        Expire(
            run_state.run_id,
            value["s"],
            value["w"],
            tuple(value["x"]),
            value["t"],
            id=number,
        )
        for number, value in saved.expiries.items()
    ]
    messages.sort(key=lambda one: one.id)
    for message in messages:
        journal.live[message.id] = message
        run_state.acquire_token()
        wave = run_state.waves.get(message.wave)
        if wave is not None:
            wave.live_count += 1
        if isinstance(message, Start) and message.map_id is not None:
            mapping = run_state.maps.get(message.map_id)
            if mapping is not None:
                mapping.in_flight += 1
    return messages


def _message(journal: RunJournal, number: int, value: Fields) -> Start:
    run_id, saved = journal.run_state.run_id, journal.saved
    assert saved is not None

    def invocation(key: str) -> str | None:
        found = value.get(key)
        return None if found is None else f"{run_id}:{found}"

    message = Start(
        run_id,
        value["s"],
        value["w"],
        cause=invocation("c"),
        map_id=invocation("f"),
        scope=tuple(value.get("p", ())),
        attempt=value.get("a", 1),
        origin=value.get("z"),
        owner=invocation("o"),
        started_before=frozenset(value.get("b", ())),
        id=number,
    )
    if "v" in value:
        journal.items[number] = value["v"]
        message.item = load_item(journal, message.step, value["v"][0])
    elif "i" in value:
        source = saved.maps[value["f"]]
        message.item = _item_at(journal, source, value["i"])
    return message


def _item_at(journal: RunJournal, source: Fields, index: int) -> object:
    if "r" in source:
        return range(*source["r"])[index]
    assert journal.saved is not None
    value = journal.saved.items[source["i"]][index]
    return load_item(journal, source["w"], value)


def _restore_maps(journal: RunJournal, saved: SavedRun) -> None:
    """Register open maps first, because workers may finish before a map is reopened."""
    run_state = journal.run_state
    for number, value in saved.maps.items():
        invocation_id = f"{run_state.run_id}:{number}"
        message = saved.messages.get(number)
        is_open = message is not None or number in saved.expiries
        mapping = MapInvocation.reopened(
            invocation_id,
            scope=tuple(message.get("p", ())) if message is not None else (),
            worker=value["w"],
            total=value.get("t"),
            window=value["k"],
            item_count=value["n"],
            failed=value.get("x", False),
            level=value.get("l", 0),
        )
        node = run_state.plan.nodes.get(message["s"]) if message is not None else None
        mapping.collect = node.collect if isinstance(node, MapNode) else None
        record = MapRecord(mapping, is_kept=not is_open)
        if "r" in value:
            record.range = (value["r"][0], value["r"][1], value["r"][2])
        elif "i" in value:
            record.items = value["i"]
        else:
            record.digest = _Seen(value["h"])
        journal.maps.records[number] = record
        if is_open:
            run_state.add_map(invocation_id, mapping)
            journal.maps.reopened[number] = record
    for number in _maps_of_failed(saved):
        journal.maps.records[number].is_kept = True
    for (number, index), kept in saved.collected.items():
        journal.maps.results[number, index] = kept
        mapping = journal.maps.records[number].mapping
        hint = run_state.plan.result_types.get(mapping.worker, Any)
        where = f"result of '{mapping.worker}'"
        mapping.results[index] = journal.stream.codec.load(kept[0], hint, where)


def _maps_of_failed(saved: SavedRun) -> Iterator[int]:
    """Return the maps that failed workers belong to."""
    for value in saved.failed.values():
        message = cast("Fields", value).get("m", {})
        if message.get("f") in saved.maps:
            yield message["f"]


@define(eq=False)
class _Seen:
    """Recorded hash of a lazy source's items, until they are iterated again."""

    text: str

    def hexdigest(self) -> str:
        return self.text


def _restore_children(journal: RunJournal, saved: SavedRun) -> None:
    for number, value in saved.children.items():
        inner = saved.inner.get(number, SavedRun(items=saved.items))
        path, level = value.get("path"), value.get("l", 0)
        outcome = value.get("end")
        found = value.get("origin")
        origin = None if found is None else (found[0], found[1])
        journal.children[number] = ChildRecord(
            value["pipe"], path, level, origin, outcome
        )
        if number in saved.failed:
            journal.failed.children[number] = inner.entities
            continue
        journal.reopened_children[number] = ReopenedChild(
            value["pipe"], path, level, outcome, inner, origin
        )
