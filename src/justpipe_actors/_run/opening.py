"""Setting up a run, and running a child pipe on behalf of a step."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import attrs

from .. import seams
from .._actors.activation import Activation
from .._actors.calling import within
from .._actors.ledger import Ledger
from .._actors.parts import Stage
from .._actors.sub import ChildOutcome
from .._failure.journal import Trouble
from ..abc import ObserverMeta, WaitingJoin
from ..errors import DefinitionError
from ..failures import FailureKind
from ..seams import Seam
from .audience import NOBODY, Audience
from .conducting import conduct
from .hosting import Loop, current_loop
from .listener import Listener
from .notes import bind_notes
from .order import Order
from .parent import ParentSink
from .recording import Recording
from .run import Run
from .sink import Sink
from .voice import RunVoice


def new_run(order: Order, loop: Loop, sink: Sink, host: Stage | None) -> Run:
    """Set up a run; nothing of it happens before ``conduct``.

    Raises:
        DefinitionError: the context cannot take the ``Meta`` it asks for.
    """
    notes = bind_notes(order.context, order.plan.metadata)
    notes.about = (order.run_id, order.plan.name)
    audience = _audience_of(order, loop, lambda: ledger.waiting())
    voice = RunVoice(order.run_id, tuple(order.hooks), audience, sink)
    start = order.start
    ledger = Ledger(
        run_id=order.run_id,
        plan=order.plan,
        state=order.state,
        context=order.context,
        token=order.token.child(),
        voice=voice,
        variables=copy_context(),
        # A private host is opened by the run itself, before its first message.
        host=host,  # type: ignore[arg-type]
        start_child=run_child,
        tally=voice.tally,
        log_state=order.log_state,
        start=start,
        reached=order.plan.reachable(start) if start is not None else None,
    )
    run = Run(order, loop, voice, ledger, notes, host)
    voice.on_broken_hook = run.break_off
    for listener in audience.listeners:
        listener.on_abort = run.break_off
    return run


def _audience_of(
    order: Order, loop: Loop, waiting: Callable[[], tuple[WaitingJoin, ...]]
) -> Audience:
    if not order.observers and order.record is None:
        return NOBODY
    listeners: list[Listener | Recording] = []
    if order.observers:
        meta = ObserverMeta(order.plan.name, order.run_id, time.time(), waiting)
        listeners += [
            Listener(one, order.state, order.context, meta, loop)
            for one in order.observers
        ]
    if order.record is not None:
        recorder = order.record(order.run_id)
        recorder.is_hooked = bool(order.hooks)
        listeners.append(Recording(recorder, loop.call_soon))
    return Audience(listeners)


async def run_child(act: Activation, pipe: Any, state: object) -> ChildOutcome:
    """Run a child pipe for an activation, in the same host, through its voice."""
    ledger = act.ledger
    if not hasattr(pipe, "order"):
        msg = (
            f"Step '{act.node.name}' runs {type(pipe).__name__} as a sub-pipeline; "
            "pass a Pipe."
        )
        raise DefinitionError(msg, step_name=act.node.name)
    if seams.active is not None:
        await seams.active.reach(Seam.CHILD, ledger.run_id, act.node.name)
    order: Order = pipe.order(state, ledger.context)
    order = attrs.evolve(order, token=ledger.token.child(order.token))
    parent = ledger.voice
    assert isinstance(parent, RunVoice)
    run = new_run(order, current_loop(), ParentSink(parent, act), ledger.host)
    ledger.tally.begin()
    try:
        await within(act.variables.copy(), conduct(run))
    finally:
        ledger.tally.end()
    return _outcome(run)


def _outcome(run: Run) -> ChildOutcome:
    end = run.end
    if run.ledger.aborted is not None:
        raise run.ledger.aborted
    if end is None:
        msg = "The child run ended without an outcome."
        raise RuntimeError(msg)
    primary = run.ledger.journal.primary
    return ChildOutcome(
        end.status,
        primary.error if primary else None,
        _place(primary),
        end.error,
        bool(end.metrics and end.metrics.suspends),
    )


def _place(trouble: Trouble | None) -> str | None:
    if trouble is None:
        return None
    if trouble.step is not None:
        return trouble.step
    match trouble.kind:
        case FailureKind.STARTUP | FailureKind.SHUTDOWN:
            return str(trouble.kind.value)
        case _:
            return "system"
