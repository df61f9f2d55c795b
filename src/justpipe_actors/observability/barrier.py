"""``BarrierDebugger``: report joins that hang, and the parents that they wait for.

The debugger finds waiting joins in two ways.  Joins with a ``barrier_timeout`` publish
events (BARRIER_WAIT, BARRIER_RELEASE).  Other joins publish none, so on every event the
debugger reads the waiting joins from the run, ``ObserverMeta.waiting``.

During a hang no events are published, so an observer of events alone cannot detect it.
The debugger therefore sets a timer (``wake_after``) for the first join that is due.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
import attrs

from .._util.text import escape_controls, format_duration
from ..abc import Observer, ObserverMeta, WaitingJoin, no_joins
from ..events import Event, EventType
from .run_cache import RunCache, run_id_of


MAX_RUNNING_SHOWN = 5
"""Running steps that a report names."""


@attrs.define(eq=False)
class WaitingBarrier:
    """One join that waits; justpipe has it as a dict, so ``wait["waiting_for"]`` works too."""

    start: float
    """When it began to wait, in seconds of the debugger's clock."""
    expected_count: int = 0
    """Number of parents."""
    completed_count: int = 0
    """Number of parents that have reported."""
    waiting_for: tuple[str, ...] = ()
    """Names of the parents that have not reported."""
    timeout: float | None = None
    """Its ``barrier_timeout``."""
    wave: int | None = None
    """The pass it waits in; None when it announced itself."""
    is_stale: bool = False
    """Whether the join was decided without a BARRIER_RELEASE event."""

    def __getitem__(self, key: str) -> Any:
        """Return a field by its name, the names of parents as a list.

        Raises:
            KeyError: there is no such field.
        """
        if key not in _DICT_KEYS:
            raise KeyError(key)
        value = getattr(self, key)
        return list(value) if isinstance(value, tuple) else value

    def get(self, key: str, default: Any = None) -> Any:
        """Return a field by its name, or the default."""
        return self[key] if key in _DICT_KEYS else default

    def keys(self) -> tuple[str, ...]:
        """Return the names of the fields."""
        return _DICT_KEYS

    def update(self, join: WaitingJoin) -> None:
        """Update the fields from the run's data."""
        self.expected_count = len(join.parents)
        self.waiting_for = join.missing
        self.completed_count = len(join.parents) - len(join.missing)

    def parent_ended(self, parent: str) -> None:
        """Note that a parent has ended."""
        if parent in self.waiting_for:
            self.waiting_for = tuple(p for p in self.waiting_for if p != parent)
            self.completed_count += 1


_DICT_KEYS = ("start", "expected_count", "completed_count", "waiting_for", "timeout")
"""Fields of a waiting join that can be read as if it was a dict."""


