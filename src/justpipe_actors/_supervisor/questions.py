"""The questions of a supervisor's runs, stored or not, and their answers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .._engine.answering import answer_ask, open_asks
from .._engine.run_waits import read_answer
from .._util.forms import plain_of
from ..abc import OpenAsk
from . import stored_runs
from .durable_stream import AnswerOnItsWay


if TYPE_CHECKING:
    from .active_runs import ActiveRuns
    from .durable_runs import DurableRuns


async def list_asks(
    active_runs: ActiveRuns, durable: DurableRuns | None, run_id: str | None
) -> list[OpenAsk]:
    """Return the open questions of runs at work here and of all stored runs."""
    system = active_runs.system
    kept_here = [
        one
        for one in open_asks(system, run_id)
        if system.waits[one.id].run_state.journal is None
    ]
    if durable is None:
        return kept_here
    stored = await durable.writer.call(durable.journal.asks, run_id)
    return sorted([*kept_here, *stored], key=lambda one: one.asked_at)


async def answer(
    active_runs: ActiveRuns,
    durable: DurableRuns | None,
    ask_id: str,
    value: object,
    by: str | None,
) -> None:
    """Answer a question of a run at work here or of a stored run.

    Raises:
        UnknownAsk: no question of this id is open.
        AnswerRejected: the value does not fit; the question stays open.
    """
    wait = active_runs.system.waits.get(ask_id)
    if durable is None or (wait is not None and wait.run_state.journal is None):
        answer_ask(active_runs.system, ask_id, value, by)
        return
    await begin_answer(durable, ask_id, value, by)


def begin_answer(
    durable: DurableRuns, ask_id: str, value: object, by: str | None = None
) -> AnswerOnItsWay:
    """Start storing an answer to a durable run; await the result to learn whether it was accepted.

    Raises:
        AnswerRejected: the run is at work here, and the value does not fit.
    """
    plain = plain_of(value)
    wait = durable.active_runs.system.waits.get(ask_id)
    if wait is not None:
        read_answer(wait, plain)
    pending = AnswerOnItsWay()

    def settle(error: Exception | None) -> None:
        pending.settle(error)
        durable.keeper.hurry()

    def job() -> None:
        error: Exception | None = None
        try:
            give = partial(stored_runs.answer, durable.journal, ask_id, plain, by)
            durable.writer.when_free(give)
        except Exception as caught:  # noqa: BLE001 - raised where it is awaited
            error = caught
        durable.writer.call_soon(partial(settle, error))

    durable.writer.post(job)
    return pending
