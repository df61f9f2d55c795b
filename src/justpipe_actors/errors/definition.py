"""Errors and warnings of definitions, raised before a run begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .base import Factual


class DefinitionError(Exception):
    """A pipe is wired wrongly; raised while defining it or before its first event.

    Args:
        message: what is wrong, and the remedy.
        step_name: the step at fault, or ``"system"`` when it is the whole pipe.
    """

    def __init__(self, message: str, *, step_name: str = "system") -> None:
        super().__init__(message)
        self.step_name = step_name
        """The step at fault, or ``"system"`` when it is the whole pipe."""

    def __reduce__(self) -> str | tuple[Any, ...]:
        return _rebuild_definition_error, (str(self), self.step_name)


def _rebuild_definition_error(message: str, step_name: str) -> DefinitionError:
    return DefinitionError(message, step_name=step_name)


class DefinitionErrorGroup(ExceptionGroup[DefinitionError], DefinitionError):
    """Several problems of one definition, found in one pass and reported together.

    It is a ``DefinitionError`` too, so ``except DefinitionError`` catches it.

    Args:
        message: the heading.
        problems: the errors.
    """

    step_name = "system"

    def __new__(
        cls, message: str, problems: Sequence[DefinitionError]
    ) -> DefinitionErrorGroup:
        """Build the group; the message is completed with every problem's text."""
        listed = "".join(f"\n  - {problem}" for problem in problems)
        return super().__new__(cls, message + listed, problems)

    def __init__(self, message: str, problems: Sequence[DefinitionError]) -> None:
        ExceptionGroup.__init__(self, message, problems)
        self._headline = message

    def derive(  # type: ignore[override]
        self, excs: Sequence[DefinitionError]
    ) -> DefinitionErrorGroup:
        """Keep the kind of the group when it is split.

        Args:
            excs: the errors of the new group.

        Returns:
            The new group.
        """
        return DefinitionErrorGroup(self._headline, excs)

    def __reduce__(self) -> str | tuple[Any, ...]:
        return DefinitionErrorGroup, (self._headline, self.exceptions)


class MissingExtraError(Factual, ImportError):
    """A part was imported that needs libraries which are not installed."""

    extra: str
    library: str

    def message(self) -> str:
        return (
            f"This part needs {self.library}; install it with "
            f"pip install 'justpipe_actors[{self.extra}]'."
        )


class LayoutTooLarge(Factual, ValueError):
    """A drawing needs more places than can be arranged in reasonable time.

    A box is one place, and a line takes one in each rank that it passes.
    """

    boxes: int
    places: int
    limit: int

    def message(self) -> str:
        return (
            f"The drawing of {self.boxes} boxes needs {self.places} places, and "
            f"{self.limit} are allowed; draw parts of it as sub-pipelines of their "
            "own, or use MermaidRenderer."
        )


class PipelineValidationWarning(UserWarning):
    """A definition that is legal but probably not what was meant."""


class LostUpdateWarning(PipelineValidationWarning):
    """A map's workers can undo each other's changes of the state they share."""
