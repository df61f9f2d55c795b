"""What goes wrong with the copies of an isolated run's state."""

from __future__ import annotations

from .base import Factual
from .definition import DefinitionError


class StateConflict(Factual, RuntimeError):  # noqa: N818 - the documented name
    """Two steps changed one part of the state in ways that cannot both be kept.

    It is the failure of the step that committed second.
    """

    __match_args__ = ("part", "step", "other", "problem")

    def __init__(self, part: str, step: str, other: str, problem: str = "") -> None:
        both = (
            f"Two invocations of step '{step}' both"
            if step == other
            else f"Step '{step}' and step '{other}' both"
        )
        super().__init__(
            f"{both} changed '{part}'{problem and f': {problem}'}. {_remedy(problem)}, "
            "or let one step follow the other."
        )
        self.part = part
        """The part of the state, from its root: ``pages['x'].title``."""
        self.step = step
        """The step that committed second, and failed."""
        self.other = other
        """The step whose change was committed before."""
        self.problem = problem
        """What makes the changes incompatible, in words."""


def _remedy(problem: str) -> str:
    if "number" in problem:
        return "Annotate it with Merge.add to add both changes"
    return "Annotate it with Merge(...) to say how both changes are kept"


class StateNotCopyable(Factual, DefinitionError):  # type: ignore[misc]  # noqa: N818
    """A part of the state cannot be copied, or does not equal its own copy."""

    __match_args__ = ("part", "kind", "problem")

    def __init__(self, part: str, kind: str, problem: str) -> None:
        super().__init__(
            f"'{part}' ({kind}) cannot be part of an isolated state: {problem}. "
            "Open it with @pipe.resource, pass it in the context, or annotate it with "
            "Shared to pass it by reference."
        )
        self.part = part
        """The part of the state, from its root."""
        self.kind = kind
        """Its type."""
        self.problem = problem
        """Why it cannot be copied, in words."""
