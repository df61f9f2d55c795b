"""Records of a run's waits: answers, expired due times, results.

A step that restarts, because of ``Retry()`` or after a crash, reads the answers to its
earlier calls by the number of its invocation's first message and the key.  The records
are deleted when that invocation has ended.

In a durable run each of these is an entity of the run's journal:

======================  ==============================================================
key                     value
======================  ==============================================================
``a/<step>:<key>``      a wait: its invocation, due time and outcome
``o/<origin>/<key>``    a kept result
``q/<step>:<key>``      how many invocations have asked
``k``                   the run of its idempotency keys, if another one
======================  ==============================================================
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import attrs

from .._definition.injection import return_type_of
from .._plan.plan import Node
from .._plan.step_results import AskBetween
from .._publishing.invocation_ids import InvocationIds
from .._util.forms import Form, form_of
from .._util.lazy_classes import define, frozen
from ..abc import NewAsk
from ..errors import UnreadableDataError


if TYPE_CHECKING:
    from .invocation import Invocation
    from .journal_port import JsonValue
    from .run_state import RunState
    from .run_waits import Wait


@frozen(eq=False)
class Place:
    """Where a run continues after a question between two steps."""

    node: Node
    """The step that has asked."""
    ids: InvocationIds
    wave: int
    """The pass through the graph it belongs to."""


@define(eq=False, repr=False)
class WaitRecord:
    """The record of one wait."""

    id: str
    """The question's id."""
    origin: int
    """Number of the first message of the invocation that waits."""
    name: str
    """Step and key."""
    asked: float
    """When it was first asked, in seconds since the epoch."""
    due: float | None = None
    """Due time in seconds since the epoch; None waits without a limit."""
    answer: list[Any] | None = None
    """The answer as JSON data in a list of one item; None before it arrives."""
    is_late: bool = False
    """Whether its due time has passed."""
    question: AskBetween | None = None
    """For a wait between two steps: the question."""
    place: Place | None = None
    """For a wait between two steps: where the run continues."""


