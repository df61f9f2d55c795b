"""Questions and moments that a run waits for: inside a step, and between two.

A wait is data: an id, a form, a due moment, and what happens when it is over.  In a step
the invocation stands still; between two steps nothing stands, and the wait holds a token
of the run and keeps its wave alive, as a message would.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from .._plan.plan import NO_ITEM
from .._plan.step_results import AskBetween, FailStep
from .._util.forms import Form, Misfit, form_of, plain_of
from ..abc import OpenAsk
from ..errors import AnswerRejected, AskTimeout, DuplicateKey, UnknownAsk
from ..events import EventType
from ..meta import current_step_notes
from ..waiting import Duration, not_in_a_step
from . import routing
from .joins import Report, Wave
from .messages import Start


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
    origin: int
    """Number of the first message of its invocation."""
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
    counts: dict[tuple[str, str], dict[int, int]] = attrs.field(
        factory=dict, init=False
    )
    """The place of each invocation among those that asked for a step and a key."""
    between: dict[Wait, Continuation] = attrs.field(factory=dict, init=False)
    """What it waits for between steps, and what comes after."""

    # -- what steps call: ``waiting.Waiting``

    async def ask(
        self, form: Any, note: str, key: str, seconds: Duration | None
    ) -> object:
        """Ask a question and return its answer."""
        invocation = self.invocation("ask")
        name = use_key(invocation, "ask", key)
        made = form_of(form)
        limit = seconds_of(seconds)
        answers: list[Any] = []
        over = anyio.Event()

        def answered(value: Any) -> None:
            answers.append(value)
            over.set()

        wait = Wait(
            id=self.ask_id(invocation.node.name, name, origin_of(invocation)),
            run_state=self.run_state,
            step=invocation.node.name,
            origin=origin_of(invocation),
            on_answer=answered,
            on_timeout=over.set,
            note=note,
            form=made,
        )
        self.open(wait, limit, invocation)
        await self._wait_in_step(invocation, wait, over)
        if answers:
            return answers[0]
        raise AskTimeout(wait.id, limit or 0.0)

    async def sleep_until(self, moment: Duration | datetime, key: str) -> None:
        """Wait for a moment."""
        invocation = self.invocation("sleep_until")
        name = use_key(invocation, "sleep_until", key)
        over = anyio.Event()
        wait = Wait(
            id=self.ask_id(invocation.node.name, name, origin_of(invocation)),
            run_state=self.run_state,
            step=invocation.node.name,
            origin=origin_of(invocation),
            on_answer=lambda _value: None,
            on_timeout=over.set,
        )
        self.open(wait, seconds_until(moment, self.wall_now()), invocation)
        await self._wait_in_step(invocation, wait, over)

    async def once(self, key: str, call: Callable[[], object], _func: Any) -> object:
        """Return what a call returns."""
        invocation = self.invocation("once")
        use_key(invocation, "once", key)
        value = call()
        return await value if inspect.isawaitable(value) else value

    def idempotency_key(self, key: str) -> str:
        """Return a text that names this call of this invocation."""
        invocation = self.invocation("idempotency_key")
        prefix = "" if invocation.notes.open else "handler:"
        return f"{self.run_state.run_id}:{origin_of(invocation)}:{prefix}{key}"

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

    # -- opening and closing

    def ask_id(self, step: str, key: str, origin: int) -> str:
        """Return a question's id: the same for the same invocation, step and key."""
        places = self.counts.setdefault((step, key), {})
        place = places.setdefault(origin, len(places) + 1)
        suffix = "" if place == 1 else f"#{place}"
        return f"{self.run_state.run_id}:{step}:{key}{suffix}"

    def wall_now(self) -> float:
        """Return the moment in seconds since the epoch, for people."""
        return datetime.now(UTC).timestamp()

    def open(self, wait: Wait, seconds: float | None, invocation: Invocation) -> None:
        """Let the run wait for something from now on."""
        system = self.run_state.system
        wait.asked = self.wall_now()
        wait.within = invocation.variables.get(enclosing_runs, ())
        wait.due = None if seconds is None else wait.asked + seconds
        system.waits[wait.id] = wait
        if seconds is not None:
            wait.timer = system.timers.start(
                system.now() + seconds,
                partial(self._time_is_up, wait),
                run_id=self.run_state.run_id,
                name=wait.step,
            )
        if wait.form is not None:
            self._publish_ask(wait, invocation)

    def _publish_ask(self, wait: Wait, invocation: Invocation) -> None:
        due = None if wait.due is None else datetime.fromtimestamp(wait.due, UTC)
        assert wait.form is not None
        payload = {
            "ask": wait.id,
            "note": wait.note,
            "form": wait.form.schema,
            "due_at": None if due is None else due.isoformat(),
        }
        self.run_state.publisher.publish(
            EventType.ASK, wait.step, payload, invocation.node.kind, invocation.ids
        )

    async def _wait_in_step(
        self, invocation: Invocation, wait: Wait, over: anyio.Event
    ) -> None:
        """Stand still in a step; others may have its slot, and its timeout stands still."""
        try:
            with standing_still(invocation):
                await wait_without_slot(invocation, over)
        finally:
            self.close(wait)

    def open_between(
        self, invocation: Invocation, question: AskBetween, fail: Fail
    ) -> None:
        """Wait for an answer, and start the next step with it; nothing is at work.

        Args:
            invocation: the one that has returned the question.
            question: what it asks.
            fail: fails the invocation when there is no answer in time and no other way.
        """
        step, origin = invocation.node.name, origin_of(invocation)
        between = Continuation(invocation, question, fail)
        between.hold()
        wait = Wait(
            id=self.ask_id(step, question.key, origin),
            run_state=self.run_state,
            step=step,
            origin=origin,
            on_answer=between.go_on,
            on_timeout=between.go_on_late,
            note=question.note,
            form=question.form,
        )
        between.ask_id = wait.id
        self.between[wait] = between
        self.open(wait, question.seconds, invocation)

    def close(self, wait: Wait) -> None:
        """Wait no longer."""
        wait.is_over = True
        system = self.run_state.system
        system.waits.pop(wait.id, None)
        self.between.pop(wait, None)
        if wait.timer is not None:
            system.timers.stop(wait.timer)

    def withdraw(self) -> None:
        """Give up what is waited for between steps: the run is to end."""
        for wait, between in list(self.between.items()):
            self.close(wait)
            between.let_go()

    def _time_is_up(self, wait: Wait) -> None:
        if not wait.is_over:
            self.close(wait)
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
        if wait.is_over or wait.form is None:
            raise UnknownAsk(wait.id)
        try:
            found = wait.form.load(plain_of(value))
        except Misfit as misfit:
            raise AnswerRejected(wait.id, str(misfit)) from None
        self.close(wait)
        payload = {"ask": wait.id, "by": by}
        self.run_state.publisher.publish(EventType.ANSWER, wait.step, payload)
        self._guarded(wait.on_answer, found)


