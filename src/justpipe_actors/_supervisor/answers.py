"""The questions of a supervisor's runs, stored or not, and their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._engine.waiting import answer_ask, open_asks
from ..abc import OpenAsk


if TYPE_CHECKING:
    from .admission import ActiveRuns
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
    await durable.begin_answer(ask_id, value, by)