@attrs.define(eq=False)
class BarrierState:
    """The joins of one run that the debugger has found."""

    waiting_barriers: dict[str, WaitingBarrier] = attrs.field(factory=dict)
    """Joins that wait, by name."""
    worker_activity: dict[str, float] = attrs.field(factory=dict)
    """Start time of each running step, by name."""
    warned_barriers: set[str] = attrs.field(factory=set)
    """Joins that were reported as slow or hanging."""

    def clear(self) -> None:
        """Remove all joins and steps."""
        self.waiting_barriers.clear()
        self.worker_activity.clear()
        self.warned_barriers.clear()

    def add_announced(self, event: Event, now: float) -> None:
        """Add the join of a BARRIER_WAIT event; tolerate any payload."""
        payload = event.payload if isinstance(event.payload, dict) else {}
        self.waiting_barriers[event.stage] = WaitingBarrier(
            start=now,
            expected_count=_count(payload.get("expected_count")),
            completed_count=_count(payload.get("completed_count")),
            waiting_for=_names(payload.get("waiting_for")),
            timeout=payload.get("timeout"),
        )

    def refresh(
        self, meta: ObserverMeta, now: float
    ) -> list[tuple[str, WaitingBarrier]]:
        """Ask the run for its joins; return those that have been decided since."""
        joins: dict[str, WaitingJoin] = {}
        for join in meta.waiting():
            joins.setdefault(join.step, join)
        decided = []
        for name, wait in list(self.waiting_barriers.items()):
            current = joins.get(name)
            if wait.wave is None:
                wait.is_stale = current is None
            elif current is None or current.wave != wait.wave:
                decided.append((name, self.waiting_barriers.pop(name)))
        for name, join in joins.items():
            wait = self.waiting_barriers.setdefault(
                name, WaitingBarrier(now, wave=join.wave)
            )
            wait.update(join)
        return decided

    def step_ended(self, event: Event) -> None:
        """Record that a step is no longer at work."""
        self.worker_activity.pop(event.stage, None)
        for wait in self.waiting_barriers.values():
            wait.parent_ended(event.stage)
        if event.type is not EventType.MAP_COMPLETE:
            return
        target = (
            event.payload.get("target") if isinstance(event.payload, dict) else None
        )
        if target is not None:
            for stage in list(self.worker_activity):
                if stage == target or stage.startswith(f"{target}["):
                    del self.worker_activity[stage]

    def unreported(self) -> dict[str, WaitingBarrier]:
        """Return the joins that wait and were not reported yet."""
        return {
            name: wait
            for name, wait in self.waiting_barriers.items()
            if name not in self.warned_barriers and not wait.is_stale
        }

    def describe_causes(self, wait: WaitingBarrier, now: float) -> str:
        """Describe the activity of the awaited parents, and other running steps."""
        parts = [self._parent_activity(name, now) for name in wait.waiting_for]
        others = [s for s in self.worker_activity if s not in wait.waiting_for]
        if others:
            running = [
                f"{s} for {self._time(s, now)}" for s in others[:MAX_RUNNING_SHOWN]
            ]
            more = ", ..." if len(others) > MAX_RUNNING_SHOWN else ""
            parts.append(f"at work: {', '.join(running)}{more}")
        return "; ".join(parts)

    def _parent_activity(self, name: str, now: float) -> str:
        if name in self.worker_activity:
            return f"{name}: inactive for {self._time(name, now)}"
        return f"{name}: never started"

    def _time(self, name: str, now: float) -> str:
        return format_duration(max(0.0, now - self.worker_activity[name]))


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _names(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


TIMER_TOLERANCE = 0.001
"""Seconds by which a report may be early: a timer and a clock round differently."""

_logger = logging.getLogger("justpipe_actors")

END_EVENTS = (EventType.FINISH, EventType.TIMEOUT, EventType.CANCELLED)
"""Events after which the run has released its joins; the last known ones count."""


@dataclass(frozen=True, slots=True)
class BarrierDebugRecord:
    """One report about one join."""

    kind: str
    """``slow``, ``hang``, ``unresolved`` or ``error_state``."""
    barrier_name: str
    """Name of the join."""
    wait_time_s: float
    """Seconds it waited, or has waited so far."""
    expected_count: int
    """Number of parents."""
    completed_count: int
    """Number of parents that have reported."""
    waiting_for: tuple[str, ...]
    """Names of the parents that have not reported."""
    message: str
    """The report as a sentence."""


BarrierDebugSink = Callable[[BarrierDebugRecord], None]
"""Takes one record at a time."""


def log_record(record: BarrierDebugRecord) -> None:
    """Log a record as a warning of the logger ``justpipe_actors``."""
    _logger.warning("%s", record.message)


class BarrierDebugger(Observer):
    """Report joins that wait too long.

    Args:
        warn_after: seconds after which a waiting join is reported, once per run.
        clock: tells the time that event timestamps are compared with, such as
            ``time.time``; without one everything is measured by the event loop's clock.
        sink: takes the records; by default they are logged as warnings.
        keep: ended runs that ``for_run`` remembers.
    """

    def __init__(
        self,
        warn_after: float = 10.0,
        clock: Callable[[], float] | None = None,
        sink: BarrierDebugSink | None = None,
        *,
        keep: int = 16,
    ) -> None:
        self.warn_after = warn_after
        self.clock = clock
        self.sink: BarrierDebugSink = log_record if sink is None else sink
        self._runs = RunCache(BarrierState, keep)

    # -- reading

    def for_run(self, run_id: str) -> BarrierState:
        """Return the facts about one run.

        Args:
            run_id: the run.

        Raises:
            UnknownRunError: the run is not remembered.
        """
        return self._runs.for_run(run_id)

    @property
    def waiting_barriers(self) -> dict[str, WaitingBarrier]:
        """Joins that wait, by name, in the run that began last."""
        return self._runs.latest().waiting_barriers

    @property
    def worker_activity(self) -> dict[str, float]:
        """When each running step of that run began."""
        return self._runs.latest().worker_activity

    @property
    def warned_barriers(self) -> set[str]:
        """Joins of that run that were reported as slow or hanging."""
        return self._runs.latest().warned_barriers

    # -- observer hooks

    async def on_pipeline_start(
        self, state: Any, context: Any, meta: ObserverMeta
    ) -> None:
        """Begin with no joins."""
        self._runs.begin(run_id_of(meta))

    async def on_event(
        self, state: Any, context: Any, meta: ObserverMeta, event: Event
    ) -> None:
        """Update the joins from an event, and report those that are late."""
        barriers, now = self._runs.get_or_begin(run_id_of(meta)), self._time(event)
        if _is_run_meta(meta) and event.type not in END_EVENTS:
            for name, decided in barriers.refresh(meta, now):
                self._report_slow(barriers, name, decided, now - decided.start)
        match event.type:
            case EventType.BARRIER_WAIT:
                barriers.add_announced(event, now)
            case EventType.BARRIER_RELEASE:
                wait = barriers.waiting_barriers.pop(event.stage, None)
                if wait is not None:
                    self._report_slow(barriers, event.stage, wait, now - wait.start)
            case EventType.STEP_START | EventType.MAP_WORKER:
                barriers.worker_activity[event.stage] = now
                self._report_late(barriers, now, except_name=event.stage)
            case EventType.STEP_END | EventType.STEP_ERROR | EventType.MAP_COMPLETE:
                barriers.step_ended(event)
            case _:
                pass

    def wake_after(self, meta: ObserverMeta) -> float | None:
        """Ask to be woken when the first of the waiting joins is late."""
        unreported = self._runs.get_or_begin(run_id_of(meta)).unreported()
        if not unreported:
            return None
        first = min(wait.start for wait in unreported.values())
        return max(0.0, first + self.warn_after - self._now())

    async def on_wake(self, state: Any, context: Any, meta: ObserverMeta) -> None:
        """Report the joins that are late while nothing happens."""
        barriers, now = self._runs.get_or_begin(run_id_of(meta)), self._now()
        if _is_run_meta(meta):
            barriers.refresh(meta, now)
        self._report_late(barriers, now, is_due=True)

    async def on_pipeline_end(
        self, state: Any, context: Any, meta: ObserverMeta, duration_s: float
    ) -> None:
        """Report the joins that still wait."""
        self._close(meta, "unresolved", duration_s, "still waits at the end of the run")

    async def on_pipeline_error(
        self, state: Any, context: Any, meta: ObserverMeta, error: Exception
    ) -> None:
        """Report the joins that wait when a run has failed."""
        self._close(meta, "error_state", 0.0, "was waiting when the run failed")

    # -- findings

    def _time(self, event: Event) -> float:
        return anyio.current_time() if self.clock is None else event.timestamp

    def _now(self) -> float:
        return anyio.current_time() if self.clock is None else self.clock()

    def _report_slow(
        self, barriers: BarrierState, name: str, wait: WaitingBarrier, seconds: float
    ) -> None:
        if seconds > self.warn_after and name not in barriers.warned_barriers:
            barriers.warned_barriers.add(name)
            message = (
                f"Barrier '{name}' waited {format_duration(seconds)} for its parents."
            )
            self._report("slow", name, wait, seconds, message)

    def _report_late(
        self,
        barriers: BarrierState,
        now: float,
        *,
        except_name: str | None = None,
        is_due: bool = False,
    ) -> None:
        """Report joins that wait too long, except ``except_name``, just released."""
        for name, wait in barriers.unreported().items():
            seconds = now - wait.start
            is_late = seconds > self.warn_after - (TIMER_TOLERANCE if is_due else 0.0)
            if is_late and name != except_name:
                barriers.warned_barriers.add(name)
                message = (
                    f"Barrier '{name}' has waited {format_duration(seconds)}; "
                    f"{wait.completed_count} of {wait.expected_count} parents are "
                    f"done{_timeout_text(wait)}. {barriers.describe_causes(wait, self._now())}"
                )
                self._report("hang", name, wait, seconds, message)

    def _close(
        self, meta: ObserverMeta, kind: str, seconds: float, reason: str
    ) -> None:
        barriers = self._runs.get_or_begin(run_id_of(meta))
        for name, wait in barriers.waiting_barriers.items():
            if not wait.is_stale:
                missing = ", ".join(wait.waiting_for) or "no known parent"
                message = f"Barrier '{name}' {reason}, for {missing}."
                self._report(kind, name, wait, seconds, message)
        barriers.clear()
        self._runs.end(run_id_of(meta))

    def _report(
        self, kind: str, name: str, wait: WaitingBarrier, seconds: float, message: str
    ) -> None:
        record = BarrierDebugRecord(
            kind=kind,
            barrier_name=name,
            wait_time_s=seconds,
            expected_count=wait.expected_count,
            completed_count=wait.completed_count,
            waiting_for=wait.waiting_for,
            message=escape_controls(message),
        )
        self.sink(record)


def _is_run_meta(meta: object) -> bool:
    """Tell whether a run made this meta, and not a program that calls the observer."""
    return isinstance(meta, ObserverMeta) and meta.waiting is not no_joins


def _timeout_text(wait: WaitingBarrier) -> str:
    if not isinstance(wait.timeout, int | float):
        return ""
    return f", and it gives up after {format_duration(wait.timeout)}"
