"""What goes wrong with one step."""

from __future__ import annotations

from collections.abc import Sequence

from .base import Factual, did_you_mean


class UnknownStepError(Factual, ValueError):
    """A step, a handler or a switch named a step that is not there."""

    __match_args__ = ("step", "known")

    def __init__(self, step: str, known: Sequence[str]) -> None:
        super().__init__(f"Step '{step}' does not exist.{did_you_mean(step, known)}")
        self.step = step
        self.known = tuple(known)


class NoRouteError(Factual, ValueError):
    """A switch got a value that matches no route and has no default."""

    __match_args__ = ("step", "value", "routes", "hint")

    def __init__(self, step: str, value: str, routes: Sequence[str], hint: str) -> None:
        listed = f" Routes: {', '.join(routes)}." if routes else ""
        super().__init__(
            f"Switch '{step}': {value} matches no route and there is no default."
            f"{listed}{hint}"
        )
        self.step = step
        self.value = value
        self.routes = tuple(routes)
        self.hint = hint


class MapSourceError(Factual, ValueError):
    """A map's function returned something that cannot be mapped over."""

    __match_args__ = ("step", "problem")

    def __init__(self, step: str, problem: str) -> None:
        super().__init__(f"Map '{step}' {problem}")
        self.step = step
        self.problem = problem


class StepTimeoutError(Factual, TimeoutError):
    """A step took longer than its ``timeout``."""

    __match_args__ = ("step", "seconds")

    def __init__(self, step: str, seconds: float) -> None:
        super().__init__(f"Step '{step}' timed out after {seconds:g}s")
        self.step = step
        self.seconds = seconds


class HookTimeoutError(Factual, TimeoutError):
    """A shutdown hook took too long after somebody had asked for the run's end."""

    __match_args__ = ("hook", "seconds")

    def __init__(self, hook: str, seconds: float) -> None:
        super().__init__(
            f"Hook '{hook}' was given up {seconds:g}s after the run was told to end. "
            "Bound what it waits for."
        )
        self.hook = hook
        self.seconds = seconds


class BarrierTimeoutError(Factual, TimeoutError):
    """A step waited longer than its ``barrier_timeout`` for its parents."""

    __match_args__ = ("step", "missing", "seconds")

    def __init__(self, step: str, missing: Sequence[str], seconds: float) -> None:
        super().__init__(
            f"Barrier timeout: step '{step}' waited {seconds:g}s for "
            f"{', '.join(missing)}"
        )
        self.step = step
        self.missing = tuple(missing)
        self.seconds = seconds


class IgnoredValueWarning(UserWarning):
    """A step returned a value that means nothing to the engine."""
