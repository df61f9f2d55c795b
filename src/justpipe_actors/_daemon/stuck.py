"""Who holds a run up, and where: its invocations with the lines they wait at."""

from __future__ import annotations

import attrs

from .._actors.activation import Activation
from .._actors.awaits import awaited_at
from .._run.run import Run


@attrs.frozen
class StuckStep:
    """One invocation that goes on."""

    run_id: str
    """Its run, which may be a child of the one that is stuck."""
    step: str
    """Its step."""
    seconds: float
    """How long it has been running."""
    where: tuple[str, ...]
    """What it awaits, outermost first: ``file:line in function``; empty when unknown."""

    def __str__(self) -> str:
        place = self.where[-1] if self.where else "an unknown place"
        return f"step '{self.step}' for {self.seconds:.1f}s at {place}"


@attrs.frozen
class StuckRun:
    """One run that goes on."""

    run_id: str
    """The run."""
    pipe: str
    """Name of its pipe."""
    holders: dict[str, int]
    """Tokens by holder."""
    steps: tuple[StuckStep, ...]
    """Its invocations, and those of its child runs."""

    def __str__(self) -> str:
        held = ", ".join(f"{name} x{count}" for name, count in self.holders.items())
        at = "; ".join(str(step) for step in self.steps)
        return (
            f"run {self.run_id} of pipe '{self.pipe}' is held by "
            f"{held or 'its hooks or observers'}{': ' if at else ''}{at}"
        )


def stuck_run(run: Run) -> StuckRun:
    """Return who holds a run up, and where."""
    ledger = run.ledger
    return StuckRun(
        run_id=ledger.run_id,
        pipe=ledger.plan.name,
        holders=dict(ledger.holders),
        steps=tuple(
            _stuck_step(one)
            for one in ledger.activations
            if isinstance(one, Activation)
        ),
    )


def _stuck_step(act: Activation) -> StuckStep:
    where = awaited_at(act.coroutine) if act.coroutine is not None else ()
    return StuckStep(act.ledger.run_id, act.node.name, act.seconds, where)
