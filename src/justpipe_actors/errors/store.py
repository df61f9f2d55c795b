"""Errors of stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .base import Factual


class StoreError(Factual, Exception):
    """Base class of the errors of stores."""

    if TYPE_CHECKING:

        def __init__(self, *args: object) -> None: ...


class UnreadableDataError(StoreError):
    """Plain data do not fit the type they were to become."""

    kind: str
    problem: str

    def message(self) -> str:
        return (
            f"These data are no {self.kind}: {self.problem}. "
            "Read them as plain JSON, or with the version that wrote them."
        )


class MalformedEventError(StoreError, ValueError):
    """A text to be stored as an event is no JSON object."""

    text: str
    problem: str

    def message(self) -> str:
        return (
            f"No event to store: {self.text!r} ({self.problem}). "
            "Pass the JSON text of one event object each."
        )


class AmbiguousRunError(StoreError, ValueError):
    """Several runs have ids that begin with the text that should identify one."""

    prefix: str
    candidates: Sequence[str]

    def message(self) -> str:
        shown = ", ".join(f"{run_id[:12]}..." for run_id in self.candidates[:5])
        return (
            f"Ambiguous run id '{self.prefix}': it matches {len(self.candidates)} runs "
            f"({shown}). Give more characters of it."
        )


class CleanupRuleError(StoreError, ValueError):
    """A rule for forgetting runs has a field that makes no sense."""

    field: str
    value: object
    expected: str

    def message(self) -> str:
        return f"Cleanup: {self.field} must be {self.expected}, not {self.value!r}."


class StoreVersionError(StoreError):
    """A store has a schema that this version does not know how to write."""

    path: str
    found: int
    known: int

    def message(self) -> str:
        return (
            f"The store {self.path} has schema version {self.found} and this version of "
            f"justpipe_actors writes {self.known}. Upgrade, or use another storage path."
        )


class JournalUnusableError(StoreError):
    """The file of a journal cannot be opened as one, read or written."""

    path: str
    problem: str

    def message(self) -> str:
        return (
            f"The journal {self.path} cannot be used: {self.problem.rstrip('.')}. Check the path, "
            "who may write there and the room on the disk, or put back a copy of the file."
        )
