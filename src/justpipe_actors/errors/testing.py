"""Errors that the testing tools raise about a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .base import Factual


class TrialError(Factual, Exception):
    """A tool of ``justpipe_actors.testing`` has found something."""

    if TYPE_CHECKING:

        def __init__(self, *args: object) -> None: ...


class UnansweredAsk(TrialError, AssertionError):
    """A pipe in a test asked a question that the test has no answer to."""

    ask: str
    answers: str

    def message(self) -> str:
        return (
            f"The pipe asks '{self.ask}', and the test answers: {self.answers}. "
            f"Pass run(..., answers={{'{self.ask}': ...}})."
        )


class Deadlock(TrialError):
    """Under virtual time: every task waits, and no timer will wake one."""

    report: str

    def message(self) -> str:
        return f"{self.report}\nDo what is waited for in another task, or wait with a timeout."


class ScheduleFailure(TrialError, AssertionError):
    """A pipeline's check failed under one schedule, and not under the plain one.

    ``choices`` is the schedule: what happened at each failpoint, to be replayed.
    """

    problem: str
    choices: Sequence[int]
    report: str

    def message(self) -> str:
        return (
            f"{self.problem}\n{self.report}\n"
            f"Replay it with replay(..., choices={list(self.choices)!r})."
        )


class CrashFailure(TrialError, AssertionError):
    """A durable run that died after a commit ended otherwise than without a crash."""

    problem: str
    commit: int

    def message(self) -> str:
        return (
            f"When the process dies after transaction {self.commit}, {self.problem}. "
            "A step that was running had changed the state before its last await, or "
            "added to it: change it afterwards, by assignment, or with once(); or use "
            "Pipe(state_mode='isolated')."
        )


class CleanupFailure(TrialError, AssertionError):
    """A run that was stopped at one step of its scheduler did not end as it should."""

    problem: str
    how: str
    step: int

    def message(self) -> str:
        return (
            f"{self.problem}\nIt was stopped by {self.how!r} at step {self.step} of its scheduler. "
            f"Look at it alone with cancel_everywhere(..., how=[{self.how!r}], "
            f"steps=[{self.step}])."
        )
