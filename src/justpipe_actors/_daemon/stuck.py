"""Who holds a run up, and where: its invocations with the lines they wait at."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from .._actors.activation import Activation
from .._actors.awaits import awaited_at
from .._actors.ledger import Ledger
from .._run.parent import ParentSink
from .._run.run import Run
from .._run.voice import RunVoice


@attrs.frozen
class StuckStep:
    """One invocation that goes on."""

    run_id: str
    """Its run, which may be a child of the one that is stuck."""
    step: str
    """Its step."""
    actor: str
    """The actor it is an activation of: pipe and step."""
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


def fields_of(report: StuckRun) -> dict[str, str]:
    """Return the fields of a log record about a run: run, and the deepest step and actor."""
    fields = {"run": report.run_id}
    if report.steps:
        deepest = report.steps[-1]
        fields |= {"step": deepest.step, "actor": deepest.actor}
    return fields


def stuck_run(run: Run) -> StuckRun:
    """Return who holds a run up, and where."""
    ledger = run.ledger
    acts = [
        one
        for member in _family(run)
        for one in member.activations
        if isinstance(one, Activation)
    ]
    return StuckRun(
        run_id=ledger.run_id,
        pipe=ledger.plan.name,
        holders=dict(ledger.holders),
        steps=tuple(
            _stuck_step(act) for act in sorted(acts, key=lambda act: -act.seconds)
        ),
    )


def _family(run: Run) -> Iterator[Ledger]:
    """Return the books of a run, and of the runs its sub-pipelines are."""
    if run.host is None:
        yield run.ledger
        return
    for ledger in run.host.runs.values():
        if _root_of(ledger) == run.ledger.run_id:
            yield ledger


def _root_of(ledger: Ledger) -> str:
    """Return the id of the run that nobody's step began."""
    voice = ledger.voice
    while isinstance(voice, RunVoice) and isinstance(voice.sink, ParentSink):
        voice = voice.sink.voice
    return voice.run_id if isinstance(voice, RunVoice) else ledger.run_id


def _stuck_step(act: Activation) -> StuckStep:
    where = awaited_at(act.coroutine) if act.coroutine is not None else ()
    step = act.node.name
    actor = f"{act.ledger.plan.name}/{step}"
    return StuckStep(act.ledger.run_id, step, actor, act.seconds, where)
