"""How a run ended: the payload of FINISH and the figures in it.

These are public frozen dataclasses with the names that justpipe has, so programs may
compare, replace and store them.  The engine fills them; nothing here computes a status
(``_run/final_status.py`` does).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import field, fields as fields_of
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from ._util.lazy_classes import dataclass
from ._util.notebooks import paragraph, table
from ._util.text import (
    error_text,
    escape_controls,
    format_duration,
    short_text,
    with_leaves,
)
from .errors import PipelineCancelled, RecordedError, RunTimeout
from .failures import FailureKind, FailureReason, FailureRecord, FailureSource


T = TypeVar("T")


new_instance: Callable[[type[Any]], Any] = object.__new__
"""Makes an object without ``__init__``."""
set_attribute: Callable[[object, str, Any], None] = object.__setattr__

_CONVERT = "_convert"
"""Attribute with what fills the fields of ``RuntimeMetrics``; no field."""


def filled(kind: type[T], fields: dict[str, Any]) -> T:
    """Build a frozen dataclass from a dict of all its fields, which is its own from then on.

    perf: its ``__init__`` makes one guarded call per field; with more than three fields
    this takes a quarter of the time, and every run builds some instances at its end.
    """
    instance: T = new_instance(kind)
    set_attribute(instance, "__dict__", fields)
    return instance


class PipelineTerminalStatus(Enum):
    """How a run ended."""

    SUCCESS = "success"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    CLIENT_CLOSED = "client_closed"


@dataclass(frozen=True)
class QueueMetrics:
    """The event buffer between the run and its consumer."""

    max_depth: int
    """Most events that ever waited at once; 0 when the run was only waited for."""


@dataclass(frozen=True)
class TaskMetrics:
    """The units of work of a run: invocations, child runs and barrier timers."""

    started: int
    """Invocations, map workers, child runs and barrier timers started."""
    completed: int
    """Number of those that ended."""
    peak_active: int
    """Most of them alive at once."""


@dataclass(frozen=True)
class StepTiming:
    """Durations of one step's successful invocations, in seconds."""

    count: int
    """Number of samples."""
    total_s: float
    """Sum of the durations."""
    min_s: float
    """Shortest duration."""
    max_s: float
    """Longest duration."""

    @property
    def avg_s(self) -> float:
        """The mean, 0.0 without samples."""
        return self.total_s / self.count if self.count else 0.0


@dataclass(frozen=True)
class BarrierMetrics:
    """The waits in front of one join that has a ``barrier_timeout``."""

    waits: int
    """Number of waits that began."""
    releases: int
    """Number of waits that ended in time."""
    timeouts: int
    """Number of waits that timed out."""
    total_wait_s: float
    """Seconds waited before the releases, summed."""
    max_wait_s: float
    """The longest of them."""


@dataclass(frozen=True)
class MapMetrics:
    """The maps of a run and their workers."""

    maps_started: int
    """Maps that began."""
    maps_completed: int
    """Maps with all workers ended."""
    workers_started: int
    """Items a worker was started for; further attempts not counted."""
    peak_workers: int
    """Most workers at once."""


class _Instance:
    """Has the instance dict that ``_ConvertedWhenRead`` hides."""


_raw_fields: Callable[[object], dict[str, Any]] = vars(_Instance)["__dict__"].__get__
_set_raw_fields = vars(_Instance)["__dict__"].__set__


class _ConvertedWhenRead(_Instance):
    """The first read of a field converts all fields of such an object.

    Reading its ``__dict__`` converts them too, since other libraries' encoders read that.
    """

    if not TYPE_CHECKING:  # type checkers know the fields

        @property
        def __dict__(self) -> dict[str, Any]:
            fields = _raw_fields(self)
            convert = fields.get(_CONVERT)
            if convert is None:
                return fields
            converted = convert()  # in the order of the class, as encoders write them
            given = {name: fields[name] for name in fields if name != _CONVERT}
            _set_raw_fields(self, {**converted, **given})
            return _raw_fields(self)

        def __getattr__(self, name: str) -> Any:
            fields = self.__dict__
            if name in fields:
                return fields[name]
            msg = f"'{type(self).__name__}' object has no attribute '{name}'"
            raise AttributeError(msg)


