"""What a run is doing right now, as plain data."""

from __future__ import annotations

import attrs

from .run import Run


@attrs.frozen
class RunSnapshot:
    """What a run is doing right now; plain data."""

    run_id: str
    """The run."""
    pipe: str
    """Name of its pipe."""
    fingerprint: str
    """The version of the pipe it follows: its hash."""
    tokens: dict[str, int]
    """Tokens by holder: the steps, barriers and children it waits for."""
    waiting: dict[str, tuple[str, ...]]
    """Joins that wait, and the parents they wait for."""
    running: tuple[tuple[str, float], ...]
    """Invocations at work: step and seconds."""
    buffered: int
    """Events that wait for the consumer, or that are kept for whoever comes."""
    dropped: int
    """Events that nobody can read any more."""
    is_parked: bool
    """Whether its producers wait for a consumer that is behind."""
    age: float
    """Seconds since the run began."""


def snapshot_of(run: Run) -> RunSnapshot:
    """Return what a run is doing right now."""
    ledger, sink = run.ledger, run.voice.sink
    return RunSnapshot(
        run_id=ledger.run_id,
        pipe=ledger.plan.name,
        fingerprint=ledger.plan.fingerprint,
        tokens=dict(ledger.holders),
        waiting={join.step: join.missing for join in ledger.waiting()},
        running=tuple((a.node.name, a.seconds) for a in ledger.activations),
        buffered=len(sink),
        dropped=sink.dropped,
        is_parked=run.voice.is_full,
        age=run.age,
    )
