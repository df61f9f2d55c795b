"""The recorded maps of a durable run: items, progress, results of workers.

The items of a list or tuple are stored before the first worker starts, so a run that is
taken up need not call the function again.  A range is stored by its bounds.  For any
other source only a hash of the items is stored: the function is called again, and must
yield the same items.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs

from .._util.lazy_classes import define
from ..errors import NotStorable
from .entity_values import MapRecord, number_of
from .journal_port import JsonValue


if TYPE_CHECKING:
    from .invocation import Invocation
    from .map_invocation import MapInvocation
    from .run_journal import RunJournal


CHUNK = 1000
"""Map items in one row."""


@define(eq=False, repr=False)
class RecordedMaps:
    """The open maps of one run."""

    journal: RunJournal
    """The journal of the run."""
    records: dict[int, MapRecord] = attrs.field(factory=dict, init=False)
    """Open maps, by the message of their invocation."""
    results: dict[tuple[int, int], JsonValue] = attrs.field(factory=dict, init=False)
    """Results of workers of collecting maps, by map and item."""
    reopened: dict[int, MapRecord] = attrs.field(factory=dict, init=False)
    """Maps of a run that was taken up; they wait for their invocation."""

    def open(self, mapping: MapInvocation) -> None:
        """Record a map and its items, before its first worker.

        Raises:
            NotStorable: an item cannot be stored; the map was not recorded.
        """
        number = mapping.invocation.message.id
        if number not in self.records:
            self.records[number] = self._record(mapping)
        self.journal.touch("f", number)

    def _record(self, mapping: MapInvocation) -> MapRecord:
        source = mapping.items
        if type(source) is range:
            return MapRecord(mapping, range=(source.start, source.stop, source.step))
        if mapping.total is None:
            return MapRecord(mapping, digest=hashlib.blake2b(digest_size=8))
        codec, plan = self.journal.stream.codec, self.journal.run_state.plan
        assert isinstance(source, list | tuple)
        values = [codec.dump_item(plan, mapping.worker, item) for item in source]
        self.journal.stream.item_lists = number = self.journal.stream.item_lists + 1
        for chunk, first in enumerate(range(0, max(len(values), 1), CHUNK)):
            row = (number, chunk, values[first : first + CHUNK])
            self.journal.stream.new_items.append(row)
        return MapRecord(mapping, items=number)

    def hold_item(self, mapping: MapInvocation, item: object) -> NotStorable | None:
        """Keep an item for the next message, unless it is in a stored list.

        Return the error if the item cannot be stored, else None.
        """
        record = self.records[mapping.invocation.message.id]
        if record.items is not None or record.range is not None:
            return None
        codec, plan = self.journal.stream.codec, self.journal.run_state.plan
        try:
            value = codec.dump_item(plan, mapping.worker, item)
        except NotStorable as error:
            return error
        record.digest.update(json.dumps(value, sort_keys=True).encode())
        self.journal.items[self.journal.run_state.sent + 1] = [value]
        return None

    def changed(self, mapping: MapInvocation) -> None:
        """Record a map again."""
        number = number_of(mapping.ids.invocation)
        assert number is not None
        self.journal.touch("f", number)

    def dump_result(self, worker: str, value: object) -> JsonValue:
        """Return a worker's result as a JSON value, by its declared type.

        Raises:
            NotStorable: it cannot be stored.
        """
        hint = self.journal.run_state.plan.result_types.get(worker, Any)
        return self.journal.stream.codec.dump(value, hint, f"result of '{worker}'")

    def keep_result(self, mapping: MapInvocation, index: int, value: JsonValue) -> None:
        """Record a worker's result until its map has finished."""
        number = number_of(mapping.ids.invocation)
        assert number is not None
        self.results[number, index] = value
        self.journal.touch("y", number, index)

    def forget(self, number: int, record: MapRecord) -> None:
        """Delete a map that has finished, and the results and items stored for it."""
        del self.records[number]
        self.journal.touch("f", number)
        if record.mapping.collect is not None:
            self._forget_results(number)
        stream = self.journal.stream
        if record.items is not None and not stream.is_sealed:
            stream.maps_gone.append(record.items)

    def _forget_results(self, number: int) -> None:
        for key in [key for key in self.results if key[0] == number]:
            del self.results[key]
            self.journal.touch("y", *key)

    def reopen(self, invocation: Invocation) -> MapInvocation | None:
        """Return the map that an invocation had open before a crash.

        A map over a lazy source cannot be reopened: its function is called again, and
        ``open`` finds the map.
        """
        number = invocation.message.id
        record = self.reopened[number]
        source = source_of(self.journal, record)
        if source is None:
            return None
        del self.reopened[number]
        record.mapping.adopt(invocation, None)
        record.mapping.source = source
        return record.mapping


def load_item(journal: RunJournal, worker: str, value: JsonValue) -> object:
    """Return a map item from its stored form."""
    return journal.stream.codec.load_item(journal.run_state.plan, worker, value)


def source_of(journal: RunJournal, record: MapRecord) -> Iterator[object] | None:
    """Return a reopened map's items without a worker; None for a lazy source."""
    taken = record.mapping.item_count
    if record.range is not None:
        return iter(range(*record.range)[taken:])
    if record.items is None:
        return None
    assert journal.saved is not None
    values = journal.saved.items[record.items][taken:]
    return (load_item(journal, record.mapping.worker, value) for value in values)
