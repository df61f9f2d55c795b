"""Kinds, sources and reasons of failures, and the record of one failure."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from ._util.lazy_classes import dataclass


__all__ = [
    "FailureClassificationConfig",
    "FailureClassificationContext",
    "FailureKind",
    "FailureReason",
    "FailureRecord",
    "FailureSource",
    "FailureSourceClassifier",
]


class FailureKind(Enum):
    """The phase of a run in which something failed."""

    NONE = "none"
    VALIDATION = "validation"
    STARTUP = "startup"
    STEP = "step"
    SHUTDOWN = "shutdown"
    INFRA = "infra"


class FailureSource(Enum):
    """The probable source of a failure."""

    NONE = "none"
    USER_CODE = "user_code"
    FRAMEWORK = "framework"
    EXTERNAL_DEP = "external_dep"


class FailureReason(str, Enum):
    """Why a run did not end with success."""

    STARTUP_HOOK_ERROR = "startup_hook_error"
    STEP_ERROR = "step_error"
    SHUTDOWN_HOOK_ERROR = "shutdown_hook_error"
    VALIDATION_ERROR = "validation_error"
    CLASSIFIER_ERROR = "classifier_error"
    INTERNAL_ERROR = "internal_error"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    CLIENT_CLOSED = "client_closed"
    NO_STEPS = "no_steps"


@dataclass(frozen=True)
class FailureClassificationContext:
    """The facts about one failure that a source classifier receives."""

    error: Exception
    """The exception as it was raised."""
    kind: FailureKind
    """The phase it happened in."""
    reason: FailureReason
    """The reason it will be reported under."""
    step: str | None
    """The step at fault; None for hooks."""
    default_source: FailureSource
    """Source by the built-in rules."""


FailureSourceClassifier = Callable[[FailureClassificationContext], FailureSource | None]
"""Returns the source of a failure, or None to keep the default."""


@dataclass(frozen=True)
class FailureClassificationConfig:
    """How failures of a pipe are attributed."""

    source_classifier: FailureSourceClassifier | None = None
    """Asked once per failure."""
    external_dependency_prefixes: tuple[str, ...] = ()
    """Exceptions of modules with these prefixes count as an external dependency's."""


@dataclass(frozen=True)
class FailureRecord:
    """One failure of a run, as FINISH reports it."""

    kind: FailureKind
    """The phase it happened in."""
    source: FailureSource
    """Probable origin of the failure."""
    reason: FailureReason
    """Why it counts as a failure."""
    error: str | None = None
    """The exception's text."""
    step: str | None = None
    """The step at fault; None for hooks."""
