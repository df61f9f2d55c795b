"""Errors of steps that run in a remote placement."""

from __future__ import annotations

from .run import RunError


class PlacementLost(RunError):
    """The worker that ran a step is gone; whether the step finished is not known."""

    step: str
    placement: str
    reason: str

    def message(self) -> str:
        return (
            f"Step '{self.step}' was lost in placement '{self.placement}': "
            f"{self.reason}. Give the step retries= if it may run twice."
        )


class RemoteError(RunError):
    """A step that ran elsewhere raised an exception that cannot be pickled."""

    kind: str
    """Name of the exception's class."""
    text: str
    """Message of the exception."""
    remote_traceback: str = ""
    """Its traceback on the other side."""

    def message(self) -> str:
        return f"{self.kind}: {self.text}"


class NotPicklable(RunError, TypeError):
    """A value that is sent to or from a placement cannot be pickled."""

    step: str
    what: str
    """``item``, ``state``, ``context``, ``result`` or ``changed state``."""
    reason: str

    def message(self) -> str:
        return (
            f"Step '{self.step}' runs elsewhere, but its {self.what} cannot be pickled: "
            f"{self.reason}. Ask only for the parts that the step needs, or run it on "
            "the loop or with placement='thread'."
        )


class RemoteUnavailable(RunError):
    """A remote function used something that exists only in the process of its run."""

    what: str

    def message(self) -> str:
        return (
            f"{self.what} is not available in a step that runs elsewhere (placement=). "
            "Ask for it in a step before or after this one that runs on the loop."
        )
