"""Notes: metadata, tags and metrics that steps record for an invocation or a run.

A context opts in by having exactly one attribute typed ``Meta``.  That attribute gets
a ``MetaProxy``, and the proxy looks up *which* run and *which* invocation is asking in
context variables.  So one context object can serve concurrent runs and their
sub-pipelines at once, and the notes of each run and invocation stay separate.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from enum import Enum
from typing import Any, Protocol, runtime_checkable

import attrs

from ._util.lazy_classes import define, frozen


class StepStatus(str, Enum):
    """How an invocation ended, in ``meta["framework"]["status"]``."""

    SUCCESS = "success"
    ERROR = "error"


@runtime_checkable
class ScopedMeta(Protocol):
    """Notes of one invocation or of one run."""

    def set(self, key: str, value: Any) -> None:
        """Note a value under a key."""

    def get(self, key: str, default: Any = None) -> Any:
        """Read a noted value back.

        Args:
            key: the key.
            default: what to return when nothing was noted.

        Returns:
            The value.
        """

    def add_tag(self, tag: str) -> None:
        """Add a tag; adding it again changes nothing."""

    def record_metric(self, name: str, value: float) -> None:
        """Append a sample to a metric.

        Args:
            name: the metric.
            value: the sample.
        """

    def increment(self, name: str, amount: float = 1) -> None:
        """Add to a counter that begins at zero.

        Args:
            name: the counter.
            amount: what to add; may be negative.
        """


@runtime_checkable
class PipelineMeta(Protocol):
    """Metadata of the definition; read only."""

    def get(self, key: str, default: Any = None) -> Any:
        """Read a value of ``Pipe(metadata=...)``.

        Args:
            key: the key.
            default: what to return when there is no such key.

        Returns:
            The value.
        """


@runtime_checkable
class Meta(Protocol):
    """Annotate one attribute of a context with this to receive it."""

    @property
    def step(self) -> ScopedMeta:
        """Notes of the invocation that is running."""
        ...

    @property
    def run(self) -> ScopedMeta:
        """Notes of the run, shared by all its steps and hooks."""
        ...

    @property
    def pipeline(self) -> PipelineMeta:
        """Notes of the definition."""
        ...


@define(eq=False, repr=False)
class Notes:
    """The one implementation of ``ScopedMeta``."""

    data: dict[str, Any] = attrs.field(factory=dict)
    """Values by key."""
    tags: set[str] = attrs.field(factory=set)
    """Tags, unordered."""
    metrics: dict[str, list[float]] = attrs.field(factory=dict)
    """Samples by metric."""
    counters: dict[str, float] = attrs.field(factory=dict)
    """Sums by counter."""

    def set(self, key: str, value: Any) -> None:
        """Note a value under a key."""
        self.data[key] = value

    def get(self, key: str, default: Any = None) -> Any:
        """Read a noted value back."""
        return self.data.get(key, default)

    def add_tag(self, tag: str) -> None:
        """Add a tag; adding it again changes nothing."""
        self.tags.add(tag)

    def record_metric(self, name: str, value: float) -> None:
        """Append a sample to a metric."""
        self.metrics.setdefault(name, []).append(value)

    def increment(self, name: str, amount: float = 1) -> None:
        """Add to a counter that begins at zero."""
        self.counters[name] = self.counters.get(name, 0) + amount

    def snapshot(self) -> dict[str, Any]:
        """Return a copy as plain data; sections without content are left out."""
        sections: dict[str, Any] = {
            "data": dict(self.data),
            "tags": sorted(self.tags),
            "metrics": {name: list(samples) for name, samples in self.metrics.items()},
            "counters": dict(self.counters),
        }
        return {name: content for name, content in sections.items() if content}


@frozen(eq=False)
class PipelineNotes:
    """The one implementation of ``PipelineMeta``."""

    metadata: Mapping[str, Any]
    """The argument ``metadata`` of ``Pipe``."""

    def get(self, key: str, default: Any = None) -> Any:
        """Read a value of ``Pipe(metadata=...)``."""
        return self.metadata.get(key, default)


class LazyNotes:
    """Notes that are created on first use: most steps and runs record none."""

    __slots__ = ("noted",)

    def __init__(self) -> None:
        self.noted: Notes | None = None
        """What was noted; None as long as nothing was."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was noted."""
        return self.noted is None

    def notes(self) -> Notes:
        """Return the notes."""
        if self.noted is None:
            self.noted = Notes()
        return self.noted

    def snapshot(self) -> dict[str, Any]:
        """Return the notes as plain data."""
        return {} if self.noted is None else self.noted.snapshot()


class RunNotes(LazyNotes):
    """The values of ``meta.run`` and ``meta.pipeline`` inside one run."""

    __slots__ = ("about", "parent", "pipeline")

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        super().__init__()
        self.pipeline: PipelineNotes = PipelineNotes(metadata)
        """The definition's."""
        self.about: tuple[str, str] | None = None
        """The run's id, and its pipe's name."""
        self.parent: tuple[RunNotes, str] | None = None
        """Of a sub-pipeline's run: the notes of the run around it, and the step there."""


class StepNotes(LazyNotes):
    """The value of ``meta.step`` inside one invocation."""

    __slots__ = ("about", "open", "tries")

    def __init__(self) -> None:
        self.noted: Notes | None = None  # perf: one call less than super().__init__()
        self.about: tuple[str, str, int] | None = None
        """Name of the step, id of the invocation, and number of the attempt."""
        self.open: bool = True
        """Whether the invocation's function is running."""
        self.tries: int = 1
        """Number of calls of its function; retry middleware increments it."""


current_run_notes: ContextVar[RunNotes] = ContextVar("justpipe_actors_run_notes")
"""Notes of the run that the running code belongs to."""

current_step_notes: ContextVar[StepNotes] = ContextVar("justpipe_actors_step_notes")
"""Notes of the invocation that the running code belongs to."""


@define(eq=False, repr=False)
class MetaProxy:
    """The implementation of ``Meta``: finds the current notes at each access."""

    latest: RunNotes
    """Notes of the run that began last; used outside of runs."""

    @property
    def step(self) -> Notes:
        """Notes of the invocation that is running."""
        holder = current_step_notes.get(None)
        if holder is None or not holder.open:
            msg = "meta.step is only available inside a step; use meta.run in hooks and handlers."
            raise RuntimeError(msg)
        return holder.notes()

    @property
    def run(self) -> Notes:
        """Notes of the run."""
        return current_run_notes.get(self.latest).notes()

    @property
    def pipeline(self) -> PipelineNotes:
        """Notes of the definition."""
        return current_run_notes.get(self.latest).pipeline
