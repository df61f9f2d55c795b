"""What a ``BarrierDebugger`` knows of one run: who waits, for whom, and who works."""

from __future__ import annotations

import attrs

from ..abc import ObserverMeta, WaitingJoin
from ..events import Event, EventType
from .durations import duration_text


AT_WORK_SHOWN = 5
"""Running steps that a report names."""


@attrs.define(eq=False)
class Wait:
    """One join that waits."""

    start: float
    """Since when."""
    expected_count: int = 0
    """Parents in all."""
    completed_count: int = 0
    """Parents that have reported."""
    waiting_for: tuple[str, ...] = ()
    """Parents that have not."""
    timeout: float | None = None
    """Its ``barrier_timeout``."""
    wave: int | None = None
    """The pass it waits in; None when it announced itself."""
    is_gone: bool = False
    """Whether it was decided without saying so."""

    def learn(self, join: WaitingJoin) -> None:
        """Take over what the run knows."""
        self.expected_count = len(join.parents)
        self.waiting_for = join.missing
        self.completed_count = len(join.parents) - len(join.missing)

    def arrived(self, parent: str) -> None:
        """Note that a parent has ended."""
        if parent in self.waiting_for:
            self.waiting_for = tuple(p for p in self.waiting_for if p != parent)
            self.completed_count += 1


@attrs.define(eq=False)
class BarrierWatch:
    """What is known of one run's joins."""

    waiting_barriers: dict[str, Wait] = attrs.field(factory=dict)
    """Joins that wait, by name."""
    worker_activity: dict[str, float] = attrs.field(factory=dict)
    """When each running step began."""
    warned_barriers: set[str] = attrs.field(factory=set)
    """Joins that were reported as slow or hanging."""

    def clear(self) -> None:
        """Forget everything."""
        self.waiting_barriers.clear()
        self.worker_activity.clear()
        self.warned_barriers.clear()

    def announce(self, event: Event, now: float) -> None:
        """Note a BARRIER_WAIT, whatever its payload looks like."""
        payload = event.payload if isinstance(event.payload, dict) else {}
        self.waiting_barriers[event.stage] = Wait(
            start=now,
            expected_count=_count(payload.get("expected_count")),
            completed_count=_count(payload.get("completed_count")),
            waiting_for=_names(payload.get("waiting_for")),
            timeout=payload.get("timeout"),
        )

    def ask(self, meta: ObserverMeta, now: float) -> list[tuple[str, Wait]]:
        """Ask the run for its joins; return those that have been decided meanwhile."""
        joins: dict[str, WaitingJoin] = {}
        for join in meta.waiting():
            joins.setdefault(join.step, join)
        decided = []
        for name, wait in list(self.waiting_barriers.items()):
            known = joins.get(name)
            if wait.wave is None:
                wait.is_gone = known is None
            elif known is None or known.wave != wait.wave:
                decided.append((name, self.waiting_barriers.pop(name)))
        for name, join in joins.items():
            wait = self.waiting_barriers.setdefault(name, Wait(now, wave=join.wave))
            wait.learn(join)
        return decided

    def ended(self, event: Event) -> None:
        """Note that a step is not at work any more."""
        self.worker_activity.pop(event.stage, None)
        for wait in self.waiting_barriers.values():
            wait.arrived(event.stage)
        if event.type is not EventType.MAP_COMPLETE:
            return
        target = (
            event.payload.get("target") if isinstance(event.payload, dict) else None
        )
        if target is not None:
            for stage in list(self.worker_activity):
                if stage == target or stage.startswith(f"{target}["):
                    del self.worker_activity[stage]

    def pending(self) -> dict[str, Wait]:
        """Return the joins that wait and were not reported yet."""
        return {
            name: wait
            for name, wait in self.waiting_barriers.items()
            if name not in self.warned_barriers and not wait.is_gone
        }

    def causes(self, wait: Wait, now: float) -> str:
        """Say what the awaited parents do, and who is at work besides."""
        parts = [self._doing(name, now) for name in wait.waiting_for]
        others = [s for s in self.worker_activity if s not in wait.waiting_for]
        if others:
            told = [f"{s} for {self._time(s, now)}" for s in others[:AT_WORK_SHOWN]]
            more = ", ..." if len(others) > AT_WORK_SHOWN else ""
            parts.append(f"at work: {', '.join(told)}{more}")
        return "; ".join(parts)

    def _doing(self, name: str, now: float) -> str:
        if name in self.worker_activity:
            return f"{name}: inactive for {self._time(name, now)}"
        return f"{name}: never started"

    def _time(self, name: str, now: float) -> str:
        return duration_text(max(0.0, now - self.worker_activity[name]))


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _names(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()
