"""Questions and moments that a run waits for: inside a step, and between two.

A wait is data: an id, a form, a due moment, and what happens when it is over.  In a step
the invocation stands still; between two steps nothing stands, and the wait holds a token
of the run and keeps its wave alive, as a message would.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from .._plan.plan import NO_ITEM
from .._plan.step_results import AskBetween
from .._util.forms import Form, Misfit, form_of, plain_of
from ..abc import OpenAsk, Signal
from ..errors import AnswerRejected, AskTimeout, DuplicateKey, UnknownAsk
from ..events import EventType, NodeKind
from ..meta import current_step_notes
from ..waiting import Duration, not_in_a_step
from . import routing
from .joins import Report, Wave
from .messages import Expire, Start
from .protocols import InvocationIds
from .wait_records import Place, WaitRecord, WaitRecords, new_ask, origin_of


if TYPE_CHECKING:
    from .actor_system import ActorSystem
    from .invocation import Invocation
    from .run_state import RunState
    from .timers import TimerHandle


enclosing_runs: ContextVar[tuple[str, ...]] = ContextVar(
    "justpipe_actors_inside_runs", default=()
)
"""The runs on whose behalf code is running, parents included."""


@attrs.define(eq=False, repr=False)
class Wait:
    """One thing that a run waits for."""

    id: str
    """The question's id."""
    run_state: RunState
    """The run."""
    step: str
    """The step that asks."""
    kind: NodeKind
    """The kind of that step."""
    ids: InvocationIds
    """The ids of its events."""
    on_answer: Callable[[Any], None]
    """Told the answer."""
    on_timeout: Callable[[], None]
    """Told that it is too late."""
    note: str = ""
    """What the asked person reads."""
    form: Form | None = None
    """What the answer must look like; None for a moment, which nobody answers."""
    asked: float = 0.0
    """When it was asked, in seconds since the epoch."""
    due: float | None = None
    """When it is too late, in seconds since the epoch."""
    problem: str | None = None
    """Why an earlier answer was not taken."""
    within: tuple[str, ...] = ()
    """The runs on whose behalf it waits, parents included."""
    is_over: bool = attrs.field(default=False, init=False)
    """Whether it was answered, withdrawn or is too late."""
    timer: TimerHandle | None = attrs.field(default=None, init=False)
    """Its timer, if it has a due moment."""

    def as_open_ask(self) -> OpenAsk:
        """Return it as it is shown to people."""
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


