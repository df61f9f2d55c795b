"""Errors of the copies of an isolated run's state."""

from __future__ import annotations

from .base import Factual
from .definition import DefinitionError


class StateConflict(Factual, RuntimeError):
    """Two steps changed one part of the state in ways that cannot both be kept.

    It is the failure of the step that committed second.
    """

    part: str
    """The part of the state, from its root: ``pages['x'].title``."""
    step: str
    """The step that committed second, and failed."""
    other: str
    """The step that committed its change first."""
    problem: str = ""
    """Why the changes are incompatible, as text."""

    def message(self) -> str:
        both = (
            f"Two invocations of step '{self.step}' both"
            if self.step == self.other
            else f"Step '{self.step}' and step '{self.other}' both"
        )
        why = f": {self.problem}" if self.problem else ""
        return (
            f"{both} changed {_quoted(self.part)}{why}. {_remedy(self.problem)}, "
            "or let one step follow the other."
        )


def _quoted(part: str) -> str:
    return part if "'" in part else f"'{part}'"


def _remedy(problem: str) -> str:
    if "number" in problem:
        return "Annotate it with Merge.add to add both changes"
    return "Annotate it with Merge(...) to say how both changes are kept"


class StateNotCopyable(Factual, DefinitionError):
    """A part of the state cannot be copied, or does not equal its own copy."""

    part: str
    """The part of the state, from its root."""
    kind: str
    """Name of its type."""
    problem: str
    """Why it cannot be copied, in words."""

    def message(self) -> str:
        return (
            f"{_quoted(self.part)} ({self.kind}) cannot be part of an isolated state: {self.problem}. "
            "Open it with @pipe.resource, pass it in the context, or annotate it with "
            "Shared to pass it by reference."
        )


class ChangedItemWarning(Factual, UserWarning):
    """A map worker of an isolated pipe changed its item, which has no effect."""

    step: str
    """Name of the worker step."""

    def message(self) -> str:
        return (
            f"Map worker '{self.step}' changed its item; items are data, and changes to "
            "them are not merged. Change the state, or return the result with collect=."
        )