@define(eq=False, repr=False)
class WaitRecords:
    """The wait records of one run."""

    run_state: RunState
    waits: dict[str, WaitRecord] = attrs.field(factory=dict, init=False)
    """Waits of invocations that have not ended, and open ones between steps."""
    counts: dict[str, int] = attrs.field(factory=dict, init=False)
    """Number of invocations that have asked, by step and key."""
    results: dict[tuple[int, str], JsonValue] = attrs.field(factory=dict, init=False)
    """Kept results, by invocation and key."""
    keys_of: str | None = attrs.field(default=None, init=False)
    """Id of the run that its idempotency keys derive from; None is this run."""
    retried: set[int] = attrs.field(factory=set, init=False)
    """Invocations that have a further attempt."""

    def now(self) -> float:
        """Return the journal clock's time, in seconds since the epoch."""
        journal = self.run_state.journal
        if journal is None:
            return datetime.now(UTC).timestamp()
        return journal.stream.wall_now()

    # -- waits

    def find_or_add(self, invocation: Invocation, key: str) -> WaitRecord:
        """Return the record of a wait; its id is stable for the same invocation."""
        origin = origin_of(invocation)
        name = f"{invocation.node.name}:{key}"
        for record in self.waits.values():
            if record.origin == origin and record.name == name:
                return record
        place = self.counts[name] = self.counts.get(name, 0) + 1
        suffix = "" if place == 1 else f"#{place}"
        ask_id = f"{self.run_state.run_id}:{name}{suffix}"
        record = self.waits[ask_id] = WaitRecord(ask_id, origin, name, self.now())
        self._touch("q", name)
        return record

    def open(self, wait: Wait, record: WaitRecord) -> bool:
        """Record that a run waits; tell whether it was recorded before."""
        journal = self.run_state.journal
        if journal is None:
            return True
        saved = journal.saved
        is_ours = journal.stream.incarnation > 1  # else it is the run this one copies
        if is_ours and saved is not None and self._key(record.id) in saved.waits:
            return True
        self._touch("a", self._key(record.id))
        journal.stream.asks.append(new_ask(wait, record))
        return False

    async def wait_stored(self) -> None:
        """Wait until all records are stored, if the run is durable."""
        journal = self.run_state.journal
        if journal is not None:
            await journal.stream.wait_stored()

    def answered(self, wait: Wait, plain: Any) -> None:
        """Record an answer."""
        record = self.waits[wait.id]
        if record.question is None:
            record.answer = [plain]
        else:
            del self.waits[wait.id]
        self._gone(record)

    def late(self, wait: Wait) -> None:
        """Record that the due time has passed."""
        record = self.waits[wait.id]
        if record.question is None:
            record.is_late = True
        else:
            del self.waits[wait.id]
        self._gone(record)

    def withdraw(self, record: WaitRecord) -> None:
        """Delete the record of an abandoned wait; its id may be used again."""
        if self.waits.get(record.id) is record:
            journal = self.run_state.journal
            if journal is not None and journal.stream.is_releasing:
                return  # the next owner continues the wait
            record.due = None
            self._gone(record)

    def _gone(self, record: WaitRecord) -> None:
        self._touch("a", self._key(record.id))
        journal = self.run_state.journal
        if journal is not None and not journal.stream.is_sealed:
            journal.stream.asks_gone.append(record.id)

    def unanswered_between(self) -> list[WaitRecord]:
        """Return the open waits between steps, as they were restored."""
        return [one for one in self.waits.values() if one.place is not None]

    def finished(self, origin: int) -> None:
        """Delete an invocation's records, unless a further attempt follows."""
        if origin in self.retried:
            self.retried.discard(origin)
            return
        for record in [r for r in self.waits.values() if r.origin == origin]:
            if record.place is None:
                del self.waits[record.id]
                self._touch("a", self._key(record.id))
        for key in [key for key in self.results if key[0] == origin]:
            del self.results[key]
            self._touch("o", *key)

    # -- results

    def kept_result(
        self, invocation: Invocation, key: str, func: Any
    ) -> tuple[Any] | None:
        """Return a recorded result in a tuple; None if there is none."""
        journal = self.run_state.journal
        kept = self.results.get((origin_of(invocation), key))
        if journal is None or kept is None:
            return None
        plain = cast("list[JsonValue]", kept)[0]
        return (journal.stream.codec.load(plain, return_type_of(func), key),)

    async def keep_result(
        self, invocation: Invocation, key: str, func: Any, value: object
    ) -> None:
        """Record a result in a durable run; in ``sync`` mode, wait until it is stored.

        Raises:
            NotStorable: the result cannot be stored.
        """
        journal = self.run_state.journal
        if journal is None:
            return
        plain = journal.stream.codec.dump(value, return_type_of(func), f"once({key!r})")
        origin = origin_of(invocation)
        self.results[origin, key] = [plain]
        self._touch("o", origin, key)
        if journal.stream.holds:
            await journal.stream.wait_stored()

    # -- as entities

    def _touch(self, *key: str | int) -> None:
        if self.run_state.journal is not None:
            self.run_state.journal.touch(*key)

    def keys(self) -> list[tuple[str | int, ...]]:
        """Return the keys of all records."""
        keys: list[tuple[str | int, ...]] = [
            ("a", self._key(name)) for name in self.waits
        ]
        if self.keys_of is not None:
            keys.append(("k",))
        keys += [("q", name) for name in self.counts]
        keys += [("o", *key) for key in self.results]
        return keys

    def dump_wait(self, name: str) -> JsonValue:
        """Return a wait as a JSON value; None if it was deleted."""
        record = self.waits.get(f"{self.run_state.run_id}:{name}")
        return None if record is None else dump_wait(record)

    def restore(self, saved: Any) -> None:
        """Restore the records of a run that is taken up again."""
        self.counts.update(saved.asked)
        for (origin, key), value in saved.results.items():
            self.results[origin, key] = value
        self.keys_of = saved.keys_of
        for name, value in saved.waits.items():
            ask_id = f"{self.run_state.run_id}:{name}"
            self.waits[ask_id] = load_wait(self.run_state, ask_id, value)

    def _key(self, ask_id: str) -> str:
        """Return a wait's entity key, without the run id, which differs in copies."""
        return ask_id.removeprefix(f"{self.run_state.run_id}:")


