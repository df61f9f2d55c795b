"""Types that describe a pipeline as nodes and edges, without running it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from enum import Enum
from typing import Any, Protocol

from ._util.lazy_classes import dataclass
from .events import Event, NodeKind
from .signals import Stop


class BarrierType(Enum):
    """How many parents a join waits for."""

    ALL = "all"
    ANY = "any"


class InjectionSource(str, Enum):
    """The source of a parameter's value."""

    STATE = "state"
    CONTEXT = "context"
    ERROR = "error"
    STEP_NAME = "step_name"
    CANCEL = "cancel"
    RESOURCE = "resource"
    UNKNOWN = "unknown"


InjectionMetadata = dict[str, InjectionSource]
"""Parameter name to source, for one function."""

InjectionMetadataMap = dict[str, InjectionMetadata]
"""Step name to its function's injection metadata."""


@dataclass
class StepContext:
    """The facts about a step that its middleware receives."""

    name: str
    """Name of the step."""
    kwargs: dict[str, Any]
    """Extra keyword arguments of its decorator."""
    pipe_name: str
    """Name of the pipe that the step belongs to."""
    retries: Any = 0
    """The decorator's ``retries``: a count, or tenacity's own options as a dict."""


Middleware = Callable[[Callable[..., Any], StepContext], Callable[..., Any] | None]
"""Wraps a step's function; the result is called with keyword arguments only.

``middleware.reads`` declares the options of the decorator that it reads."""

EventHook = Callable[[Event], Event]
"""Rewrites an event before observers and the consumer see it."""

Redact = Callable[[Event], Event]
"""Rewrites an event before it is stored; observers and consumer see the original."""


@dataclass
class StepInfo:
    """One node as ``Pipe.steps()`` describes it."""

    name: str
    """Name of the step."""
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
    kind: NodeKind
    """STEP, MAP, SWITCH or SUB."""
    sub_pipeline_hash: str | None = None
    """Hash of the child pipe, for a sub."""


@dataclass
class HookSpec:
    """A registered hook or handler and its injected parameters."""

    func: Callable[..., Any]
    """The user's function."""
    injection_metadata: InjectionMetadata = field(default_factory=dict)
    """Source of each parameter."""
    parameter_types: Mapping[str, object] = field(default_factory=dict)
    """Declared type of each parameter."""


Routes = Mapping[object, str | type[Stop]] | Callable[..., object]
"""Targets of a switch, by value or from a function."""


class StepShape(Protocol):
    """The attributes of a registered step that renderers read."""

    @property
    def name(self) -> str:
        """Unique in the pipe."""
        ...

    @property
    def kind(self) -> NodeKind:
        """STEP, MAP, SWITCH or SUB."""
        ...

    @property
    def func(self) -> Callable[..., Any]:
        """The user's function."""
        ...

    @property
    def handler(self) -> Callable[..., Any] | None:
        """Its own error handler; the handler's results count as the step's."""
        ...

    @property
    def barrier_type(self) -> BarrierType:
        """How many parents it waits for."""
        ...

    @property
    def each(self) -> str | None:
        """A map's worker."""
        ...

    @property
    def routes(self) -> Routes | None:
        """A switch's routes."""
        ...

    @property
    def default(self) -> str | None:
        """A switch's default."""
        ...

    @property
    def child(self) -> Any:
        """A sub's pipe."""
        ...

    @property
    def declared_routes(self) -> Sequence[str]:
        """Steps that its results may start, as declared by the user."""
        ...


StepShapes = Mapping[str, StepShape]
"""Steps by name, in order of registration."""

Target = str | Callable[..., Any]
"""A reference to a step: its name, or its function."""

Targets = Target | Sequence[Target] | None
"""Successors of a step."""

Topology = Mapping[str, Sequence[str]]
"""Static successors by step, for the steps that have some."""


def resolve_name(target: object) -> str:
    """Return the step name that a string, function or partial refers to.

    Raises:
        ValueError: it is neither a string nor callable.
    """
    if isinstance(target, str):
        return target
    inner = getattr(target, "func", None)
    for named in (inner, target):
        name = getattr(named, "__name__", None)
        if isinstance(name, str):
            return name
    if callable(target):
        return type(target).__name__
    msg = (
        f"A step is named by a string or its function, not by {type(target).__name__}."
    )
    raise ValueError(msg)
