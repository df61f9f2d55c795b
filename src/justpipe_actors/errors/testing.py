"""What a test found out about a pipeline."""

from __future__ import annotations

from collections.abc import Sequence

from .base import Factual


class TrialError(Factual, Exception):
    """A tool of ``justpipe_actors.testing`` has found something."""


class Deadlock(TrialError):  # noqa: N818 - says what happened
    """Under virtual time: every task waits, and no timer will wake one."""

    __match_args__ = ("report",)

    def __init__(self, report: str) -> None:
        super().__init__(
            f"{report}\nLet somebody do what is waited for, or wait with a timeout."
        )
        self.report = report


class ScheduleFailure(TrialError, AssertionError):  # noqa: N818 - says what happened
    """A pipeline's check failed under one schedule, and not under the plain one.

    ``choices`` is the schedule: what happened at each seam, to be replayed.
    """

    __match_args__ = ("problem", "choices", "report")

    def __init__(self, problem: str, choices: Sequence[int], report: str) -> None:
        super().__init__(
            f"{problem}\n{report}\n"
            f"Replay it with replay(..., choices={list(choices)!r})."
        )
        self.problem = problem
        self.choices = tuple(choices)
        self.report = report


class CleanupFailure(TrialError, AssertionError):  # noqa: N818 - says what happened
    """A run that was stopped at one step of its scheduler did not end as it should."""

    __match_args__ = ("problem", "how", "step")

    def __init__(self, problem: str, how: str, step: int) -> None:
        super().__init__(
            f"{problem}\nIt was stopped by {how!r} at step {step} of its scheduler. "
            f"Look at it alone with cancel_everywhere(..., how=[{how!r}], "
            f"steps=[{step}])."
        )
        self.problem = problem
        self.how = how
        self.step = step
