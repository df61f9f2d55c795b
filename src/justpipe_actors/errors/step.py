"""Errors of one step: what its definition, its result or its time led to.

Each class lists its facts as annotations, see ``errors.base``; ``message`` words them.
"""

from __future__ import annotations

from collections.abc import Sequence

from .base import Factual, did_you_mean


NAME_LIMIT = 80
"""Characters of a wrong name that a message shows."""


class UnknownStepError(Factual, ValueError):
    """A step, a handler or a switch named a step that is not there."""

    step: str
    known: Sequence[str]
    source: str | None = None
    is_route: bool = False

    def message(self) -> str:
        name = self.step[:NAME_LIMIT]
        if self.source is None:
            text = f"Step '{name}' does not exist."
        elif self.is_route:
            text = (
                f"Switch '{self.source}' leads to step '{name}', which does not exist."
            )
        else:
            text = (
                f"Step '{self.source}' returned '{name}'. A returned text names the "
                "step to run next, and there is no such step. To keep a value, change "
                "the state, yield it, or return it to a map with collect=."
            )
        return text + did_you_mean(name, self.known)


class NestedTooDeeply(Factual, RecursionError):
    """Sub-pipelines are nested deeper than a run may be."""

    step: str
    limit: int

    def message(self) -> str:
        return (
            f"Step '{self.step}' would begin a run within {self.limit} others. Does a "
            "pipe contain itself? Use a loop or a map instead, or return earlier."
        )


class NoRouteError(Factual, ValueError):
    """A switch got a value that matches no route and has no default."""

    step: str
    value: str
    routes: Sequence[str]
    hint: str

    def message(self) -> str:
        listed = f" Routes: {', '.join(self.routes)}." if self.routes else ""
        return (
            f"Switch '{self.step}': {self.value} matches no route and there is no default."
            f"{listed}{self.hint}"
        )


class MapSourceError(Factual, ValueError):
    """A map's function returned something that cannot be mapped over."""

    step: str
    problem: str

    def message(self) -> str:
        return f"Map '{self.step}' {self.problem}"


class ResultsRefused(Factual, TypeError):
    """A state does not take what a map with ``collect=`` has collected."""

    step: str
    target: str
    state_type: str

    def message(self) -> str:
        return (
            f"Map '{self.step}' collects into '{self.target}', and the state of this run, "
            f"of type {self.state_type}, cannot be given it. Pass a dict to run(), or an "
            "object with this attribute."
        )


class StepTimeoutError(Factual, TimeoutError):
    """A step took longer than its ``timeout``."""

    step: str
    seconds: float

    def message(self) -> str:
        return f"Step '{self.step}' timed out after {self.seconds:g}s"


class HookTimeoutError(Factual, TimeoutError):
    """A shutdown hook took too long after the run was asked to end."""

    hook: str
    seconds: float

    def message(self) -> str:
        return (
            f"Hook '{self.hook}' was given up {self.seconds:g}s after the run was told to end. "
            "Bound what it waits for."
        )


class BarrierTimeoutError(Factual, TimeoutError):
    """A step waited longer than its ``barrier_timeout`` for its parents."""

    step: str
    missing: Sequence[str]
    seconds: float

    def message(self) -> str:
        return (
            f"Barrier timeout: step '{self.step}' waited {self.seconds:g}s for "
            f"{', '.join(self.missing)}"
        )


class IgnoredValueWarning(UserWarning):
    """A step returned a value that means nothing to the engine."""
