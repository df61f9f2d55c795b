"""Errors of a supervisor's children."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Factual


class SupervisionError(Factual, Exception):
    """Base class of the errors of a supervisor's children."""

    if TYPE_CHECKING:

        def __init__(self, *args: object) -> None: ...


class ChildStartFailed(SupervisionError):
    """A child did not get ready; the cause, if there is one, is its exception."""

    child: str
    reason: str

    def message(self) -> str:
        return f"'{self.child}' did not start: {self.reason}."


class ChildEnded(SupervisionError):
    """A permanent child returned, or was cancelled from outside."""

    child: str
    how: str

    def message(self) -> str:
        return (
            f"'{self.child}' {self.how}. "
            "Add it with restart='transient' if its work can be finished."
        )


class RestartIntensityExceeded(SupervisionError):
    """Children ended more often than allowed; the cause is the last one's error."""

    child: str
    restarts: int
    period: float

    def message(self) -> str:
        return (
            f"Supervision gave up: '{self.child}' ended, and that would have been restart "
            f"{self.restarts} within {self.period:g}s. Mend what the cause shows, "
            "or allow more with Supervisor(intensity=..., period=...)."
        )
