"""How one invocation's outcome becomes the next messages.

Everything on this page is synchronous.  That is the commit point of the engine: a
message is taken, a function runs, and then, in one go that nothing can interrupt, its
event is published, its outputs are put and its token is given back.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import anyio
from trio.lowlevel import enable_ki_protection

from .._plan.plan import NO_ITEM, Node, SwitchNode
from .._util import failpoints as seams
from .._util.failpoints import Seam
from ..errors import BarrierTimeoutError, ReceiverKilled
from ..events import EventType, NodeKind
from ..outcomes import Diagnostic
from ..specs import BarrierType
from .joins import Decision, Doorway, Gate, Report, Wave
from .messages import Expire, Start
from .run_state import Ledger, Timer


def send(ledger: Ledger, wave: Wave | None, message: Start | Expire) -> None:
    """Put a message into its actor's inbox; it holds a token from here on."""
    if seams.active is not None:
        seams.active.cross(Seam.PUT, ledger.run_id, message.step)
    ledger.tokens += 1
    if wave is not None:
        wave.live += 1
    step = message.step
    try:
        actor = ledger.cast.get(step) or ledger.host.actor(ledger.plan, step)
        actor.put(message)
    except Exception as error:
        ledger.crash(error)  # it may lie in an inbox that nobody serves
        raise


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
    send(ledger, wave, Expire(ledger.run_id, node.name, wave.number, error))


def release(ledger: Ledger, node: Node, timer: Timer) -> None:
    """Say that a join opened in time."""
    waited = round(ledger.host.now() - timer.armed_at, 6)
    ledger.tally.release(node.name, waited)
    ledger.voice.say(
        EventType.BARRIER_RELEASE, node.name, {"duration": waited}, NodeKind.BARRIER
    )


if TYPE_CHECKING:
    from attrs import frozen

    from .map_invocation import Fan
else:
    # Frozen for type checkers only: see ``messages``.
    from attrs import define as frozen


@frozen(eq=False)
class _Word:
    """One report on its way: in which wave, and who tells whom what."""

    wave: Wave
    source: str
    target: str
    report: Report
    routed: bool = False


def begin(
    ledger: Ledger,
    step: str,
    wave: Wave,
    *,
    cause: str | None = None,
    scope: tuple[str, ...] = (),
) -> None:
    """Start a step in a wave, or in a new one if it has started in this one already."""
    if step in wave.started:
        wave = ledger.open_wave(wave)
    wave.start(step)
    message = Start(ledger.run_id, step, wave.number, cause, NO_ITEM, None, scope)
    send(ledger, wave, message)


def begin_item(ledger: Ledger, item: object, fan: Fan, scope: tuple[str, ...]) -> None:
    """Start a map's worker for an item, in a wave of its own that is opened when needed."""
    ledger.wave_count = number = ledger.wave_count + 1
    before = ledger.wave_of(fan.act.message).seen()
    step, owner = fan.worker, fan.lineage.invocation
    one = Start(ledger.run_id, step, number, owner, item, owner, scope, before=before)
    send(ledger, None, one)


def jump(
    ledger: Ledger,
    wave: Wave,
    source: Node,
    target: str,
    *,
    cause: str | None = None,
    scope: tuple[str, ...] = (),
) -> bool:
    """Start a step that another one named; tell whether that is the lap of a loop.

    If it is, the source has nothing to report yet: the last lap will.
    """
    is_back = source.name in ledger.plan.reachable(target)
    wave = ledger.open_lap(wave, source.name) if is_back else wave.beyond(source.name)
    begin(ledger, target, wave, cause=cause, scope=scope)
    return is_back


def finish(ledger: Ledger, message: Start | Expire) -> None:
    """Give back what a message held, after its outputs were put."""
    wave = ledger.waves.get(message.wave)
    if wave is None:  # a map worker's, and nothing needed it
        ledger.give()
        return
    if wave.live > 1:
        wave.live -= 1
        ledger.give()
        return
    try:
        while wave is not None:
            wave.live -= 1
            if wave.live or not _close(ledger, wave):
                break
            wave = wave.outer
    except Exception as error:  # noqa: BLE001 - a defect of the engine ends this run only
        ledger.crash(error)
    ledger.give()


def abandon(ledger: Ledger, message: Start | Expire) -> None:
    """Give back what a message holds that nobody will perform."""
    if isinstance(message, Start) and (fan := ledger.fans.get(message.fan or "")):
        fan.item_done(failed=False)
    finish(ledger, message)


