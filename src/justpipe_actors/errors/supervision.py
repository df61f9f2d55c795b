"""What goes wrong with a supervisor's children."""

from __future__ import annotations

from .base import Factual


class SupervisionError(Factual, Exception):
    """Something went wrong with a supervisor's children."""


class ChildStartFailed(SupervisionError):  # noqa: N818 - says what happened
    """A child did not get ready; the cause, if there is one, is its exception."""

    __match_args__ = ("child", "reason")

    def __init__(self, child: str, reason: str) -> None:
        super().__init__(f"'{child}' did not start: {reason}.")
        self.child = child
        self.reason = reason


class ChildEnded(SupervisionError):  # noqa: N818 - says what happened
    """A child that is to run for good returned, or was cancelled from outside."""

    __match_args__ = ("child", "how")

    def __init__(self, child: str, how: str) -> None:
        super().__init__(
            f"'{child}' {how}. "
            "Add it with restart='transient' if its work can be finished."
        )
        self.child = child
        self.how = how


class RestartIntensityExceeded(SupervisionError):  # noqa: N818 - says what happened
    """Children ended too often to go on; the cause is what ended the last one."""

    __match_args__ = ("child", "restarts", "period")

    def __init__(self, child: str, restarts: int, period: float) -> None:
        super().__init__(
            f"Supervision gave up: '{child}' ended, and that would have been restart "
            f"{restarts} within {period:g}s. Mend what the cause shows, "
            "or allow more with Supervisor(intensity=..., period=...)."
        )
        self.child = child
        self.restarts = restarts
        self.period = period