@dataclass(frozen=True)
class RuntimeMetrics(_ConvertedWhenRead):
    """Figures of one run: its buffer, units of work, steps, joins and maps."""

    queue: QueueMetrics
    """Figures of the event buffer."""
    tasks: TaskMetrics
    """Counts of units of work."""
    step_latency: dict[str, StepTiming]
    """Durations by step."""
    barriers: dict[str, BarrierMetrics]
    """Waiting times by join."""
    maps: MapMetrics
    """All maps together."""
    events: dict[str, int]
    """Published events by type, this run's own FINISH excepted."""
    tokens: int
    """Number of TOKEN events."""
    suspends: int
    """Number of SUSPEND events; a suspended run has at least one."""

    def __getstate__(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields_of(self)}


def metrics_read_later(
    convert: Callable[[], dict[str, Any]], *, tokens: int, suspends: int
) -> RuntimeMetrics:
    """Return metrics with two fields; the others are converted when one is first read.

    perf: most runs end unread, and this takes a tenth of a short step (bench: small).

    Args:
        convert: returns all fields by name.
        tokens: number of TOKEN events.
        suspends: number of SUSPEND events.
    """
    metrics: RuntimeMetrics = new_instance(RuntimeMetrics)
    _set_raw_fields(
        metrics, {"tokens": tokens, "suspends": suspends, _CONVERT: convert}
    )
    return metrics


@dataclass(frozen=True)
class Diagnostic:
    """A join that did not run, or a map that was left, and why; not a failure."""

    step: str
    """Name of the join or the map."""
    kind: str
    """Why: a parent of a join was ``"pruned"``, or never reported (``"unsatisfied"``);
    or a map was left before its last item because the run was ``"suspended"``."""
    parents: tuple[str, ...]
    """The parents at fault; of a map, its worker."""
    message: str
    """The diagnostic as a sentence."""
    count: int = 1
    """Number of passes through the graph in which it happened."""


@dataclass(frozen=True)
class PipelineEndData:
    """Payload of FINISH: how the run ended and why."""

    status: PipelineTerminalStatus
    """How the run ended."""
    duration_s: float
    """Seconds on a monotonic clock, startup and shutdown hooks included."""
    error: str | None = None
    """Text of the primary failure, or of a cancellation."""
    reason: FailureReason | None = None
    """Why it was not a success."""
    failure_kind: FailureKind = FailureKind.NONE
    """Phase of the primary failure."""
    failure_source: FailureSource = FailureSource.NONE
    """Source of the primary failure."""
    failed_step: str | None = None
    """Step of the primary failure."""
    errors: list[FailureRecord] = field(default_factory=list)
    """Every failure in order of occurrence, then the classifier's own."""
    metrics: RuntimeMetrics | None = None
    """Figures of the run."""
    diagnostics: list[Diagnostic] = field(default_factory=list)
    """Joins that did not run, and maps that a suspension left."""
    error_type: str | None = None
    """Class name of the primary failure."""
    steps_at_work: list[str] = field(default_factory=list)
    """Steps that were at work when the run was ended from outside, sorted."""
    error_leaves: list[str] = field(default_factory=list)
    """Class and text of the exceptions in the primary failure, if it is a group."""

    @property
    def error_text(self) -> str | None:
        """The primary failure with its class: ``KeyError: 'missing'``.

        Of an exception group it names the exceptions inside as well.
        """
        if self.error is None or self.error_type is None:
            return self.error
        text = f"{self.error_type}: {self.error}" if self.error else self.error_type
        return with_leaves(text, self.error_leaves)

    @property
    def headline(self) -> str:
        """How the run ended in a few words, such as ``failed after 2.0s in step 'a'``."""
        duration = format_duration(self.duration_s)
        if self.status is PipelineTerminalStatus.SUCCESS:
            is_suspended = self.metrics is not None and self.metrics.suspends > 0
            return f"{'suspended' if is_suspended else 'success'} after {duration}"
        where = f" in step '{self.failed_step}'" if self.failed_step else ""
        why = f": {self.error_text}" if self.error_text else ""
        at_work = ", ".join(self.steps_at_work)
        return f"{self.status.value} after {duration}{where}{why}" + (
            f", at work: {at_work}" if at_work else ""
        )

    def __repr__(self) -> str:
        return f"<PipelineEndData {short_text(self.headline, REPR_LIMIT)}>"

    def _repr_html_(self) -> str:
        """Show it in a notebook: how it ended, and how long its steps took."""
        head = paragraph(escape_controls(self.headline))
        times = self.metrics.step_latency if self.metrics is not None else {}
        rows = [
            (
                escape_controls(n),
                f"{t.count:,}",
                format_duration(t.avg_s),
                format_duration(t.max_s),
            )
            for n, t in times.items()
        ]
        header = ["step", "times", "average", "longest"]
        return head + (table(header, rows) if rows else "")

    @property
    def exception(self) -> Exception | None:
        """The exception of the primary failure; None for an end read from a store."""
        return self.exceptions[0] if self.exceptions else None

    @property
    def exceptions(self) -> tuple[Exception, ...]:
        """The exceptions of all failures, the primary one first."""
        found: tuple[Exception, ...] = self.__dict__.get(_EXCEPTIONS, ())
        return found

    def raise_for_failure(self) -> None:
        """Do nothing after a success; raise the failure of any other run.

        Raises:
            Exception: the primary failure itself, with its traceback; the other
                failures are its notes.  ``RecordedError`` when only its text is left.
            RunTimeout: the run took longer than its ``timeout=``.
            PipelineCancelled: the run was cancelled, or its consumer closed it.
        """
        match self.status:
            case PipelineTerminalStatus.SUCCESS:
                return
            case PipelineTerminalStatus.FAILED:
                error = _noted(self.exceptions)
                raise self._recorded_error() if error is None else error
            case PipelineTerminalStatus.TIMEOUT:
                raise RunTimeout(self.duration_s, tuple(self.steps_at_work))
            case _:
                raise PipelineCancelled(self.error or "Cancelled")

    def _recorded_error(self) -> RecordedError:
        text = with_leaves(self.error or "", self.error_leaves)
        return RecordedError(self.error_type or "Exception", text)

    def __getstate__(self) -> dict[str, Any]:
        # Exceptions refer to frames and may refuse to be pickled.
        return {k: v for k, v in self.__dict__.items() if k != _EXCEPTIONS}


