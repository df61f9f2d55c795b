"""Routing: turn the outcome of an invocation into the next messages.

A step reports its outcome to its successors.  A successor without a join starts at
once.  A join counts the reports of its parents in its wave (``joins``), and starts or
is pruned when they decide it.  Joins that still wait in a wave without work are decided
here, too.

All functions are synchronous, because they are part of a commit: no other code runs
between the last event of an invocation (``commit``), the messages to its successors and
the release of its token.  They change the waves, tokens and timers of the ``RunState``,
put messages into inboxes and call no function of a step.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .._plan.plan import NO_ITEM, MapNode, Node
from .._util import failpoints
from .._util.failpoints import Seam
from .._util.lazy_classes import define
from ..events import EventType, NodeKind
from ..outcomes import Diagnostic
from ..specs import BarrierType
from .joins import ARRIVED, Decision, JoinGate, Report, StepEntry, Wave
from .messages import Expire, Start
from .run_state import BarrierTimer, RunState


if TYPE_CHECKING:
    from .map_invocation import MapInvocation


def send(run_state: RunState, wave: Wave | None, message: Start | Expire) -> None:
    """Acquire a token for a message and put it into its actor's inbox."""
    if failpoints.active is not None:
        failpoints.active.reach_nowait(Seam.PUT, run_state.run_id, message.step)
    run_state.tokens += 1
    run_state.sent = message.id = run_state.sent + 1
    if wave is not None:
        wave.live_count += 1
    try:
        if run_state.journal is not None:
            run_state.journal.send(message)
            return
        step = message.step
        actor = run_state.actors.get(step) or run_state.system.actor(
            run_state.plan, step
        )
        actor.put(message)
    except Exception as error:
        run_state.crash(error)  # the message may be in an inbox without a dispatcher
        raise


def put(run_state: RunState, message: Start | Expire) -> None:
    """Put a message that already holds its token into its actor's inbox."""
    step = message.step
    try:
        actor = run_state.actors.get(step) or run_state.system.actor(
            run_state.plan, step
        )
        actor.put(message)
    except Exception as error:
        run_state.crash(error)  # the message may be in an inbox without a dispatcher
        raise


