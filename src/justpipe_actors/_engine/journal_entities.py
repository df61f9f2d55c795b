"""The present values of a run's entities, by key; ``run_journal`` lists the keys.

``entity_values`` writes the value of one message, wave, map, child or failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._plan.plan import NO_ITEM
from .entity_values import (
    dump_child,
    dump_entry,
    dump_expiry,
    dump_map,
    dump_message,
    dump_wave,
)
from .journal_port import JsonValue
from .messages import Expire, Start


if TYPE_CHECKING:
    from .joins import Wave
    from .run_journal import RunJournal
    from .run_state import RunState


Key = tuple[str | int, ...]
"""Kind of an entity, and what names it; joined with slashes in the journal."""


def entity_keys(journal: RunJournal) -> list[Key]:
    """Return the keys of all entities that are touched when they change."""
    waves = {**journal.failed.closed, **journal.run_state.waves}
    keys: list[Key] = [
        ("e" if isinstance(message, Expire) else "m", number)
        for number, message in journal.live.items()
    ]
    keys += [("w", number) for number in waves]
    keys += [("s", n, step) for n, wave in waves.items() for step in wave.started]
    keys += [("d", n, step) for n, wave in waves.items() for step in wave.entries]
    keys += [("t", wave, join) for join, wave in journal.run_state.timers]
    keys += [("f", number) for number in journal.maps.records]
    keys += [("y", *key) for key in journal.maps.results]
    keys += [("c", number) for number in journal.children]
    keys += [("b", number) for number in journal.failed.messages]
    if journal.run_state.waits is not None:
        keys += journal.run_state.waits.records.keys()
    return keys


def _wave(journal: RunJournal, number: int) -> Wave | None:
    return journal.run_state.waves.get(number) or journal.failed.closed.get(number)


def dump_entity(journal: RunJournal, key: Key) -> JsonValue:  # noqa: C901, PLR0912 - one row a kind
    """Return the present value of a key; None if its entity is gone."""
    match key:
        case "m", int(number):
            return _dump_live_message(journal, number)
        case "e", int(number):
            message = journal.live.get(number)
            return dump_expiry(message) if isinstance(message, Expire) else None
        case "w", int(number):
            wave = _wave(journal, number)
            is_kept = number in journal.failed.closed
            return None if wave is None else dump_wave(wave, is_kept=is_kept)
        case "b", int(number):
            return journal.failed.messages.get(number)
        case "s", int(number), str(step):
            wave = _wave(journal, number)
            return None if wave is None or step not in wave.started else 1
        case "d", int(number), str(step):
            wave = _wave(journal, number)
            entry = None if wave is None else wave.entries.get(step)
            return None if entry is None else dump_entry(entry)
        case "t", int(number), str(step):
            return journal.due.get((step, number))
        case "f", int(number):
            record = journal.maps.records.get(number)
            return None if record is None else dump_map(record)
        case "y", int(number), int(index):
            return journal.maps.results.get((number, index))
        case "c", int(number):
            child = journal.children.get(number)
            return None if child is None else dump_child(child)
        case "a", str(name):
            waits = journal.run_state.waits
            return None if waits is None else waits.records.dump_wait(name)
        case ("r",):
            return None  # once taken up, its messages record its progress
        case ("k",):
            waits = journal.run_state.waits
            return None if waits is None else waits.records.keys_of
        case "q", str(name):
            waits = journal.run_state.waits
            return None if waits is None else waits.records.counts.get(name)
        case "o", int(number), str(name):
            waits = journal.run_state.waits
            kept = None if waits is None else waits.records.results
            return None if kept is None else kept.get((number, name))
        case _:
            msg = f"{key} is no key of a run"
            raise AssertionError(msg)


def _dump_live_message(journal: RunJournal, number: int) -> JsonValue:
    message = journal.live.get(number)
    if not isinstance(message, Start):
        return None
    value = dump_message(message)
    if message.item is not NO_ITEM:
        if number in journal.items:
            value["v"] = journal.items[number]
        else:
            value["i"] = message.item_index
    return value


def dump_diagnostics(run_state: RunState) -> JsonValue:
    """Return the joins that did not run, and how often."""
    counts = run_state.diagnostic_counts
    if not counts:
        return None
    return [
        [one.step, one.kind, list(one.parents), one.message, count]
        for one, count in counts.items()
    ]


def dump_counters(journal: RunJournal) -> JsonValue:
    """Return the counters of a run, and the reason why it must end."""
    run_state = journal.run_state
    value: dict[str, JsonValue] = {
        "sent": run_state.sent,
        "waves": run_state.wave_count,
    }
    if run_state.halted:
        value["halted"] = True
    if run_state.termination is not None:
        cause = run_state.termination
        value["end"] = [cause.status.value, cause.reason]
    if journal.suspended_at is not None:
        value["suspended"] = journal.suspended_at
    if journal.version is not None:
        value["v"] = journal.version
    if not journal.prefix:
        value["lists"] = journal.stream.item_lists
        if journal.stream.deadline is not None:
            value["deadline"] = journal.stream.deadline
    return value