def successful_end(
    seconds: float, metrics: RuntimeMetrics | None, diagnostics: list[Diagnostic]
) -> PipelineEndData:
    """Return the end of a run that has succeeded; see ``filled``."""
    end = _SUCCESSFUL_END.copy()
    end["duration_s"] = seconds
    end["errors"] = []
    end["metrics"] = metrics
    end["diagnostics"] = diagnostics
    end["steps_at_work"] = []
    end["error_leaves"] = []
    return filled(PipelineEndData, end)


_SUCCESSFUL_END: dict[str, Any] = {
    "status": PipelineTerminalStatus.SUCCESS,
    "duration_s": 0.0,
    "error": None,
    "reason": None,
    "failure_kind": FailureKind.NONE,
    "failure_source": FailureSource.NONE,
    "failed_step": None,
    "errors": [],
    "metrics": None,
    "diagnostics": [],
    "error_type": None,
    "steps_at_work": [],
    "error_leaves": [],
}
"""The fields of the end of a run that has succeeded; each end copies them."""


REPR_LIMIT = 300
"""Characters of the headline in the repr of an end."""

_EXCEPTIONS = "_exceptions"
"""Attribute with the exceptions of an end; no field, since fields are plain data."""


def with_exceptions(
    end: PipelineEndData, exceptions: Iterable[Exception]
) -> PipelineEndData:
    """Return an end with the exceptions of its failures, the primary one first."""
    fields = {**end.__dict__, _EXCEPTIONS: tuple(exceptions)}
    return filled(PipelineEndData, fields)


def _noted(exceptions: tuple[Exception, ...]) -> Exception | None:
    """Return the first exception, with the others in its notes."""
    if not exceptions:
        return None
    first, *others = exceptions
    known: list[str] = list(getattr(first, "__notes__", ()))
    for other in others:
        note = (
            f"Another step failed too: {type(other).__name__}: {error_text(other)}"
            f"{_item_of(other)}"
        )
        if other is not first and note not in known:
            first.add_note(note)
    return first


def _item_of(error: Exception) -> str:
    """Return the note of a worker's failure that names its item; empty without one."""
    notes = (str(note) for note in getattr(error, "__notes__", ()))
    return "".join(f" ({note})" for note in notes if re.match(_ITEM_NOTE, note))


_ITEM_NOTE = r"In .*\[\d+\]"
"""What the engine notes in the exception of a map's worker."""
