"""The time a join waits for the rest of its parents: a timer that holds a token.

It is armed by the first report and disarmed by whoever decides the gate.  When it runs
out the gate is closed, and the join's actor judges the timeout (``judge_expiry``).
"""

from __future__ import annotations

from math import inf

import anyio
from trio.lowlevel import enable_ki_protection

from .. import seams
from .._plan.nodes import Node
from ..errors import BarrierTimeoutError, ReceiverKilled
from ..events import EventType, NodeKind
from ..seams import Seam
from ..shape import BarrierType
from . import posting
from .gate import Gate
from .ledger import Ledger, Timer
from .messages import Expire
from .wave import Wave


def arm(ledger: Ledger, wave: Wave, node: Node, gate: Gate) -> None:
    """Begin to wait against the clock, if the join has a timeout."""
    if not node.barrier_timeout or node.join is BarrierType.ANY or not node.is_join:
        return
    ledger.take()
    ledger.tally.begin()
    ledger.tally.wait(node.name)
    ledger.voice.say(
        EventType.BARRIER_WAIT,
        node.name,
        {
            "timeout": node.barrier_timeout,
            "dependencies": list(node.parents),
            "expected_count": len(node.parents),
            "completed_count": len(gate.reports),
            "waiting_for": list(gate.missing()),
        },
        NodeKind.BARRIER,
    )
    timer = ledger.timers[node.name, wave.number] = Timer(ledger.host.now())
    try:
        ledger.host.spawn(_run_timer, ledger, wave, node, timer)
    except BaseException:
        _forget_timer(ledger, wave, node)
        raise


@enable_ki_protection
async def _run_timer(ledger: Ledger, wave: Wave, node: Node, timer: Timer) -> None:
    """Wait for a barrier's timeout; whoever decides the gate first cancels this."""
    try:
        with timer.scope:
            await anyio.sleep(node.barrier_timeout or 0)
            if seams.active is not None:
                await seams.active.reach(Seam.TIMER, ledger.run_id, node.name)
            _expire(ledger, wave, node)
    except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - raised unless killed
        if anyio.current_effective_deadline() == -inf:
            raise
        ledger.host.outlive_kill()
        ledger.crash(ReceiverKilled(f"{node.name} (barrier)"))
    except Exception as error:  # noqa: BLE001 - a defect of the engine ends this run only
        ledger.crash(error)
    finally:
        _forget_timer(ledger, wave, node)


def _forget_timer(ledger: Ledger, wave: Wave, node: Node) -> None:
    del ledger.timers[node.name, wave.number]
    ledger.tally.end()
    ledger.give()


def _expire(ledger: Ledger, wave: Wave, node: Node) -> None:
    gate = wave.doorways[node.name].gate
    if gate is None or gate.decision is not None or ledger.halted:
        return
    error = BarrierTimeoutError(node.name, gate.missing(), node.barrier_timeout or 0)
    gate.close()
    wave.doorways[node.name].dead = True
    ledger.tally.expire(node.name)
    posting.send(ledger, wave, Expire(ledger.run_id, node.name, wave.number, error))


def release(ledger: Ledger, node: Node, timer: Timer) -> None:
    """Say that a join opened in time."""
    waited = round(ledger.host.now() - timer.armed_at, 6)
    ledger.tally.release(node.name, waited)
    ledger.voice.say(
        EventType.BARRIER_RELEASE, node.name, {"duration": waited}, NodeKind.BARRIER
    )
