"""Open questions of an actor system, and answers to them by the question's id.

An answer comes from a caller in this process, or as a signal from the journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..abc import OpenAsk, Signal
from ..errors import UnknownAsk
from .run_state import waits_of


if TYPE_CHECKING:
    from .actor_system import ActorSystem
    from .run_state import RunState
    from .run_waits import Wait


def open_asks(system: ActorSystem | None, run_id: str | None = None) -> list[OpenAsk]:
    """Return the questions that wait for an answer, the oldest first.

    Args:
        system: the actor system of the runs; None before their first message.
        run_id: limits the result to this run and its children; None is all runs.
    """
    if system is None:
        return []
    waits = [
        wait
        for wait in system.waits.values()
        if wait.form is not None
        and not wait.is_over
        and (run_id is None or _is_of(wait, run_id))
    ]
    return [wait.as_open_ask() for wait in sorted(waits, key=lambda one: one.asked)]


def _is_of(wait: Wait, run_id: str) -> bool:
    return run_id == wait.run_state.run_id or run_id in wait.within


def answer_ask(
    system: ActorSystem | None, ask_id: str, value: object, by: str | None = None
) -> None:
    """Answer a question by its id.

    Raises:
        UnknownAsk: no question of this id is open.
        AnswerRejected: the value does not fit; the question stays open.
    """
    wait = None if system is None else system.waits.get(ask_id)
    if wait is None:
        raise UnknownAsk(ask_id)
    waits_of(wait.run_state).answer(wait, value, by)


def apply_answer(root: RunState, signal: Signal) -> None:
    """Apply an answer from the journal to a run or one of its children.

    An answer is kept if its question is not asked yet, because its step is restarted.
    """
    assert root.journal is not None
    ask = signal.ask or ""
    wait = root.system.waits.get(ask)
    if wait is None:
        root.journal.stream.answers[ask] = signal
    else:
        waits_of(wait.run_state).apply(wait, signal)