def number_of(invocation_id: str | None) -> int | None:
    """Return the number in an invocation's id."""
    return None if invocation_id is None else int(invocation_id.rpartition(":")[2])


def origin_of(invocation: Invocation) -> int:
    """Return the number of the first message of a logical invocation."""
    return invocation.message.origin or invocation.message.id


def new_ask(wait: Wait, record: WaitRecord, problem: str | None = None) -> NewAsk:
    """Return the journal row by which other processes find a question."""
    form = None if wait.form is None else json.dumps(wait.form.schema)
    return NewAsk(
        id=wait.id,
        step=wait.step,
        note=wait.note,
        form=form,
        due=record.due,
        problem=problem,
    )


def dump_wait(record: WaitRecord) -> dict[str, Any]:
    """Return a wait as a JSON value."""
    value: dict[str, Any] = {
        "o": record.origin,
        "n": record.name,
        "at": record.asked,
        "due": record.due,
    }
    if record.answer is not None:
        value["v"] = record.answer
    if record.is_late:
        value["late"] = True
    question, place = record.question, record.place
    if question is not None and place is not None:
        value["q"] = {
            "note": question.note,
            "to": question.to,
            "seconds": question.seconds,
            "on": question.on_timeout,
            "key": question.key,
            "form": None if question.form is None else form_name(question.form),
        }
        value["p"] = {
            "step": place.node.name,
            "wave": place.wave,
            "ids": [
                number_of(place.ids.invocation),
                number_of(place.ids.parent),
                number_of(place.ids.owner),
                place.ids.attempt,
                list(place.ids.scope),
            ],
        }
    return value


def load_wait(run_state: RunState, name: str, value: dict[str, Any]) -> WaitRecord:
    """Return a wait from its JSON value."""
    record = WaitRecord(
        name,
        value["o"],
        value["n"],
        value["at"],
        value["due"],
        answer=value.get("v"),
        is_late=value.get("late", False),
    )
    if "q" in value:
        question, place = value["q"], value["p"]
        *numbers, attempt, scope = place["ids"]
        invocation, parent, owner = (
            None if one is None else f"{run_state.run_id}:{one}" for one in numbers
        )
        node = run_state.plan.nodes[place["step"]]
        ids = InvocationIds(invocation, parent, owner, attempt, tuple(scope))
        record.place = Place(node, ids, place["wave"])
        form = question["form"]
        record.question = AskBetween(
            None if form is None else find_form(run_state, form, question["to"], node),
            question["note"],
            question["to"],
            question["seconds"],
            question["on"],
            question["key"],
        )
    return record


def form_name(form: Form) -> str:
    """Return the name that ``find_form`` takes: the class's, or empty for other types."""
    hint = form.hint
    if isinstance(hint, type):
        return f"{hint.__module__}:{hint.__qualname__}"
    return ""


def find_form(run_state: RunState, name: str, to: str | None, node: Node) -> Form:
    """Return a form by its name, else by the next step's free parameter.

    Only classes of imported modules are found, because reading rows imports nothing.
    """
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type):
        return form_of(found)
    targets = (to,) if to is not None else node.to
    hints = [run_state.plan.item_types.get(one) for one in targets]
    hint = next((one for one in hints if one is not None), Any)
    try:
        return form_of(hint)
    except TypeError as error:
        kind = "form"
        raise UnreadableDataError(kind, str(error)) from error