Fail = Callable[["Invocation", FailStep], None]
"""Records the failure of an invocation and what follows from it."""


@attrs.define(eq=False, repr=False)
class Continuation:
    """What comes after a question between two steps; holds the run and its wave open."""

    invocation: Invocation
    """The invocation that has asked."""
    question: AskBetween
    """What it asks."""
    fail: Fail
    """Fails it when there is no answer in time and no other way."""
    ask_id: str = attrs.field(default="", init=False)
    """The question's id."""
    wave: Wave = attrs.field(init=False)
    """The pass through the graph it belongs to."""

    def hold(self) -> None:
        """Count as a message that is not finished."""
        run_state = self.invocation.run_state
        self.wave = run_state.wave_of(self.invocation.message)
        self.wave.live_count += 1
        run_state.acquire_token()

    def let_go(self) -> None:
        """Be finished."""
        run_state, step = self.invocation.run_state, self.invocation.node.name
        holder = Start(run_state.run_id, step, self.wave.number)
        routing.finish_message(run_state, holder)

    def go_on(self, value: object) -> None:
        """Start what comes after the question, with the answer."""
        run_state = self.invocation.run_state
        try:
            if run_state.halted:
                return
            if self.question.to is not None:
                self._start(self.question.to, value)
                return
            routing.report_to_successors(
                run_state,
                self.wave,
                self.invocation.node,
                Report.ARRIVED,
                cause=self.invocation.ids.invocation,
                item=value,
            )
        finally:
            self.let_go()

    def go_on_late(self) -> None:
        """Start what comes when there was no answer in time, or fail the step."""
        question, invocation = self.question, self.invocation
        if question.on_timeout is None and question.form is None:
            self.go_on(NO_ITEM)
            return
        try:
            if invocation.run_state.halted:
                return
            if question.on_timeout is not None:
                self._start(question.on_timeout, NO_ITEM)
                return
            error = AskTimeout(self.ask_id, question.seconds or 0.0)
            self.fail(invocation, FailStep(error))
        finally:
            self.let_go()

    def _start(self, target: str, value: object) -> None:
        invocation = self.invocation
        run_state, node = invocation.run_state, invocation.node
        is_lap = routing.start_named_step(
            run_state,
            self.wave,
            node,
            target,
            cause=invocation.ids.invocation,
            scope=invocation.ids.scope,
            item=value,
        )
        if not is_lap and not node.is_leaf:
            routing.report_to_successors(
                run_state,
                self.wave,
                node,
                Report.ABSENT,
                chosen=target,
                cause=invocation.ids.invocation,
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


# -- inside a step


def origin_of(invocation: Invocation) -> int:
    """Return the number of the first message of a logical invocation."""
    return invocation.message.origin or invocation.message.id


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
def standing_still(invocation: Invocation) -> Iterator[None]:
    """Let the step's timeout stand still, and say that no code of the user's is at work."""
    limit, now = invocation.limit, invocation.run_state.system.now
    left = inf if limit is None else limit.deadline - now()
    if limit is not None:
        limit.deadline = inf
    invocation.is_waiting = True
    try:
        yield
    finally:
        invocation.is_waiting = False
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
