"""One invocation from its message to its token.

The questions are answered elsewhere and put together here: what the function says and
who is asked when it failed (``asking``), and what follows from the answer (``settling``).
"""

from __future__ import annotations

import anyio

from .. import seams
from .._plan.answers import PROCEED, Fail
from ..events import EventType
from ..meta import current_step_notes
from ..seams import Seam
from . import flow, settling
from .activation import Activation
from .asking import ask_within_time, begin_asking, climb, finish_asking
from .breaking import bury, is_outlived
from .ledger import Ledger
from .messages import Expire, Start
from .parts import Performer
from .voices import Lineage


async def perform(  # noqa: C901, PLR0912 - the life of an invocation, in order
    ledger: Ledger, actor: Performer, message: Start, scope: anyio.CancelScope
) -> None:
    """Run one invocation and leave nothing of it behind.

    From ``settle`` to the end nothing waits: the receiver is about to be free, so what is
    put meanwhile calls nobody else (``held``).
    """
    node = actor.node
    act = Activation(ledger, actor, message, scope, ledger.variables.copy())
    ledger.activations.add(act)
    ledger.tally.begin()
    try:
        if seams.active is not None:
            await seams.active.reach(Seam.TAKE, ledger.run_id, node.name)
        if ledger.voice.room.is_full:
            await act.wait_room()
        _begin(act)
        if node.timeout or seams.active is not None:
            answer = await ask_within_time(act)
        else:
            answer = begin_asking(act) or await finish_asking(act)
        if answer is not PROCEED:
            answer = await climb(act, answer)
        if seams.active is not None:
            await seams.active.reach(Seam.SETTLE, ledger.run_id, node.name)
        actor.crew.held = True
        settling.settle(act, answer)
    except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - raised unless outlived
        if not is_outlived(ledger, message):
            raise
    except BaseException as error:  # noqa: BLE001 - a defect of the engine ends this run only
        bury(ledger, message, error)
    finally:
        act.notes.open = False
        ledger.activations.discard(act)
        if message.fan is not None and not act.retried:
            settling.leave_fan(act)
        ledger.tally.completed += 1
        flow.finish(ledger, message)


def _begin(act: Activation) -> None:
    ledger, message = act.ledger, act.message
    ledger.invocations = number = ledger.invocations + 1
    invocation = f"{ledger.run_id}:{number}"
    owner = message.owner or message.fan or invocation
    act.lineage = Lineage(
        invocation, message.cause, owner, message.attempt, message.scope
    )
    act.began = ledger.host.now()
    if message.fan and message.attempt == 1:
        ledger.tally.begin_worker()
    act.variables.run(_announce, act)


def _announce(act: Activation) -> None:
    """Say that it begins, where the step will run: it sees what a witness sets here."""
    current_step_notes.set(act.notes)
    node = act.actor.node
    act.notes.said = act.ledger.voice.say(
        EventType.STEP_START, node.name, None, node.kind, act.lineage
    )


async def judge_expiry(
    ledger: Ledger, actor: Performer, message: Expire, scope: anyio.CancelScope
) -> None:
    """Take the timeout of a join that waited too long up the chain of that step."""
    start = Start(ledger.run_id, message.step, message.wave)
    act = Activation(ledger, actor, start, scope, ledger.variables.copy())
    act.began = ledger.host.now()
    act.notes.open = False
    ledger.activations.add(act)
    ledger.tally.begin()
    try:
        answer = await climb(act, Fail(message.error))
        settling.settle_expiry(act, answer)
    except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - raised unless outlived
        if not is_outlived(ledger, message):
            raise
    except BaseException as error:  # noqa: BLE001 - a defect of the engine ends this run only
        bury(ledger, message, error)
    finally:
        ledger.activations.discard(act)
        ledger.tally.completed += 1
        flow.finish(ledger, message)