def arm_timer(run_state: RunState, wave: Wave, node: Node, gate: JoinGate) -> None:
    """Start the timer of a join, if the join has a timeout."""
    if not node.barrier_timeout or node.join is BarrierType.ANY or not node.is_join:
        return
    run_state.metrics.count_barrier_wait(node.name)
    run_state.publisher.publish(
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
    start_timer(run_state, wave, node, run_state.system.now() + node.barrier_timeout)


def start_timer(run_state: RunState, wave: Wave, node: Node, due: float) -> None:
    """Start a join's timer; it holds a token until the join is decided or is due."""
    armed_at = due - (node.barrier_timeout or 0)
    timer = BarrierTimer(armed_at)
    run_state.add_timer(node.name, wave.number, timer)
    run_state.acquire_token()
    run_state.metrics.count_task_start()
    if run_state.journal is not None:
        run_state.journal.armed(node.name, wave.number, due)
    try:
        timer.timer = run_state.system.timers.start(
            due,
            partial(_time_is_up, run_state, wave, node),
            on_fault=partial(_fail_timer, run_state, wave, node),
            run_id=run_state.run_id,
            name=node.name,
        )
    except BaseException:
        run_state.stop_timer(node.name, wave.number)
        raise


def rearm_timer(run_state: RunState, join: str, wave: int, due: float) -> None:
    """Let the timer of a join fire at another time of the loop's clock."""
    timer, opened = run_state.timers.get((join, wave)), run_state.waves.get(wave)
    if timer is None or timer.timer is None or opened is None:
        return
    run_state.system.timers.stop(timer.timer)
    node = run_state.plan.nodes[join]
    timer.timer = run_state.system.timers.start(
        due,
        partial(_time_is_up, run_state, opened, node),
        on_fault=partial(_fail_timer, run_state, opened, node),
        run_id=run_state.run_id,
        name=join,
    )


def _time_is_up(run_state: RunState, wave: Wave, node: Node) -> None:
    """Expire a join that is due; its timer holds a token until that is done."""
    try:
        _expire(run_state, wave, node)
    except Exception as error:  # noqa: BLE001 - a defect of the engine ends this run only
        run_state.crash(error)
    finally:
        run_state.stop_timer(node.name, wave.number)


def _fail_timer(run_state: RunState, wave: Wave, node: Node, error: Exception) -> None:
    run_state.crash(error)
    run_state.stop_timer(node.name, wave.number)


def _expire(run_state: RunState, wave: Wave, node: Node) -> None:
    gate = wave.entries[node.name].gate
    if gate is None or gate.decision is not None or run_state.halted:
        return
    missing, seconds = gate.missing(), node.barrier_timeout or 0
    gate.close()
    wave.entries[node.name].dead = True
    if run_state.journal is not None:
        run_state.journal.touch("d", wave.number, node.name)
    run_state.metrics.count_barrier_timeout(node.name)
    send(
        run_state,
        wave,
        Expire(run_state.run_id, node.name, wave.number, missing, seconds),
    )


def publish_barrier_release(
    run_state: RunState, node: Node, timer: BarrierTimer
) -> None:
    """Publish that a join was released within its timeout."""
    waited = round(run_state.system.now() - timer.armed_at, 6)
    run_state.metrics.count_barrier_opened(node.name, waited)
    run_state.publisher.publish(
        EventType.BARRIER_RELEASE, node.name, {"duration": waited}, NodeKind.BARRIER
    )


@define(eq=False)  # perf: not frozen, see ``messages``
class _ReportDelivery:
    """One report to deliver: its wave, source, target and content."""

    wave: Wave
    source: str
    target: str
    report: Report
    named: bool = False


def start_step(
    run_state: RunState,
    step: str,
    wave: Wave,
    cause: str | None = None,
    item: object = NO_ITEM,
    scope: tuple[str, ...] = (),
) -> None:
    """Start a step in a wave, or in a new one if it has started in this one already."""
    if step in wave.started:
        wave = run_state.open_wave(wave)
    wave.started.add(step)  # perf: ``start`` without its call (bench: chain)
    if run_state.journal is not None:
        run_state.journal.begin("s", wave.number, step)
    message = Start(run_state.run_id, step, wave.number, cause, item, None, scope)
    send(run_state, wave, message)


def start_map_worker(
    run_state: RunState, item: object, mapping: MapInvocation, scope: tuple[str, ...]
) -> None:
    """Start a map worker for an item; its own wave is opened when it is needed."""
    run_state.wave_count = number = run_state.wave_count + 1
    source = mapping.invocation.message
    # perf: ``wave_of`` opens a wave only for some map workers (bench: map).
    wave = run_state.waves.get(source.wave) or run_state.wave_of(source)
    before = wave.started_so_far()
    step, owner = mapping.worker, mapping.ids.invocation
    message = Start(
        run_state.run_id,
        step,
        number,
        owner,
        item,
        owner,
        scope,
        started_before=before,
    )
    send(run_state, None, message)


def start_named_step(
    run_state: RunState,
    wave: Wave,
    source: Node,
    target: str,
    *,
    cause: str | None = None,
    scope: tuple[str, ...] = (),
    item: object = NO_ITEM,
) -> bool:
    """Start a step that a result has named; return whether this is a lap of a loop.

    In a lap the source does not report yet, because its last lap reports.  If the target
    is a join downstream, the source counts as one more parent of it in this pass.
    """
    if source.name in run_state.plan.reachable(target):
        lap = run_state.open_lap(
            wave, source.name, run_state.plan.loops.get(source.name)
        )
        start_step(run_state, target, lap, cause=cause, scope=scope, item=item)
        return True
    wave = _wave_beyond(run_state, wave, source, target)
    node = run_state.plan.nodes.get(target)
    if node is None or not node.is_join or not _may_report(wave, node):
        start_step(run_state, target, wave, cause=cause, scope=scope, item=item)
        return False
    delivery = _ReportDelivery(wave, source.name, target, Report.ARRIVED, named=True)
    _record_report(run_state, node, delivery, cause, scope)
    return False


def _may_report(wave: Wave, join: Node) -> bool:
    """Tell whether a join accepts reports in a wave, including those it ignores."""
    entry = wave.entries.get(join.name)
    if entry is None:
        return join.name not in wave.started
    gate = entry.gate
    assert gate is not None
    if gate.decision is None:
        return join.name not in wave.started
    return join.join is BarrierType.ANY and gate.decision is Decision.OPEN


def _wave_beyond(run_state: RunState, wave: Wave, source: Node, target: str) -> Wave:
    """Return the wave in which a target of this wave's step runs.

    The step that closes a loop reports outside its laps, and so does every edge that
    leaves the cycle of a lap.
    """
    if wave.parent_wave is None:
        return wave
    wave = wave.wave_after(source.name)
    loops = run_state.plan.loops
    loop = loops.get(source.name)
    if loop is not None and loops.get(target) != loop:
        return wave.outside(loop)
    return wave


def finish_message(run_state: RunState, message: Start | Expire) -> None:
    """Release the token and wave of a message, after its outputs were sent."""
    if run_state.journal is not None:
        run_state.journal.finished(message)
    if run_state.waits is not None:
        run_state.waits.finished(message)
    wave = run_state.waves.get(message.wave)
    if wave is None:  # a map worker that needed no wave
        pass
    elif wave.live_count > 1:
        wave.live_count -= 1
    else:
        _leave_wave(run_state, wave)
    run_state.tokens -= 1  # perf: mostly not the last one (bench: chain, map)
    if not run_state.tokens:
        run_state.wake_owner()


def _leave_wave(run_state: RunState, last: Wave) -> None:
    """Finish the last message of a wave, and close the wave if nothing is left in it."""
    wave: Wave | None = last
    try:
        while wave is not None:
            wave.live_count -= 1
            if wave.live_count or not _close_wave(run_state, wave):
                break
            wave = wave.parent_wave
    except Exception as error:  # noqa: BLE001 - a defect of the engine ends this run only
        run_state.crash(error)


def abandon_message(run_state: RunState, message: Start | Expire) -> None:
    """Release the token and wave of a message that will not be executed."""
    if isinstance(message, Start) and (
        mapping := run_state.maps.get(message.map_id or "")
    ):
        mapping.dropped += 1
        mapping.item_done(failed=False)
    finish_message(run_state, message)


def start_successors(
    run_state: RunState,
    wave: Wave,
    node: Node,
    cause: str | None,
    item: object = NO_ITEM,
) -> None:
    """Start the successors of a node that no join and no route depends on.

    Args:
        run_state: the run; it is not halted.
        wave: the pass of the node.
        node: the node.
        cause: id of the invocation that starts them.
        item: the answer to the node's question, passed to them.
    """
    for step in node.to:
        beyond = wave
        if wave.parent_wave is not None:
            beyond = _wave_beyond(run_state, wave, node, step)
        start_step(run_state, step, beyond, cause, item)  # perf: no keywords


def report_to_successors(
    run_state: RunState,
    wave: Wave,
    node: Node,
    report: Report,
    *,
    chosen: str | None = None,
    cause: str | None = None,
    item: object = NO_ITEM,
) -> None:
    """Report a node's outcome to its successors, and on from those that cannot start.

    Args:
        run_state: the run.
        wave: the pass of the outcome.
        node: the reporting node.
        report: the report to its static successors; with ARRIVED, the routes not taken
            get ABSENT.
        chosen: the route a switch took.
        cause: id of the invocation that caused the report.
        item: the answer to the node's question, passed to its successors.
    """
    if run_state.halted:
        return
    if report is ARRIVED and node.starts_successors_directly:
        start_successors(run_state, wave, node, cause, item)
        return
    deliveries = _deliveries(run_state, wave, node, report, chosen)
    for delivery in deliveries:  # dead branches append to this list
        target = run_state.plan.nodes[delivery.target]
        if delivery.report is ARRIVED and not target.waits_for(delivery.source):
            gets = item if delivery.source == node.name else NO_ITEM
            start_step(
                run_state, delivery.target, delivery.wave, cause=cause, item=gets
            )
        elif (
            dead_report := _record_report(run_state, target, delivery, cause)
        ) is not None:
            deliveries.extend(
                _deliveries(run_state, delivery.wave, target, dead_report, None)
            )


def _deliveries(
    run_state: RunState, wave: Wave, node: Node, report: Report, chosen: str | None
) -> list[_ReportDelivery]:
    """Return a node's reports, except to the chosen route, which already has its own."""
    source, missed = node.name, report
    if report is ARRIVED:
        missed = Report.ABSENT
    return [
        _ReportDelivery(
            _wave_beyond(run_state, wave, node, target), source, target, delivered
        )
        for targets, delivered in ((node.to, report), (node.routes_to, missed))
        for target in targets
        if target != chosen
    ]


def _record_report(
    run_state: RunState,
    target: Node,
    delivery: _ReportDelivery,
    cause: str | None,
    scope: tuple[str, ...] = (),
) -> Report | None:
    """Record a report at a step; return the step's own report if it is now dead."""
    wave = delivery.wave
    entry = wave.entries.get(target.name)
    if entry is None:
        entry = _new_entry(target)
        wave.add_entry(target.name, entry)
        if run_state.journal is not None:
            run_state.journal.begin("d", wave.number, target.name)
    elif run_state.journal is not None:
        run_state.journal.touch("d", wave.number, target.name)
    gate = entry.gate
    if gate is not None and delivery.named:
        gate.expect(delivery.source)
    if gate is None or delivery.source not in gate.parents:
        entry.router_reports[delivery.source] = delivery.report
    else:
        first = not gate.reports
        decision = gate.report(delivery.source, delivery.report)
        if first and gate.decision is None:
            arm_timer(run_state, wave, target, gate)
        if delivery.report is ARRIVED and gate.decision is Decision.ABSENT:
            # The route was reported as not taken, and then a step named the target.
            _add_diagnostic(run_state, target.name, "unsatisfied", (delivery.source,))
        if decision is not None:
            _apply_decision(run_state, wave, target, gate, cause, scope)
    if entry.dead or target.name in wave.started:
        return None
    dead_report = entry.dead_report()
    entry.dead = dead_report is not None
    return dead_report


def _new_entry(node: Node) -> StepEntry:
    gate = JoinGate(node.parents, node.join) if node.parents else None
    return StepEntry(gate, node.routed_by)


def _apply_decision(
    run_state: RunState,
    wave: Wave,
    node: Node,
    gate: JoinGate,
    cause: str | None,
    scope: tuple[str, ...],
) -> None:
    timer = run_state.timers.get((node.name, wave.number))
    run_state.stop_timer(node.name, wave.number)
    match gate.decision:
        case Decision.OPEN:
            if timer is not None:
                publish_barrier_release(run_state, node, timer)
            start_step(run_state, node.name, wave, cause=cause, scope=scope)
        case Decision.PRUNED if node.is_join:
            _add_diagnostic(run_state, node.name, "pruned", gate.pruned_parents())
        case _:
            pass


def _add_diagnostic(
    run_state: RunState, step: str, kind: str, parents: tuple[str, ...]
) -> None:
    is_one = len(parents) == 1
    if kind == "pruned":
        reasons = {_why_pruned(run_state, name) for name in parents}
        why = " or ".join(sorted(reasons))
        if not is_one:
            why = why.replace("was skipped", "were skipped")
    else:
        why = "did not report in the same pass through the graph"
    names = ", ".join(f"'{name}'" for name in parents)
    subject = f"its {'parent' if is_one else 'parents'} {names}"
    message = f"Step '{step}' did not run: {subject} {why}."
    run_state.add_diagnostic(Diagnostic(step, kind, parents, message))


def _why_pruned(run_state: RunState, name: str) -> str:
    """Return the reason why a parent passed no result on, as a verb."""
    failed = {failure.step for failure in run_state.failures.failures}
    node = run_state.plan.nodes.get(name)
    if isinstance(node, MapNode) and node.each in failed:
        return "had failed items"
    is_failed = any(step and step.partition(":")[0] == name for step in failed)
    return "failed" if is_failed else "was skipped"


# -- joins that can no longer complete


def _close_wave(run_state: RunState, wave: Wave) -> bool:
    """Decide waiting joins of a wave without work; tell whether the wave is closed."""
    while wave.entries and not wave.live_count and not run_state.halted:
        if waiting := wave.waiting():
            _give_up_on_parent(run_state, wave, _upstream_first(run_state, waiting))
        elif (dead := wave.unreported_death()) is not None:
            step, report = dead
            if run_state.journal is not None:
                run_state.journal.touch("d", wave.number, step)
            report_to_successors(run_state, wave, run_state.plan.nodes[step], report)
        else:
            break
    if wave.live_count:
        return False
    run_state.waves.pop(wave.number, None)
    if run_state.journal is not None:
        run_state.journal.wave_closed(wave)
    return True


def _give_up_on_parent(run_state: RunState, wave: Wave, step: str) -> None:
    """Report to a join on behalf of its first missing parent."""
    gate = wave.entries[step].gate
    assert gate is not None
    parent = gate.missing()[0]
    delivery = _ReportDelivery(
        wave, parent, step, _report_of_missing_parent(run_state, wave, step, parent)
    )
    dead_report = _record_report(run_state, run_state.plan.nodes[step], delivery, None)
    if dead_report is not None:
        report_to_successors(run_state, wave, run_state.plan.nodes[step], dead_report)


def _upstream_first(run_state: RunState, waiting: list[str]) -> str:
    """Return a waiting join that is not downstream of another waiting join."""
    for step in waiting:
        if not any(
            step in run_state.plan.reachable(other)
            for other in waiting
            if other != step
        ):
            return step
    return waiting[0]


def _report_of_missing_parent(
    run_state: RunState, wave: Wave, step: str, parent: str
) -> Report:
    """Return the report for a parent that did not report in this wave.

    Either the parent ran in an earlier wave with a join that has not run, so the two
    paths do not meet.  Or it is not reachable from ``start=``.  Or it was not required: a
    route is a parent only in a pass that takes it.
    """
    if step not in run_state.plan.nodes[parent].to:
        return Report.ABSENT
    reached = run_state.reached
    if parent in wave.started_before and step not in wave.started_before:
        _add_diagnostic(run_state, step, "unsatisfied", (parent,))
        return Report.PRUNED
    if reached is not None and step in reached and parent not in reached:
        return Report.PRUNED
    return Report.ABSENT
