"""A pipeline as nodes and edges: the words that describe one without running it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class BarrierType(Enum):
    """How many parents a join waits for."""

    ALL = "all"
    ANY = "any"


class InjectionSource(str, Enum):
    """Where the value of a parameter comes from."""

    STATE = "state"
    CONTEXT = "context"
    ERROR = "error"
    STEP_NAME = "step_name"
    CANCEL = "cancel"
    UNKNOWN = "unknown"


InjectionMetadata = dict[str, InjectionSource]
"""Parameter name to source, for one function."""

InjectionMetadataMap = dict[str, InjectionMetadata]
"""Step name to its function's injection metadata."""


@dataclass
class StepContext:
    """What a middleware is told about the step it wraps."""

    name: str
    """The step."""
    kwargs: dict[str, Any]
    """Extra keyword arguments of its decorator."""
    pipe_name: str
    """The pipe it belongs to."""
    retries: Any = 0
    """The decorator's ``retries``: a count, or tenacity's own options as a dict."""


@dataclass
class StepInfo:
    """One node as ``Pipe.steps()`` describes it."""

    name: str
    """The step."""
    timeout: float | None
    """Seconds one invocation may take."""
    retries: Any
    """The decorator's ``retries``."""
    barrier_timeout: float | None
    """Seconds a join waits for its parents."""
    has_error_handler: bool
    """Whether it has an ``on_error`` of its own."""
    targets: list[str]
    """Sorted names of every step it may lead to, routes and workers included."""
    kind: str
    """``step``, ``map``, ``switch`` or ``sub``."""
    sub_pipeline_hash: str | None = None
    """Hash of the child pipe, for a sub."""


@dataclass
class HookSpec:
    """A registered hook or handler and what it wants injected."""

    func: Callable[..., Any]
    """The user's function."""
    injection_metadata: InjectionMetadata = field(default_factory=dict)
    """Its parameters."""
