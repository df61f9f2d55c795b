"""Errors of durable runs, and of questions and their answers."""

from __future__ import annotations

from collections.abc import Sequence

from .base import Factual
from .run import RunError, RunInterrupted


class NotStorable(Factual, TypeError):
    """A value of a durable run cannot be written down and read again."""

    path: str
    type: str
    reason: str = ""
    remedy: str = (
        "Keep live objects (clients, locks, files) in a @pipe.resource, and give "
        "the field an annotation that says which class it holds."
    )

    def message(self) -> str:
        why = self.reason or "it has no stored form"
        return f"{self.path} cannot be stored: a {self.type}, and {why}. {self.remedy}"


class DuplicateKey(RunError, ValueError):
    """One call of a step's function used a key twice."""

    step: str
    function: str
    key: str

    def message(self) -> str:
        return (
            f"Step '{self.step}' called {self.function} twice with the key '{self.key}'. "
            f"Number the keys in a loop: {self.function}(..., f'{self.key}-{{i}}')."
        )


class AskTimeout(RunError, TimeoutError):
    """A question was not answered in time."""

    ask: str
    seconds: float

    def message(self) -> str:
        return (
            f"'{self.ask}' was not answered within {self.seconds:g} s. "
            "Catch AskTimeout, or give the question more time with timeout=."
        )


class UnknownAsk(Factual, LookupError):
    """No question of this id is open."""

    ask: str

    def message(self) -> str:
        return (
            f"No question '{self.ask}' is open: it was answered, withdrawn or too late, or "
            "there never was one. 'justpipe-actors asks' lists the open ones."
        )


class AnswerRejected(Factual, ValueError):
    """An answer does not fit the form of its question, which stays open."""

    ask: str
    problem: str

    def message(self) -> str:
        return (
            f"The answer does not fit '{self.ask}': {self.problem}. "
            "The question is still open; its form says what fits."
        )


class RunReleased(RunInterrupted):
    """This process has released a durable run, which goes on elsewhere or later.

    Args:
        run_id: the run.
        reason: why it was released.
    """

    __match_args__ = ("run_id", "reason")  # pyright: ignore[reportAssignmentType]

    def __init__(self, run_id: str, reason: str) -> None:
        RunError.__init__(
            self,
            f"Run '{run_id}' was released: {reason}. It is kept in the journal and goes "
            "on when a supervisor with its pipe and this journal is open.",
        )
        self.run_id = run_id
        self.reason = reason


class RunStuck(RunError):
    """A durable run is not taken up again before ``redrive``."""

    run_id: str
    problem: str

    def message(self) -> str:
        problem = self.problem.rstrip(".")
        return (
            f"Run '{self.run_id}' is stuck: {problem}. Fix the cause, then continue it "
            f"with supervisor.redrive({self.run_id!r}) or 'justpipe-actors redrive {self.run_id}'."
        )


class MapSourceChanged(RunError):
    """The source of a map gave other items after a restart than before it."""

    step: str
    taken: int

    def message(self) -> str:
        return (
            f"The source of map '{self.step}' gave other items than before the restart, "
            f"among the first {self.taken}. Return a list, or let the source give the same "
            "items in the same order each time."
        )


class RunTimeout(RunError, TimeoutError):
    """A run took longer than its ``timeout=``."""

    seconds: float
    steps_at_work: Sequence[str] = ()
    run_id: str | None = None

    def message(self) -> str:
        run = "The run" if self.run_id is None else f"Run '{self.run_id}'"
        steps = ", ".join(f"'{step}'" for step in self.steps_at_work)
        at_work = f" At work were: {steps}." if steps else ""
        return (
            f"{run} took longer than its timeout of {self.seconds:g} s.{at_work} "
            "Raise timeout=, or find out what holds it with snapshot()."
        )


class RecordedError(Factual, Exception):
    """A failure from before a durable run was taken up again; only its text is left."""

    type_name: str
    text: str
    module: str = ""

    def message(self) -> str:
        return self.text
