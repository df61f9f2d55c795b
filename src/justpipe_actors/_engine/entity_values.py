"""Conversion of a durable run's messages, waves, maps and children to JSON values.

The keys of the JSON objects are short, because every stored message repeats them.
``restore`` reads the values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._util.lazy_classes import define
from .._util.text import safe_str
from ..errors import RecordedError
from ..specs import BarrierType
from .journal_port import JsonValue
from .messages import Expire, Start


if TYPE_CHECKING:
    from .._plan.failure_policy import Failure
    from .joins import StepEntry, Wave
    from .map_invocation import MapInvocation
    from .run_journal import RunJournal


@define(eq=False, repr=False)
class MapRecord:
    """The recorded facts of a map that its invocation does not have."""

    mapping: MapInvocation
    items: int | None = None
    """The number of its list of items, when they are stored."""
    range: tuple[int, int, int] | None = None
    """Start, stop and step, when it maps over a range."""
    is_kept: bool = False
    """Whether it stays when its invocation has ended, because a worker has failed."""
    digest: Any = None
    """The running hash of a lazy source's items; None when the items are stored."""


@define(eq=False, repr=False)
class ChildRecord:
    """The recorded facts of a child run besides its own entities."""

    pipe: str
    """Name of its pipe."""
    path: list[JsonValue] | None
    """Where its state is in its parent's; None when it is stored by itself."""
    level: int
    """Handlers that had been asked when it began."""
    origin: tuple[JsonValue, list[JsonValue]] | None = None
    """Copy of the parent's state that a child works on, and the child's path in it."""
    outcome: JsonValue = None
    """How it ended; None while it runs."""
    journal: RunJournal | None = None
    """Its journal while it runs."""


def number_of(invocation_id: str | None) -> int | None:
    """Return the number in an invocation's id, which is the number of its message."""
    if invocation_id is None:
        return None
    return int(invocation_id.rpartition(":")[2])


def dump_message(message: Start) -> dict[str, JsonValue]:
    """Return a message as a JSON value, without its item and without default values."""
    value: dict[str, JsonValue] = {"s": message.step, "w": message.wave}
    if message.origin is not None:
        value["z"] = message.origin
    if message.cause is not None:
        value["c"] = number_of(message.cause)
    if message.map_id is not None:
        value["f"] = number_of(message.map_id)
    if message.scope:
        value["p"] = list(message.scope)
    if message.attempt != 1:
        value["a"] = message.attempt
    if message.owner is not None:
        value["o"] = number_of(message.owner)
    if message.started_before:
        value["b"] = sorted(message.started_before)
    return value


def dump_expiry(message: Expire) -> JsonValue:
    """Return the expiry of a join as a JSON value."""
    return {
        "s": message.step,
        "w": message.wave,
        "x": list(message.missing),
        "t": message.seconds,
    }


def dump_wave(wave: Wave, *, is_kept: bool = False) -> JsonValue:
    """Return a wave as a JSON value; ``is_kept`` if it is closed."""
    value: dict[str, JsonValue] = {"b": sorted(wave.started_before)}
    if wave.parent_wave is not None:
        value["o"], value["c"] = wave.parent_wave.number, wave.closing_step
    if wave.loop is not None:
        value["l"] = wave.loop
    if is_kept:
        value["k"] = 1
    return value


def dump_entry(entry: StepEntry) -> JsonValue:
    """Return a step's gate and the reports of its routers as a JSON value."""
    value: dict[str, JsonValue] = {}
    if entry.gate is not None:
        value["g"] = {name: one.value for name, one in entry.gate.reports.items()}
        value["p"] = list(entry.gate.parents)
        if entry.gate.decision is not None:
            value["d"] = entry.gate.decision.value
        if entry.gate.join is BarrierType.ANY:
            value["any"] = 1
    if entry.router_reports:
        value["r"] = {name: one.value for name, one in entry.router_reports.items()}
    if entry.dead:
        value["x"] = True
    return value


def dump_map(record: MapRecord) -> JsonValue:
    """Return a map as a JSON value."""
    mapping = record.mapping
    value: dict[str, JsonValue] = {
        "w": mapping.worker,
        "n": mapping.item_count,
        "k": mapping.window,
    }
    if mapping.total is not None:
        value["t"] = mapping.total
    if mapping.failed:
        value["x"] = True
    if mapping.level:
        value["l"] = mapping.level
    if record.items is not None:
        value["i"] = record.items
    elif record.range is not None:
        value["r"] = list(record.range)
    else:
        value["h"] = record.digest.hexdigest()
    return value


def dump_child(child: ChildRecord) -> JsonValue:
    """Return a child run, or how it ended, as a JSON value."""
    value: dict[str, JsonValue] = {"pipe": child.pipe}
    if child.path is not None:
        value["path"] = child.path
    if child.level:
        value["l"] = child.level
    if child.origin is not None and child.outcome is None:
        value["origin"] = [*child.origin]
    if child.outcome is not None:
        value["end"] = child.outcome
    return value


def dump_failure(failure: Failure) -> JsonValue:
    """Return a failure as a JSON value; its exception is kept as text."""
    error = failure.error
    return {
        "kind": failure.kind.value,
        "reason": failure.reason.value,
        "error": dump_error(error),
        "step": failure.step,
    }


def dump_error(error: Exception) -> JsonValue:
    """Return an exception as type, text and module."""
    if isinstance(error, RecordedError):
        return [error.type_name, error.text, error.module]
    return [type(error).__qualname__, safe_str(error), type(error).__module__]
