"""Questions and timed waits of a run, inside a step and between two steps.

A wait is data: an id, a form, a due time, and callbacks for its end.  Inside a step the
invocation is suspended, see ``step_waits``.  Between two steps no invocation exists, and
the run has a ``Continuation``.  A record of each wait is kept in ``wait_records``, so
that a step which begins again finds the answers that it had.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from .._plan.step_results import AskBetween
from .._publishing.invocation_ids import InvocationIds
from .._util.forms import Form, Misfit, plain_of
from .._util.lazy_classes import define
from ..abc import OpenAsk, Signal
from ..errors import AnswerRejected, UnknownAsk
from ..events import EventType
from .continuations import Continuation, Fail
from .messages import Expire, Start
from .run_state import enclosing_runs
from .wait_records import Place, WaitRecord, WaitRecords, new_ask


if TYPE_CHECKING:
    from .._plan.plan import Node
    from .invocation import Invocation
    from .run_state import RunState
    from .timers import TimerHandle


@define(eq=False, repr=False)
class Wait:
    """One question or timed wait of a run."""

    id: str
    """The question's id."""
    run_state: RunState
    node: Node
    """The step that asks."""
    ids: InvocationIds
    """The ids of its events."""
    on_answer: Callable[[Any], None]
    """Called with the answer."""
    on_timeout: Callable[[], None]
    """Called when the due time has passed."""
    note: str = ""
    """Text of the question."""
    form: Form | None = None
    """Type of the answer; None for a timed wait, which takes no answer."""
    asked: float = 0.0
    """When it was asked, in seconds since the epoch."""
    due: float | None = None
    """Due time in seconds since the epoch; None waits without a limit."""
    problem: str | None = None
    """Why an earlier answer was rejected; None if none was."""
    within: tuple[str, ...] = ()
    """Ids of the runs that it belongs to, parents included."""
    is_over: bool = attrs.field(default=False, init=False)
    """Whether it was answered, withdrawn or has timed out."""
    timer: TimerHandle | None = attrs.field(default=None, init=False)
    """Its timer, if it has a due time."""

    @property
    def step(self) -> str:
        """Name of the step that asks."""
        return self.node.name

    def as_open_ask(self) -> OpenAsk:
        """Return the public view of this question."""
        assert self.form is not None
        return OpenAsk(
            id=self.id,
            run_id=self.run_state.run_id,
            pipe=self.run_state.plan.name,
            step=self.step,
            note=self.note,
            form=self.form.schema,
            asked_at=datetime.fromtimestamp(self.asked, UTC),
            due_at=None if self.due is None else datetime.fromtimestamp(self.due, UTC),
            problem=self.problem,
        )