def spread(
    ledger: Ledger,
    wave: Wave,
    node: Node,
    report: Report,
    *,
    chosen: str | None = None,
    cause: str | None = None,
) -> None:
    """Tell a node's successors what became of it, and through dead ones, theirs.

    Args:
        ledger: the run.
        wave: the pass it happened in.
        node: who reports.
        report: to its static successors; the routes not taken hear ABSENT instead of
            ARRIVED.
        chosen: the route a switch took.
        cause: the invocation that led here.
    """
    if ledger.halted:
        return
    if report is Report.ARRIVED and node.leads_straight:
        wave = wave.beyond(node.name)
        for step in node.to:
            begin(ledger, step, wave, cause=cause)
        return
    words = _words(wave, node, report, chosen)
    for word in words:  # which dead branches make longer
        target = ledger.plan.nodes[word.target]
        if word.report is Report.ARRIVED and not target.is_join:
            begin(ledger, word.target, word.wave, cause=cause)
        elif (death := _hear(ledger, target, word, cause)) is not None:
            words.extend(_words(word.wave, target, death, None))


def _words(wave: Wave, node: Node, report: Report, chosen: str | None) -> list[_Word]:
    wave, source = wave.beyond(node.name), node.name
    words = [_Word(wave, source, target, report) for target in node.to]
    if isinstance(node, SwitchNode):
        missed = Report.ABSENT if report is Report.ARRIVED else report
        words += [
            _Word(wave, source, target, missed, routed=True)
            for target in node.targets
            if target != chosen
        ]
    return words


def _hear(
    ledger: Ledger, target: Node, word: _Word, cause: str | None
) -> Report | None:
    """Let a step take note of a report; return its own when it is dead now."""
    wave = word.wave
    doorway = wave.doorways.get(target.name)
    if doorway is None:
        doorway = wave.doorways[target.name] = _doorway(target)
    if word.routed:
        doorway.elsewhere[word.source] = word.report
    elif doorway.gate is not None:
        first = not doorway.gate.reports
        decision = doorway.gate.report(word.source, word.report)
        if first and doorway.gate.decision is None:
            arm(ledger, wave, target, doorway.gate)
        if word.report is Report.ARRIVED and doorway.gate.decision is Decision.ABSENT:
            # Its way was said not to be taken, and then a step named it after all.
            _note(ledger, target.name, "unsatisfied", (word.source,))
        if decision is not None:
            _decided(ledger, wave, target, doorway.gate, cause)
    if doorway.dead or target.name in wave.started:
        return None
    death = doorway.death()
    doorway.dead = death is not None
    return death


def _doorway(node: Node) -> Doorway:
    gate = Gate(node.parents, node.join) if node.parents else None
    return Doorway(gate, node.routed_by)


def _decided(
    ledger: Ledger, wave: Wave, node: Node, gate: Gate, cause: str | None
) -> None:
    timer = ledger.timers.get((node.name, wave.number))
    if timer is not None:
        timer.scope.cancel()
    match gate.decision:
        case Decision.OPEN:
            if timer is not None:
                release(ledger, node, timer)
            begin(ledger, node.name, wave, cause=cause)
        case Decision.PRUNED if node.is_join:
            _note(ledger, node.name, "pruned", gate.at_fault())
        case _:
            pass


def _note(ledger: Ledger, step: str, kind: str, parents: tuple[str, ...]) -> None:
    why = "were cut off" if kind == "pruned" else "did not come in the same pass"
    ledger.note(
        Diagnostic(
            step,
            kind,
            parents,
            f"Step '{step}' did not run: {', '.join(parents)} {why}.",
        )
    )


# -- joins that nobody will complete any more


def _close(ledger: Ledger, wave: Wave) -> bool:
    """Decide what still waits where nothing can start any more; tell if that was the end."""
    while wave.doorways and not wave.live and not ledger.halted:
        if not (waiting := wave.waiting()):
            break
        step = _upstream_first(ledger, waiting)
        gate = wave.doorways[step].gate
        assert gate is not None
        parent = gate.missing()[0]
        word = _Word(wave, parent, step, _fate(ledger, wave, step, parent))
        death = _hear(ledger, ledger.plan.nodes[step], word, None)
        if death is not None:
            spread(ledger, wave, ledger.plan.nodes[step], death)
    if wave.live:
        return False
    ledger.waves.pop(wave.number, None)
    return True


def _upstream_first(ledger: Ledger, waiting: list[str]) -> str:
    """Return a waiting join that no other waiting join leads to."""
    for step in waiting:
        if not any(step in ledger.plan.reachable(o) for o in waiting if o != step):
            return step
    return waiting[0]


def _fate(ledger: Ledger, wave: Wave, step: str, parent: str) -> Report:
    """Say what became of a parent that never reported in this wave.

    It took part in an earlier wave, whose join has not run: two ways that do not meet.
    It is beyond ``start=``.  Or else it was not wanted.
    """
    reached = ledger.reached
    if parent in wave.background and step not in wave.background:
        _note(ledger, step, "unsatisfied", (parent,))
        return Report.PRUNED
    if reached is not None and step in reached and parent not in reached:
        return Report.PRUNED
    return Report.ABSENT
