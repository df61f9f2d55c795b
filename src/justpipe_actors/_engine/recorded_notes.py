"""The notes of a durable run (``meta.run``) as entities of its journal.

======================  ==============================================================
key                     value
======================  ==============================================================
``n/d/<key>``           a noted value
``n/t/``                the tags
``n/c/<name>``          a counter
``n/m/<k>/<name>``      the k-th ``CHUNK`` samples of a metric
======================  ==============================================================

Notes are compared with what was recorded, once per batch, because steps change them
without the engine.  A value that cannot be stored is left out: a note fails no run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, cast

import attrs

from .._util.lazy_classes import define
from ..errors import NotStorable
from ..meta import Notes, RunNotes
from .journal_port import JsonValue
from .value_codec import StorableValues


CHUNK = 64
"""Samples of a metric in one entity."""

_logger = logging.getLogger("justpipe_actors.journal")


@define(eq=False, repr=False)
class RecordedNotes:
    """The notes of one run, and the recorded ones."""

    notes: RunNotes
    codec: StorableValues
    """Turns values into JSON values."""
    _recorded: dict[str, JsonValue] = attrs.field(factory=dict, init=False)
    _samples: dict[str, int] = attrs.field(factory=dict, init=False)
    _left_out: set[str] = attrs.field(factory=set, init=False)

    def collect(self) -> dict[str, JsonValue]:
        """Return the entities that have changed since the last call."""
        if self.notes.is_empty:
            return {}
        changed = {
            key: value
            for key, value in self._entities()
            if self._recorded.get(key) != value
        }
        self._recorded.update(changed)
        return changed

    def dump(self) -> dict[str, JsonValue]:
        """Return all entities that were recorded."""
        return dict(self._recorded)

    def restore(self, entities: dict[str, JsonValue]) -> None:
        """Restore the recorded notes when the run is taken up."""
        if not entities:
            return
        notes = self.notes.notes()
        self._recorded = dict(entities)
        chunks: dict[str, dict[int, list[float]]] = {}
        for key, value in entities.items():
            kind, name = key[2], key[4:]
            if kind == "d":
                notes.data[name] = self.codec.load_value(value)
            elif kind == "t":
                notes.tags.update(cast("list[str]", value))
            elif kind == "c":
                notes.counters[name] = cast("float", value)
            elif kind == "m":
                number, _, metric = name.partition("/")
                chunks.setdefault(metric, {})[int(number)] = cast("Any", value)
        for metric, parts in chunks.items():
            notes.metrics[metric] = [
                one for number in sorted(parts) for one in parts[number]
            ]

    def _entities(self) -> Iterator[tuple[str, JsonValue]]:
        notes = self.notes.notes()
        for key, value in list(notes.data.items()):
            try:
                yield f"n/d/{key}", self.codec.dump_value(value, f"meta.run {key!r}")
            except NotStorable as error:
                self._leave_out(str(key), error)
        if notes.tags:
            yield "n/t/", sorted(notes.tags)
        for name, count in list(notes.counters.items()):
            yield f"n/c/{name}", count
        yield from self._new_samples(notes)

    def _new_samples(self, notes: Notes) -> Iterator[tuple[str, JsonValue]]:
        """Yield the chunks of metrics that have new samples."""
        for name, samples in list(notes.metrics.items()):
            known = self._samples.get(name, 0)
            self._samples[name] = len(samples)
            for number in range(known // CHUNK, -(-len(samples) // CHUNK)):
                part = samples[number * CHUNK : (number + 1) * CHUNK]
                yield f"n/m/{number}/{name}", [*part]

    def _leave_out(self, key: str, error: NotStorable) -> None:
        if key not in self._left_out:
            self._left_out.add(key)
            _logger.warning("A note does not survive a crash: %s", error)