@attrs.define(eq=False, repr=False)
class RunWaits:
    """What one run waits for, and how its steps ask for it."""

    run_state: RunState
    """The run."""
    between: dict[Wait, Continuation] = attrs.field(factory=dict, init=False)
    """What it waits for between steps, and what comes after."""
    records: WaitRecords = attrs.field(
        default=attrs.Factory(
            lambda self: WaitRecords(self.run_state), takes_self=True
        ),
        init=False,
    )
    """What is kept of waits, so that a step that begins again finds it."""

    # -- what steps call: ``waiting.Waiting``

    async def ask(
        self, form: Any, note: str, key: str, seconds: Duration | None
    ) -> object:
        """Ask a question and return its answer."""
        invocation = self.invocation("ask")
        name = use_key(invocation, "ask", key)
        made = form_of(form)
        limit = seconds_of(seconds)
        record = self.records.find_or_add(invocation, name)
        if record.answer is not None:
            return made.load(record.answer[0])
        if not record.is_late:
            wait, over, answers = self._new_wait(invocation, record, note, made)
            if record.due is None and limit is not None:
                record.due = self.records.now() + limit
            await self._wait_in_step(invocation, wait, record, over)
            if answers:
                return answers[0]
        raise AskTimeout(record.id, limit or 0.0)

    async def sleep_until(self, moment: Duration | datetime, key: str) -> None:
        """Wait for a moment."""
        invocation = self.invocation("sleep_until")
        name = use_key(invocation, "sleep_until", key)
        seconds = seconds_until(moment, self.records.now())
        record = self.records.find_or_add(invocation, name)
        if record.is_late:
            return
        if record.due is None:
            record.due = self.records.now() + seconds
        wait, over, _answers = self._new_wait(invocation, record, "", None)
        await self._wait_in_step(invocation, wait, record, over)

    async def once(self, key: str, call: Callable[[], object], func: Any) -> object:
        """Return what a call returns, or what it returned before."""
        invocation = self.invocation("once")
        name = use_key(invocation, "once", key)
        kept = self.records.kept_result(invocation, name, func)
        if kept is not None:
            return kept[0]
        value = call()
        if inspect.isawaitable(value):
            value = await value
        await self.records.keep_result(invocation, name, func, value)
        return value

    def idempotency_key(self, key: str) -> str:
        """Return a text that names this call of this invocation."""
        invocation = self.invocation("idempotency_key")
        prefix = "" if invocation.notes.open else "handler:"
        run_id = self.records.keys_of or self.run_state.run_id
        return f"{run_id}:{origin_of(invocation)}:{prefix}{key}"

    def invocation(self, name: str) -> Invocation:
        """Return the invocation that calls.

        Raises:
            RuntimeError: none does.
        """
        notes = current_step_notes.get(None)
        if notes is not None:
            for one in self.run_state.active_invocations:
                if one.notes is notes:
                    return one
        raise not_in_a_step(name)

    def _new_wait(
        self, invocation: Invocation, record: WaitRecord, note: str, form: Form | None
    ) -> tuple[Wait, anyio.Event, list[Any]]:
        answers: list[Any] = []
        over = anyio.Event()

        def answered(value: Any) -> None:
            answers.append(value)
            over.set()

        wait = Wait(
            id=record.id,
            run_state=self.run_state,
            step=invocation.node.name,
            kind=invocation.node.kind,
            ids=invocation.ids,
            on_answer=answered,
            on_timeout=over.set,
            note=note,
            form=form,
        )
        return wait, over, answers

    async def _wait_in_step(
        self,
        invocation: Invocation,
        wait: Wait,
        record: WaitRecord,
        over: anyio.Event,
    ) -> None:
        """Stand still in a step; others may have its slot, and its timeout stands still."""
        is_known = self.records.open(wait, record)
        try:
            self._open(wait, record)
            if not is_known:
                await self.records.wait_stored()
            self._announce(wait)
            with standing_still(invocation):
                await wait_without_slot(invocation, over)
        except BaseException:
            if not wait.is_over:
                self.records.withdraw(record)
            raise
        finally:
            self.close(wait)

    # -- opening and closing

    def _open(self, wait: Wait, record: WaitRecord) -> None:
        """Let the run wait for something from now on."""
        system = self.run_state.system
        wait.asked, wait.due = record.asked, record.due
        wait.within = wait.within or enclosing_runs.get()
        system.waits[wait.id] = wait
        if record.due is not None:
            left = record.due - self.records.now()
            wait.timer = system.timers.start(
                system.now() + max(left, 0.0),
                partial(self._time_is_up, wait),
                run_id=self.run_state.run_id,
                name=wait.step,
            )

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
            EventType.ASK, wait.step, payload, wait.kind, wait.ids
        )

    def open_between(
        self, invocation: Invocation, question: AskBetween, fail: Fail
    ) -> None:
        """Wait for an answer, and start the next step with it; nothing is at work.

        Args:
            invocation: the one that has returned the question.
            question: what it asks.
            fail: fails the step when there is no answer in time and no other way.
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
        self.records.open(wait, record)
        self._open(wait, record)
        journal = self.run_state.journal
        if journal is None:
            self._publish_ask(wait)
        else:
            journal.stream.announce_stored(partial(self._publish_stored, wait))

    def _publish_stored(self, wait: Wait) -> None:
        if not wait.is_over:
            self._announce(wait)

    def _wait_between(self, record: WaitRecord, place: Place, fail: Fail) -> Wait:
        question = record.question
        assert question is not None
        between = Continuation(self.run_state, record, place, question, fail)
        between.hold()
        wait = Wait(
            id=record.id,
            run_state=self.run_state,
            step=place.node.name,
            kind=place.node.kind,
            ids=place.ids,
            on_answer=between.go_on,
            on_timeout=between.go_on_late,
            note=question.note,
            form=question.form,
        )
        self.between[wait] = between
        return wait

    def reopen(self, fail: Fail) -> None:
        """Wait again for what the run waited for between steps when it was recorded."""
        for record in self.records.unanswered_between():
            assert record.place is not None
            wait = self._wait_between(record, record.place, fail)
            wait.within = enclosing_runs.get()
            is_known = self.records.open(wait, record)
            self._open(wait, record)
            journal = self.run_state.journal
            if is_known or journal is None:
                self._publish_stored(wait)
            else:  # the run is a copy, whose questions have ids of their own
                journal.stream.announce_stored(partial(self._publish_stored, wait))

    @property
    def next_due(self) -> float | None:
        """When the run goes on without an answer, in seconds since the epoch."""
        return min((w.due for w in self.between if w.due is not None), default=None)

    def close(self, wait: Wait) -> None:
        """Wait no longer."""
        wait.is_over = True
        system = self.run_state.system
        if system.waits.get(wait.id) is wait:
            del system.waits[wait.id]
        self.between.pop(wait, None)
        if wait.timer is not None:
            system.timers.stop(wait.timer)

    def withdraw(self) -> None:
        """Give up what is waited for between steps: the run is to end."""
        for wait, between in list(self.between.items()):
            self.close(wait)
            self.records.withdraw(between.record)
            between.let_go()

    def _time_is_up(self, wait: Wait) -> None:
        if not wait.is_over:
            self.close(wait)
            self.records.late(wait)
            self._guarded(wait.on_timeout)

    def _guarded(self, func: Callable[..., None], *args: object) -> None:
        """Call what goes on with the run; a defect of the engine ends this run only."""
        try:
            func(*args)
        except Exception as error:  # noqa: BLE001
            self.run_state.crash(error)

    def answer(self, wait: Wait, value: object, by: str | None) -> None:
        """Answer a question.

        Args:
            wait: the question.
            value: the answer: JSON data, or a value of the form's type.
            by: name of the person or program that answers.

        Raises:
            UnknownAsk: it is a moment, or over.
            AnswerRejected: the value does not fit; the question stays open.
        """
        plain = plain_of(value)
        found = read_answer(wait, plain)
        self.close(wait)
        self.records.answered(wait, plain)
        payload = {"ask": wait.id, "by": by}
        self.run_state.publisher.publish(
            EventType.ANSWER, wait.step, payload, wait.kind, wait.ids
        )
        self._guarded(wait.on_answer, found)

    def _announce(self, wait: Wait) -> None:
        """Ask a question, or answer it with what came before it was asked again."""
        journal = self.run_state.journal
        if journal is not None and wait.id in journal.stream.answers:
            self.apply(wait, journal.stream.answers.pop(wait.id))
        if not wait.is_over:
            self._publish_ask(wait)

    def apply(self, wait: Wait, signal: Signal) -> None:
        """Answer a question with an answer from the journal; one that does not fit reopens it."""
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
        """Forget what was kept for an invocation, unless a further attempt follows."""
        if isinstance(message, Start):
            self.records.finished(message.origin or message.id)


def read_answer(wait: Wait, plain: object) -> Any:
    """Return the value that JSON data stand for.

    Raises:
        UnknownAsk: the question is a moment, or over.
        AnswerRejected: they do not fit.
    """
    if wait.is_over or wait.form is None:
        raise UnknownAsk(wait.id)
    try:
        return wait.form.load(plain)
    except Misfit as misfit:
        raise AnswerRejected(wait.id, str(misfit)) from None


Fail = Callable[["RunState", "Place", Exception], None]
"""Records the failure of a step that has ended, and what follows from it."""


@attrs.define(eq=False, repr=False)
class Continuation:
    """What comes after a question between two steps; holds the run and its wave open."""

    run_state: RunState
    """The run."""
    record: WaitRecord
    """What is kept of it."""
    place: Place
    """Where the run goes on."""
    question: AskBetween
    """What was asked."""
    fail: Fail
    """Fails the step when there is no answer in time and no other way."""
    wave: Wave = attrs.field(init=False)
    """The pass through the graph it belongs to."""

    def hold(self) -> None:
        """Count as a message that is not finished."""
        self.wave = self.run_state.waves[self.place.wave]
        self.wave.live_count += 1
        self.run_state.acquire_token()

    def let_go(self) -> None:
        """Be finished."""
        holder = Start(self.run_state.run_id, self.place.node.name, self.wave.number)
        routing.finish_message(self.run_state, holder)

    def go_on(self, value: object) -> None:
        """Start what comes after the question, with the answer."""
        try:
            if self.run_state.halted:
                return
            if self.question.to is not None:
                self._start(self.question.to, value)
                return
            routing.report_to_successors(
                self.run_state,
                self.wave,
                self.place.node,
                Report.ARRIVED,
                cause=self.place.ids.invocation,
                item=value,
            )
        finally:
            self.let_go()

    def go_on_late(self) -> None:
        """Start what comes when there was no answer in time, or fail the step."""
        question = self.question
        if question.on_timeout is None and question.form is None:
            self.go_on(NO_ITEM)
            return
        try:
            if self.run_state.halted:
                return
            if question.on_timeout is not None:
                self._start(question.on_timeout, NO_ITEM)
                return
            error = AskTimeout(self.record.id, question.seconds or 0.0)
            self.fail(self.run_state, self.place, error)
        finally:
            self.let_go()

    def _start(self, target: str, value: object) -> None:
        node, cause = self.place.node, self.place.ids.invocation
        is_lap = routing.start_named_step(
            self.run_state,
            self.wave,
            node,
            target,
            cause=cause,
            scope=self.place.ids.scope,
            item=value,
        )
        if not is_lap and not node.is_leaf:
            routing.report_to_successors(
                self.run_state,
                self.wave,
                node,
                Report.ABSENT,
                chosen=target,
                cause=cause,
            )


def waits_of(run_state: RunState) -> RunWaits:
    """Return what a run waits for; made when it is asked for first."""
    if run_state.waits is None:
        run_state.waits = RunWaits(run_state)
    return run_state.waits


def open_asks(system: ActorSystem, run_id: str | None = None) -> list[OpenAsk]:
    """Return the questions that wait for an answer, the oldest first.

    Args:
        system: whose runs ask.
        run_id: only those of this run and of its children.
    """
    waits = [
        wait
        for wait in system.waits.values()
        if wait.form is not None and (run_id is None or _is_of(wait, run_id))
    ]
    return [wait.as_open_ask() for wait in sorted(waits, key=lambda one: one.asked)]


def _is_of(wait: Wait, run_id: str) -> bool:
    return run_id == wait.run_state.run_id or run_id in wait.within


def answer_ask(
    system: ActorSystem, ask_id: str, value: object, by: str | None = None
) -> None:
    """Answer a question by its id.

    Raises:
        UnknownAsk: no question of this id is open.
        AnswerRejected: the value does not fit; the question stays open.
    """
    wait = system.waits.get(ask_id)
    if wait is None:
        raise UnknownAsk(ask_id)
    waits_of(wait.run_state).answer(wait, value, by)


def apply_answer(root: RunState, signal: Signal) -> None:
    """Give a run, or one of its children, an answer from its journal.

    One for a question that is not asked yet, because its step begins again, waits for it.
    """
    assert root.journal is not None
    ask = signal.ask or ""
    wait = root.system.waits.get(ask)
    if wait is None:
        root.journal.stream.answers[ask] = signal
    else:
        waits_of(wait.run_state).apply(wait, signal)


# -- inside a step


def use_key(invocation: Invocation, function: str, key: str) -> str:
    """Note that a call of a function uses a key; return the key's full name.

    Raises:
        DuplicateKey: it has used it before.
    """
    name = key if invocation.notes.open else f"handler:{key}"
    call = (invocation.notes.tries, invocation.notes.open)
    if invocation.used_keys is None or invocation.used_keys[0] != call:
        invocation.used_keys = (call, set())
    used = invocation.used_keys[1]
    if name in used:
        raise DuplicateKey(invocation.node.name, function, key)
    used.add(name)
    return name


def seconds_of(timeout: Duration | None) -> float | None:
    """Return a length of time in seconds."""
    if isinstance(timeout, timedelta):
        return timeout.total_seconds()
    return timeout


def seconds_until(moment: Duration | datetime, now: float) -> float:
    """Return how long it is until a moment.

    Raises:
        ValueError: it has no time zone.
    """
    if isinstance(moment, datetime):
        if moment.utcoffset() is None:
            msg = f"sleep_until needs a time zone, {moment.isoformat()} has none."
            raise ValueError(msg)
        return max(moment.timestamp() - now, 0.0)
    return max(seconds_of(moment) or 0.0, 0.0)


@contextmanager
def standing_still(invocation: Invocation) -> Generator[None]:
    """Let the step's timeout stand still, and say that no code of the user's is at work."""
    limit, now = invocation.limit, invocation.run_state.system.now
    left = inf if limit is None else limit.deadline - now()
    if limit is not None:
        limit.deadline = inf
    invocation.is_resting = True
    journal = invocation.run_state.journal
    if journal is not None:
        journal.stream.check_rest()
    try:
        yield
    finally:
        invocation.is_resting = False
        if limit is not None:
            limit.deadline = now() + left


async def wait_without_slot(invocation: Invocation, over: anyio.Event) -> None:
    """Wait while others may have the step's slot; queue for it again afterwards."""
    actor = invocation.actor
    actor.release_slot()
    try:
        await over.wait()
    except BaseException:
        actor.busy += 1  # its cleanup waits in no line
        raise
    await actor.reacquire_slot()
