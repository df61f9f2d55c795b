"""The journal of one durable run: entities, each with a key and a value.

A change of the engine *touches* the key of the changed entity.  A batch takes the value
of each touched key at that time, or None if the entity was deleted.  Reading the rows is
``dict.update``; no operation is replayed.

======================  ==============================================================
key                     value
======================  ==============================================================
``m/<id>``              a message: step, wave, ids; waiting and in flight alike
``e/<id>``              the expiry of a join, to be handled
``w/<n>``               a wave: steps started before, and its enclosing wave
``s/<n>/<step>``        the step has started in the wave
``d/<n>/<step>``        the step's gate and the reports of its routers
``t/<n>/<step>``        when the join has waited long enough
``f/<id>``              the map that the message's invocation has opened
``c/<id>``              the child run that it has begun, then how that ended
``c/<id>/...``          the entities of the child
``b/<id>``              a message whose invocation failed, see ``failed_work``
``v/<part>``            of a child: a part of its state
``a/<step>:<key>``      something that it waits for, see ``wait_records``
``o/<origin>/<key>``    a result that an invocation keeps
``q/<step>:<key>``      how many invocations have asked
``k``                   the run of its idempotency keys
``r``                   the suspended step that it continues after
``j/<k>``               a failure
``g``                   the joins that did not run
``n/...``               notes of ``meta.run``, see ``recorded_notes``
``x``                   counters, and the reason why the run must end
======================  ==============================================================

A message stays until the commit that finishes it, so receiving it needs no record; an
invocation that was in flight when its process died is delivered again under its own id.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import attrs

from .._plan.plan import NO_ITEM
from .._util.lazy_classes import define
from .._util.stored_state import StateChange, StateParts
from ..errors import NotStorable
from . import routing
from .batch_stream import BatchStream
from .child_state import ChildState, find_path
from .entity_values import (
    ChildRecord,
    dump_failure,
    number_of,
)
from .failed_work import FailedWork
from .journal_entities import (
    Key,
    dump_counters,
    dump_diagnostics,
    dump_entity,
    entity_keys,
)
from .journal_port import JsonValue
from .messages import Expire, Message, Start
from .recorded_maps import RecordedMaps
from .recorded_notes import RecordedNotes


if TYPE_CHECKING:
    from ..meta import RunNotes
    from .invocation import Invocation
    from .joins import Wave
    from .map_invocation import MapInvocation
    from .restore import ReopenedChild, SavedRun
    from .run_state import RunState
    from .wait_records import Place


@define(eq=False, repr=False)
class RunJournal:
    """The journal of one run; its children have their own in the same stream."""

    stream: BatchStream
    """Takes the batches."""
    run_state: RunState
    prefix: str = ""
    """Prefix of the keys; for a child, its entity key in its parent."""
    saved: SavedRun | None = None
    """Progress to restore; None starts the run at its roots."""
    child_state: ChildState | None = None
    """For a child, what is stored of its state."""
    is_restored: bool = attrs.field(default=False, init=False)
    """Whether the saved progress is restored."""
    live: dict[int, Message] = attrs.field(factory=dict, init=False)
    """Messages that are not finished, by number."""
    items: dict[int, JsonValue] = attrs.field(factory=dict, init=False)
    """Items of live messages that are not in a stored list."""
    maps: RecordedMaps = attrs.field(
        default=attrs.Factory(lambda self: RecordedMaps(self), takes_self=True),
        init=False,
    )
    """Open maps, and the results of their workers."""
    children: dict[int, ChildRecord] = attrs.field(factory=dict, init=False)
    """Children, by the message of their invocation."""
    reopened_children: dict[int, ReopenedChild] = attrs.field(factory=dict, init=False)
    """Children of a run that was taken up; they wait for their parent's invocation."""
    due: dict[tuple[str, int], float] = attrs.field(factory=dict, init=False)
    """Due times of joins, on the journal's clock."""
    suspended_at: str | None = attrs.field(default=None, init=False)
    """The step that suspended the run."""
    failed: FailedWork = attrs.field(factory=FailedWork, init=False)
    """The work that failed, for a retry."""
    version: str | None = attrs.field(default=None, init=False)
    """The version of the pipe, if the run was not submitted with this one."""
    is_changed: bool = attrs.field(default=False, init=False)
    """Whether another version of the pipe has stored the run's state."""
    notes: RecordedNotes | None = attrs.field(default=None, init=False)
    """The notes of the run."""
    touched: dict[Key, bool] = attrs.field(factory=dict, init=False)
    """Keys with a changed value since the last batch, in order.

    The value is True for an entity that no row has yet.
    """
    state_parts: StateParts | None = attrs.field(default=None, init=False)
    """The stored parts of the run's state; those of a child are in ``child_state``."""
    _stored: set[str] = attrs.field(factory=set, init=False)
    _gone: set[str] = attrs.field(factory=set, init=False)
    _failures: int = attrs.field(default=0, init=False)
    _diagnostics: JsonValue = attrs.field(default=None, init=False)
    _counters: JsonValue = attrs.field(default=None, init=False)

    @property
    def is_untouched(self) -> bool:
        """Whether the saved progress is not restored, so the run only has to end."""
        return self.saved is not None and not self.is_restored

    def adopt_notes(self, notes: RunNotes) -> None:
        """Record the notes of the run; those of before a crash are noted again."""
        self.notes = RecordedNotes(notes, self.stream.codec)
        if self.saved is not None:
            self.notes.restore(self.saved.notes)

    # -- changes reported by the engine

    def touch(self, *key: str | int) -> None:
        """Record the value of a key in the next batch."""
        if not self.stream.is_sealed:
            if self.failed.frozen is None:
                self.touched.setdefault(key, False)
            self.stream.request()

    def begin(self, *key: str | int) -> None:
        """Record a new entity in the next batch, unless it is deleted before that."""
        stream = self.stream
        if not stream.is_sealed:
            if self.failed.frozen is None:
                self.touched.setdefault(key, True)
            if not stream.is_requested:  # perf: mostly it is (bench: durable chain)
                stream.request()

    def delete(self, *key: str | int) -> None:
        """Record that an entity is gone; nothing if no row has it."""
        stream = self.stream
        if not stream.is_sealed:
            if self.failed.frozen is None and not self.touched.pop(key, False):
                self.touched[key] = False
            if not stream.is_requested:  # perf: as above
                stream.request()

    def send(self, message: Message) -> None:
        """Record a message, and deliver it when it is stored."""
        number = message.id
        self.live[number] = message
        if isinstance(message, Expire):
            self.begin("e", number)
        else:
            if message.item is not NO_ITEM:
                self._keep_item(message)
            self.begin("m", number)
        stream, run_state = self.stream, self.run_state
        if stream.holds or stream.is_releasing or stream.is_sealed or run_state.halted:
            stream.post(self, message)
        else:  # perf: ``post`` without its call, in group mode (bench: durable chain)
            routing.put(run_state, message)

    def _keep_item(self, message: Start) -> None:
        """Keep a message's item; a further attempt gets the stored form of the first.

        The function may have modified the item since.  Answers in messages are kept, too;
        the items of map workers are kept with their map.
        """
        if message.attempt == 1:
            if message.map_id is None:
                codec, plan = self.stream.codec, self.run_state.plan
                answer = codec.dump_item(plan, message.step, message.item)
                self.items[message.id] = [answer]
            return
        before = number_of(message.cause)
        if before in self.items:
            self.items[message.id] = self.items[before]

    def deliver(self, message: Message) -> None:
        """Put a message into its actor's inbox, or release its token."""
        run_state = self.run_state
        if self.stream.is_sealed or self.stream.is_releasing:
            run_state.release_token()  # it stays recorded, for the next owner
        elif run_state.halted and isinstance(message, Start) and message.map_id:
            routing.abandon_message(run_state, message)
        else:
            routing.put(run_state, message)

    def finished(self, message: Message) -> None:
        """Delete a finished message, and the map or child of its invocation.

        If the invocation failed, the entities that a retry needs are kept.
        """
        if self.stream.is_releasing:
            self.stream.check_rest()
        if self.failed.frozen is not None:
            return
        number = message.id
        self.stream.ended_steps[message.step] = None
        record = self.maps.records.get(number)
        notes = self.failed.failing.pop(number, None)
        if notes is None and record is not None and record.mapping.failed:
            goes_on = self.run_state.plan.on_failure == "continue"
            notes = {}
            if goes_on:
                notes["on"] = True
        if notes is not None:
            self._keep_failed(message, notes)
        self.live.pop(number, None)
        self.items.pop(number, None)
        self.delete("e" if isinstance(message, Expire) else "m", number)
        if record is not None and not record.is_kept and notes is None:
            self.maps.forget(number, record)
        if notes is None and (
            self.children or self.reopened_children or self.failed.children
        ):
            self._forget_children(number)

    def _forget_children(self, number: int) -> None:
        """Delete the child run of a finished invocation."""
        reopened = self.reopened_children.pop(number, None)
        if reopened is not None:
            self._gone |= reopened.saved.entities.keys()
        self._gone |= self.failed.children.pop(number, {}).keys()
        child = self.children.pop(number, None)
        if child is not None:
            self._forget_child(child)
            self.touch("c", number)

    def _forget_child(self, child: ChildRecord) -> None:
        journal, child.journal = child.journal, None
        if journal is not None:
            self.stream.members.remove(journal)
            self._gone |= journal.stored_keys()

    # -- failed work

    def note_failed(self, message: Message, notes: dict[str, JsonValue]) -> None:
        """Keep a message, whose invocation has failed, when it is finished.

        Args:
            message: the message.
            notes: further facts for a retry; ``on`` if its successors were started as
                if it had succeeded.
        """
        self.failed.failing[message.id] = notes

    def _keep_failed(self, message: Message, notes: dict[str, JsonValue]) -> None:
        number = message.id
        kind = "e" if isinstance(message, Expire) else "m"
        self.failed.messages[number] = {
            kind: dump_entity(self, (kind, number)),
            **notes,
        }
        self.failed.keep_waves(self.run_state, message.wave)
        self.touch("b", number)
        if isinstance(message, Start) and message.map_id is not None:
            record = self.maps.records.get(number_of(message.map_id) or 0)
            if record is not None:
                record.is_kept = True

    def note_failed_between(self, place: Place, notes: dict[str, JsonValue]) -> None:
        """Keep the step that asked a question which was not answered.

        Args:
            place: where the run would have continued.
            notes: as of ``note_failed``.
        """
        number = number_of(place.ids.invocation)
        if number is None or place.ids.scope or self.failed.frozen is not None:
            return
        value: JsonValue = {"s": place.node.name, "w": place.wave}
        self.failed.messages[number] = {"m": value, **notes}
        self.failed.keep_waves(self.run_state, place.wave)
        self.touch("b", number)

    def freeze(self) -> None:
        """Leave the entities as they are, because the run was interrupted.

        What is cancelled or dropped from now on stays recorded, for a retry.
        """
        if self.stream.is_sealed or self.is_untouched or self.failed.frozen is not None:
            return
        delta = self._collect_entities()
        self.failed.frozen_delta = delta
        self.failed.frozen = self._dump_entities()

    def waits_left(self) -> list[float] | None:
        """Return the due times of the run's waits if only waits are left, else None.

        A wait without a due time counts as infinity.  A join with a timer is a wait, and
        an invocation that waits for its child does not count as work.
        """
        run_state = self.run_state
        if self.is_untouched or run_state.halted or run_state.waits is None:
            between: list[float | None] = []
        else:
            between = [wait.due for wait in run_state.waits.between]
        children = 0
        for invocation in run_state.active_invocations:
            child = self.children.get(invocation.message.id)
            if child is None or child.journal is None:
                return None
            children += 1
        if run_state.tokens != len(between) + len(self.due) + children:
            return None
        return [inf if due is None else due for due in between] + (
            list(self.due.values()) if between else []
        )

    def count_queued(self) -> int | None:
        """Return the number of messages in inboxes and held ones; None if code runs."""
        run_state = self.run_state
        invocations = run_state.active_invocations
        if not all(invocation.is_resting for invocation in invocations):
            return None
        between = 0 if run_state.waits is None else len(run_state.waits.between)
        return run_state.tokens - len(invocations) - between - len(self.due)

    def take_back(self) -> None:
        """Release the tokens of queued messages; the messages stay recorded."""
        run_state = self.run_state
        for actor in list(run_state.actors.values()):
            for _ in actor.inbox.drop(run_state.run_id):
                run_state.release_token()

    def wave_closed(self, wave: Wave) -> None:
        """Delete the entities of a closed wave, unless failed work belongs to it."""
        if wave.number in self.failed.kept_waves:
            self.touch("w", wave.number)
            self.failed.closed[wave.number] = wave
            return
        self.delete("w", wave.number)
        for step in wave.started:
            self.delete("s", wave.number, step)
        for step in wave.entries:
            self.delete("d", wave.number, step)

    def armed(self, join: str, wave: int, due: float) -> None:
        """Record the due time of a join.

        Args:
            join: the join.
            wave: its wave.
            due: the due time, in seconds of the loop's clock.
        """
        if (join, wave) not in self.due:
            self.due[join, wave] = self.stream.wall_now() + due - self.stream.now()
        self.touch("t", wave, join)

    def disarmed(self, join: str, wave: int) -> None:
        """Delete the due time of a join."""
        self.due.pop((join, wave), None)
        self.touch("t", wave, join)

    def reopen(self, invocation: Invocation) -> MapInvocation | ReopenedChild | None:
        """Return the map or the child that an invocation had open before a crash."""
        number = invocation.message.id
        if number in self.maps.reopened:
            return self.maps.reopen(invocation)
        return self.reopened_children.get(number)

    # -- children

    def open_child(
        self, number: int, child: RunState, pipe: str, level: int, copied: object = None
    ) -> RunJournal:
        """Record a child run, and return its journal.

        Args:
            number: the message of the parent's invocation.
            child: the child run.
            pipe: the name of its pipe.
            level: number of error handlers that were called before it started.
            copied: the invocation's copy of this run's state; None if it has none.
        """
        self._gone |= self.failed.children.pop(number, {}).keys()
        reopened = self.reopened_children.pop(number, None)
        path = find_path(self.run_state.state, child.state)
        parent = None if path is None else (self.run_state, path)
        child_state = ChildState(child, self.stream.codec, parent)
        journal = RunJournal(
            self.stream,
            child,
            f"{self.prefix}c/{number}/",
            saved=None if reopened is None else reopened.saved,
            child_state=child_state,
        )
        journal.version = self.stream.version_of(child.plan) or None
        if reopened is not None:
            journal.adopt_stored(reopened)
        origin = None if reopened is None else reopened.origin
        if reopened is None and copied is not None:
            at = find_path(copied, child.state)
            if at is not None:
                origin = self.stream.codec.dump_state(self.run_state.plan, copied), at
        record = ChildRecord(pipe, path, level, origin, journal=journal)
        self.children[number] = record
        self.stream.members.append(journal)
        self.touch("c", number)
        return journal

    def close_child(self, number: int, outcome: JsonValue, *, has_failed: bool) -> None:
        """Record the outcome of a child; its entities stay only if it has failed."""
        record = self.children.get(number)
        if record is None or record.journal is None or self.stream.is_sealed:
            return
        if self.failed.frozen is not None:
            return
        record.outcome = outcome
        kept = record.journal.dump_last() if has_failed else {}
        self._forget_child(record)
        if kept:
            self._gone -= kept.keys()
            self.failed.children[number] = kept
            self.failed.new_children.add(number)
        self.touch("c", number)

    def dump_last(self) -> dict[str, JsonValue]:
        """Return a child's entities at its end; nothing if it cannot be taken up."""
        if self.is_untouched or not self.run_state.sent:
            return {}
        assert self.child_state is not None
        try:
            self.child_state.dump()
        except NotStorable:
            return {}
        self.child_state.take()
        return self.dump_all()

    def take_outcome(self, number: int) -> None:
        """Keep the entities of a child that had ended before its parent was taken up."""
        reopened = self.reopened_children.pop(number)
        if reopened.saved.entities:
            self.failed.children[number] = reopened.saved.entities

    def stored_keys(self) -> set[str]:
        """Return the keys of a child that are in the stored rows."""
        keys = self._stored | self._gone
        for reopened in self.reopened_children.values():
            keys |= reopened.saved.entities.keys()
        return keys

    def adopt_stored(self, reopened: ReopenedChild) -> None:
        """Adopt the stored keys and parts of a child that was taken up."""
        self._stored |= reopened.saved.entities.keys()
        assert self.child_state is not None
        self.child_state.adopt(reopened.saved.parts)

    def resume_state(self, value: JsonValue) -> None:
        """Continue the stored state of a run that was taken up."""
        codec = self.stream.codec.state_codec(self.run_state.plan)
        self.state_parts = StateParts(codec, verify=self.stream.verifies)
        self.state_parts.resume(value)

    # -- batches

    def collect(self) -> dict[str, JsonValue]:
        """Return the values of the touched keys, and clear them."""
        if self.is_untouched:
            return {}
        delta = self._collect_entities()
        self._collect_log(delta)
        if self.child_state is not None:
            for part, value in self.child_state.take().items():
                delta[f"{self.prefix}v/{part}"] = value
            gone = {key for key, value in delta.items() if value is None}
            self._stored |= delta.keys()
            self._stored -= gone
        return delta

    def _collect_entities(self) -> dict[str, JsonValue]:
        if self.failed.frozen is not None:
            frozen, self.failed.frozen_delta = self.failed.frozen_delta, {}
            return frozen
        touched, self.touched = self.touched, {}
        delta: dict[str, JsonValue] = {}
        delta.update(dict.fromkeys(self._gone))
        self._gone.clear()
        for entity in touched:
            delta[self._text(entity)] = dump_entity(self, entity)
        for number in self.failed.new_children:
            delta.update(self.failed.children.get(number, {}))
        self.failed.new_children.clear()
        return delta

    def _collect_log(self, delta: dict[str, JsonValue]) -> None:
        """Add the entities that are compared, not touched: small or append-only ones."""
        failures = self.run_state.failures.failures
        for number in range(self._failures, len(failures)):
            delta[f"{self.prefix}j/{number}"] = dump_failure(failures[number])
        self._failures = len(failures)
        diagnostics = dump_diagnostics(self.run_state)
        if diagnostics != self._diagnostics:
            self._diagnostics = delta[f"{self.prefix}g"] = diagnostics
        counters = dump_counters(self)
        if counters != self._counters:
            self._counters = delta[f"{self.prefix}x"] = counters
        if self.notes is not None:
            for key, value in self.notes.collect().items():
                delta[f"{self.prefix}{key}"] = value

    def dump_all(self) -> dict[str, JsonValue]:
        """Return the values of all keys."""
        if self.is_untouched:
            assert self.saved is not None
            return dict(self.saved.entities)
        whole = self._dump_entities()
        for number, failure in enumerate(self.run_state.failures.failures):
            whole[f"{self.prefix}j/{number}"] = dump_failure(failure)
        if (diagnostics := dump_diagnostics(self.run_state)) is not None:
            whole[f"{self.prefix}g"] = diagnostics
        whole[f"{self.prefix}x"] = dump_counters(self)
        if self.notes is not None:
            for key, value in self.notes.dump().items():
                whole[f"{self.prefix}{key}"] = value
        if self.child_state is not None:
            for part, value in self.child_state.stored_parts():
                whole[f"{self.prefix}v/{part}"] = [value]
        return whole

    def _dump_entities(self) -> dict[str, JsonValue]:
        """Return the values of the keys that are touched when they change."""
        if self.failed.frozen is not None:
            return dict(self.failed.frozen)
        keys = entity_keys(self)
        whole = {self._text(key): dump_entity(self, key) for key in keys}
        for reopened in self.reopened_children.values():
            whole.update(reopened.saved.entities)
        for kept in self.failed.children.values():
            whole.update(kept)
        return {key: value for key, value in whole.items() if value is not None}

    def _text(self, key: Key) -> str:
        return self.prefix + "/".join(map(str, key))

    # -- the state

    def take_state(self, *, is_whole: bool) -> StateChange | None:
        """Return a copy of the changed parts of the run's state; None if unchanged.

        Raises:
            NotStorable: a part cannot be stored.
        """
        parts = self.state_parts
        if parts is None:
            codec = self.stream.codec.state_codec(self.run_state.plan)
            parts = self.state_parts = StateParts(codec, verify=self.stream.verifies)
        state = self.run_state.state
        change = parts.take_all(state) if is_whole else parts.take(state)
        return change or None
