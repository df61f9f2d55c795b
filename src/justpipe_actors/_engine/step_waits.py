"""Calls by which a step waits inside its function: questions, moments and kept results.

While a step waits it releases its ``concurrency=`` slot, its timeout is paused, and its
run may be parked or released, because no user code is at work.  ``run_waits`` has the
waits of a run, also those between two steps.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from math import inf
from typing import Any

import anyio

from .._util.forms import Form, form_of
from .._util.lazy_classes import define
from ..errors import AskTimeout, DuplicateKey
from ..meta import current_step_notes
from ..waiting import Duration, Waiting, not_in_a_step
from .invocation import Invocation
from .run_waits import RunWaits, Wait
from .wait_records import WaitRecord, origin_of


@define(eq=False, repr=False)
class StepWaits(Waiting):
    """Implements ``ask`` and its like for the steps of one run."""

    waits: RunWaits
    """The waits of the run."""

    async def ask(
        self, form: Any, note: str, key: str, seconds: Duration | None
    ) -> object:
        """Ask a question and return its answer."""
        invocation = self._waiting_invocation("ask")
        name = use_key(invocation, "ask", key)
        made = form_of(form)
        limit = seconds_of(seconds)
        record = self.waits.records.find_or_add(invocation, name)
        if record.answer is not None:
            return made.load(record.answer[0])
        if not record.is_late:
            wait, over, answers = self._new_wait(invocation, record, note, made)
            if record.due is None and limit is not None:
                record.due = self.waits.records.now() + limit
            await self._wait_in_step(invocation, wait, record, over)
            if answers:
                return answers[0]
        raise AskTimeout(record.id, limit or 0.0)

    async def sleep_until(self, moment: Duration | datetime, key: str) -> None:
        """Wait for a time or a duration."""
        invocation = self._waiting_invocation("sleep_until")
        name = use_key(invocation, "sleep_until", key)
        seconds = seconds_until(moment, self.waits.records.now())
        record = self.waits.records.find_or_add(invocation, name)
        if record.is_late:
            return
        if record.due is None:
            record.due = self.waits.records.now() + seconds
        wait, over, _answers = self._new_wait(invocation, record, "", None)
        await self._wait_in_step(invocation, wait, record, over)

    async def once(self, key: str, call: Callable[[], object], func: Any) -> object:
        """Return the result of a call, or its recorded result."""
        invocation = self.invocation("once")
        name = use_key(invocation, "once", key)
        kept = self.waits.records.kept_result(invocation, name, func)
        if kept is not None:
            return kept[0]
        value = call()
        if inspect.isawaitable(value):
            value = await value
        await self.waits.records.keep_result(invocation, name, func, value)
        return value

    def idempotency_key(self, key: str) -> str:
        """Return a text that identifies this call of this invocation."""
        invocation = self.invocation("idempotency_key")
        prefix = "" if invocation.notes.open else "handler:"
        run_id = self.waits.records.keys_of or self.waits.run_state.run_id
        return f"{run_id}:{origin_of(invocation)}:{prefix}{key}"

    def invocation(self, name: str) -> Invocation:
        """Return the current invocation.

        Raises:
            RuntimeError: the caller is not in an invocation of this run.
        """
        notes = current_step_notes.get(None)
        if notes is not None:
            for one in self.waits.run_state.active_invocations:
                if one.notes is notes:
                    return one
        raise not_in_a_step(name)

    def _waiting_invocation(self, name: str) -> Invocation:
        """Return the current invocation, which is about to wait on the event loop.

        Raises:
            RuntimeError: there is none, or its function runs in a thread or elsewhere.
        """
        invocation = self.invocation(name)
        if invocation.node.placement is not None and invocation.notes.open:
            msg = (
                f"{name}() cannot wait in step '{invocation.node.name}', whose function "
                "runs in a thread or a process. Return Ask(...) from it, or ask in a "
                "step of its own."
            )
            raise RuntimeError(msg)
        return invocation

    def _new_wait(
        self, invocation: Invocation, record: WaitRecord, note: str, form: Form | None
    ) -> tuple[Wait, anyio.Event, list[Any]]:
        answers: list[Any] = []
        over = anyio.Event()

        def answered(value: Any) -> None:
            answers.append(value)
            timed_out()

        def timed_out() -> None:
            invocation.is_resting = False
            over.set()

        node, ids = invocation.node, invocation.ids
        wait = Wait(
            record.id, self.waits.run_state, node, ids, answered, timed_out, note, form
        )
        return wait, over, answers

    async def _wait_in_step(
        self,
        invocation: Invocation,
        wait: Wait,
        record: WaitRecord,
        over: anyio.Event,
    ) -> None:
        """Wait in a step; release its slot and pause its timeout meanwhile."""
        is_known = self.waits.records.open(wait, record)
        try:
            self.waits.open(wait, record)
            if not is_known:
                await self.waits.records.wait_stored()
            self.waits.announce(wait)
            with resting(invocation):
                if over.is_set():  # the answer had come before the question
                    invocation.is_resting = False
                self.waits.look_soon()
                await wait_without_slot(invocation, over)
        except BaseException:
            if not self.waits.is_withdrawn(wait):
                self.waits.records.withdraw(record)
            raise
        finally:
            self.waits.close(wait)


def use_key(invocation: Invocation, function: str, key: str) -> str:
    """Register the key of a function call; return the key's full name.

    Raises:
        DuplicateKey: the invocation has used the key before.
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
    """Return a duration in seconds; None if there is none."""
    if isinstance(timeout, timedelta):
        return timeout.total_seconds()
    return timeout


def seconds_until(moment: Duration | datetime, now: float) -> float:
    """Return the seconds from ``now`` until a time.

    Raises:
        ValueError: the time has no time zone.
    """
    if isinstance(moment, datetime):
        if moment.utcoffset() is None:
            msg = f"sleep_until needs a time zone, {moment.isoformat()} has none."
            raise ValueError(msg)
        return max(moment.timestamp() - now, 0.0)
    return max(seconds_of(moment) or 0.0, 0.0)


@contextmanager
def resting(invocation: Invocation) -> Generator[None]:
    """Pause the step's timeout, and mark that no user code is running."""
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
    """Wait without the step's slot; queue for a slot afterwards."""
    actor = invocation.actor
    actor.release_slot()
    try:
        await over.wait()
    except BaseException:
        actor.busy += 1  # its cleanup does not queue for a slot
        raise
    await actor.reacquire_slot()