@define(eq=False, repr=False)
class RunWaits:
    """The waits of one run."""

    run_state: RunState
    between: dict[Wait, Continuation] = attrs.field(factory=dict, init=False)
    """Waits between steps, and their continuations."""
    records: WaitRecords = attrs.field(
        default=attrs.Factory(
            lambda self: WaitRecords(self.run_state), takes_self=True
        ),
        init=False,
    )
    """Records of waits, which a restarted step reads."""
    open_waits: set[Wait] = attrs.field(factory=set, init=False)
    """Waits that are not closed."""
    _held_signals: set[int] = attrs.field(factory=set, init=False)

    # -- opening and closing

    def open(self, wait: Wait, record: WaitRecord) -> None:
        """Open a wait of the run."""
        system = self.run_state.system
        wait.asked, wait.due = record.asked, record.due
        wait.within = wait.within or enclosing_runs.get()
        system.waits[wait.id] = wait
        self.open_waits.add(wait)
        self._arm(wait)

    def _arm(self, wait: Wait) -> None:
        if wait.due is None:
            return
        system = self.run_state.system
        left = (
            wait.due - self.records.now()
        )  # negative: what is overdue keeps its order
        wait.timer = system.timers.start(
            system.now() + left,
            partial(self._time_is_up, wait),
            run_id=self.run_state.run_id,
            name=wait.step,
        )

    def rearm(self) -> None:
        """Compute again what is left of each wait, because the clock has jumped."""
        for wait in [one for one in self.open_waits if not one.is_over]:
            if wait.timer is not None:
                self.run_state.system.timers.stop(wait.timer)
            self._arm(wait)

    def _publish_ask(self, wait: Wait) -> None:
        if wait.form is None:
            return
        due = None if wait.due is None else datetime.fromtimestamp(wait.due, UTC)
        payload = {
            "ask": wait.id,
            "note": wait.note,
            "form": wait.form.schema,
            "due_at": None if due is None else due.isoformat(),
        }
        self.run_state.publisher.publish(
            EventType.ASK, wait.step, payload, wait.node.kind, wait.ids
        )

    def open_between(
        self, invocation: Invocation, question: AskBetween, fail: Fail
    ) -> None:
        """Wait for an answer without an invocation, and start the next step with it.

        Args:
            invocation: the invocation that returned the question.
            question: the question.
            fail: fails the step if no answer arrives in time and no timeout route exists.
        """
        record = self.records.find_or_add(invocation, question.key)
        if question.seconds is not None:
            record.due = self.records.now() + question.seconds
        record.question = question
        wave = self.run_state.wave_of(invocation.message)
        place = Place(invocation.node, invocation.ids, wave.number)
        record.place = place
        wait = self._wait_between(record, place, fail)
        wait.within = invocation.variables.get(enclosing_runs, ())
        self.look_soon()
        self.records.open(wait, record)
        self.open(wait, record)
        journal = self.run_state.journal
        if journal is None:
            self._publish_ask(wait)
        else:
            journal.stream.announce_stored(partial(self._publish_stored, wait))

    def _publish_stored(self, wait: Wait) -> None:
        if not wait.is_over:
            self.announce(wait)

    def _wait_between(self, record: WaitRecord, place: Place, fail: Fail) -> Wait:
        question = record.question
        assert question is not None
        between = Continuation(self.run_state, record, place, question, fail)
        between.hold()
        wait = Wait(
            record.id,
            self.run_state,
            place.node,
            place.ids,
            between.go_on,
            between.go_on_late,
            question.note,
            question.form,
        )
        self.between[wait] = between
        return wait

    def reopen(self, fail: Fail) -> None:
        """Reopen the recorded waits between steps."""
        for record in self.records.unanswered_between():
            assert record.place is not None
            wait = self._wait_between(record, record.place, fail)
            wait.within = enclosing_runs.get()
            is_known = self.records.open(wait, record)
            self.open(wait, record)
            journal = self.run_state.journal
            if is_known or journal is None:
                self._publish_stored(wait)
            else:  # a copied run: its questions get new ids
                journal.stream.announce_stored(partial(self._publish_stored, wait))

    @property
    def next_due(self) -> float | None:
        """Return the next due time, in seconds since the epoch; None if there is none."""
        return min((w.due for w in self.between if w.due is not None), default=None)

    def close(self, wait: Wait) -> None:
        """Close a wait."""
        wait.is_over = True
        system = self.run_state.system
        if system.waits.get(wait.id) is wait:
            del system.waits[wait.id]
        self.open_waits.discard(wait)
        self.between.pop(wait, None)
        if wait.timer is not None:
            system.timers.stop(wait.timer)

    def withdraw(self) -> None:
        """Withdraw all waits between steps, because the run must end."""
        for wait, between in list(self.between.items()):
            self.close(wait)
            self.records.withdraw(between.record)
            between.release()

    def _time_is_up(self, wait: Wait) -> None:
        if wait.is_over:
            return
        wait.is_over = True
        self._with_place(partial(self._expire, wait))

    def _expire(self, wait: Wait) -> None:
        if self.is_withdrawn(wait) or self._is_left_to_next_owner(wait):
            return
        self.close(wait)
        self.records.late(wait)
        self._guarded(wait.on_timeout)

    def _is_left_to_next_owner(self, wait: Wait) -> bool:
        """Return whether a wait between steps ends where the run is taken up again.

        The row that releases the run is under way, and has the time of the wait.
        """
        journal = self.run_state.journal
        return (
            journal is not None and journal.stream.is_releasing and wait in self.between
        )

    def is_withdrawn(self, wait: Wait) -> bool:
        """Return whether a wait is closed, so that its end has no effect any more."""
        return wait not in self.open_waits

    # -- the run's place

    def look_soon(self) -> None:
        """Check soon whether the run only waits and can give its place back."""
        if self.run_state.place is not None:
            self.run_state.place.look_soon()

    def _with_place(self, func: Callable[[], None]) -> None:
        """Call a function, when the run has its place again if it gave it back."""
        place = self.run_state.place
        if place is None or not place.is_given_back:
            func()
        else:
            place.resume(func)

    def _guarded(self, func: Callable[..., None], *args: object) -> None:
        """Call a continuation; a defect of the engine ends this run only."""
        try:
            func(*args)
        except Exception as error:  # noqa: BLE001
            self.run_state.crash(error)

    def answer(self, wait: Wait, value: object, by: str | None) -> None:
        """Answer a question.

        Args:
            wait: the question.
            value: JSON data, or a value of the form's type.
            by: name of the person or program that answers; None if unknown.

        Raises:
            UnknownAsk: it is a timed wait, or has ended.
            AnswerRejected: the value does not fit; the question stays open.
        """
        plain = plain_of(value)
        found = read_answer(wait, plain)
        wait.is_over = True
        self._with_place(partial(self._accept_answer, wait, plain, found, by))

    def _accept_answer(
        self, wait: Wait, plain: object, found: object, by: str | None
    ) -> None:
        if self.is_withdrawn(wait):
            return
        self.close(wait)
        self.records.answered(wait, plain)
        payload = {"ask": wait.id, "by": by}
        self.run_state.publisher.publish(
            EventType.ANSWER, wait.step, payload, wait.node.kind, wait.ids
        )
        self._guarded(wait.on_answer, found)

    def announce(self, wait: Wait) -> None:
        """Publish a question, or apply an answer that arrived before it was asked."""
        journal = self.run_state.journal
        if journal is not None and wait.id in journal.stream.answers:
            self.apply(wait, journal.stream.answers.pop(wait.id))
        if not wait.is_over:
            self._publish_ask(wait)

    def apply(self, wait: Wait, signal: Signal) -> None:
        """Apply an answer from the journal; an answer that does not fit reopens the wait."""
        place = self.run_state.place
        if place is None or not place.is_given_back:
            self._apply_now(wait, signal)
        elif signal.id not in self._held_signals:
            # The signal counts as consumed in the batch that has its effect.
            self._held_signals.add(signal.id)
            place.resume(partial(self._apply_now, wait, signal))

    def _apply_now(self, wait: Wait, signal: Signal) -> None:
        self._held_signals.discard(signal.id)
        if self.is_withdrawn(wait):
            return
        journal = self.run_state.journal
        assert journal is not None
        stream = journal.stream
        stream.consumed.append(signal.id)
        try:
            self.answer(wait, json.loads(signal.body or "null"), signal.by)
        except AnswerRejected as rejected:
            wait.problem = rejected.problem
            record = self.records.waits[wait.id]
            stream.asks.append(new_ask(wait, record, wait.problem))
        except UnknownAsk:
            pass
        stream.request()

    def finished(self, message: Start | Expire) -> None:
        """Delete an invocation's records, unless the invocation will be repeated."""
        journal = self.run_state.journal
        self.look_soon()
        if journal is not None and message.id in journal.failed.messages:
            return
        if isinstance(message, Start):
            self.records.finished(message.origin or message.id)


def read_answer(wait: Wait, plain: object) -> Any:
    """Return the typed answer from JSON data.

    Raises:
        UnknownAsk: it is a timed wait, or has ended.
        AnswerRejected: the data do not fit the form.
    """
    if wait.is_over or wait.form is None:
        raise UnknownAsk(wait.id)
    try:
        return wait.form.load(plain)
    except Misfit as misfit:
        raise AnswerRejected(wait.id, str(misfit)) from None
