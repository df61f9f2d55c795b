"""Run a map: pull an item, start its worker, keep a window of workers in flight.

Items are pulled lazily, so a source of a million items costs the memory of a window, and
no item waits for the last one to be produced.  A source with a length is checked before
anything starts.  If a source fails midway, or yields more than ``max_map_items``, the
workers that were started finish, and then the map fails.

The window is one slot per item, held until the item is *finished*: through all attempts,
inner maps and child runs of its worker.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

import anyio
import attrs
from anyio.lowlevel import checkpoint

from .._plan.step_results import PROCEED, FailStep, Proceed, StepResult
from .._publishing.lazy_events import MAP, MAP_WORKER
from .._util import failpoints
from .._util.failpoints import Seam
from .._util.user_errors import classify_exception
from ..errors import (
    MapSourceChanged,
    MapSourceError,
    ResultsRefused,
    StepTimeoutError,
)
from ..events import EventType, NodeKind
from ..outcomes import Diagnostic
from . import routing
from .map_invocation import MapInvocation
from .source_check import SourceCheck
from .user_code import advance, advance_async, drive_in_context


if TYPE_CHECKING:
    from .invocation import Invocation


_END: Any = object()

_logger = logging.getLogger("justpipe_actors")


async def run_map(mapping: MapInvocation) -> StepResult:
    """Start a worker for every item and wait for all of them."""
    invocation = mapping.invocation
    invocation_id = mapping.ids.invocation or ""
    journal = invocation.run_state.journal
    problem: Exception | None = None
    try:
        if mapping.check is not None and mapping.check.left:
            problem = await _skip_seen(mapping, mapping.check)
        item = _END if problem is not None else await _pull(mapping)
        invocation.run_state.add_map(invocation_id, mapping)
        if journal is not None:
            journal.maps.open(mapping)
        _publish_start(mapping)
        problem = problem or await _start_workers(mapping, item)
        await _wait_idle(mapping)
    finally:
        invocation.run_state.maps.pop(invocation_id, None)
        await _close_source(mapping)  # noqa: ASYNC102
    if problem is not None:
        return FailStep(problem)
    if invocation.run_state.interrupted:
        await checkpoint()  # raises: the map ended before all workers ran
    if invocation.run_state.halted:
        _note_left_items(mapping)
    if mapping.collect is not None:
        _assign_results(mapping, mapping.collect)
    _publish_complete(mapping)
    pruned = mapping.failed and invocation.run_state.plan.on_failure != "continue"
    return Proceed(pruned=True) if pruned else PROCEED


async def give_up_reopened(invocation: Invocation, answer: StepResult) -> StepResult:
    """Wait for the workers of a map that was not reopened after a crash, and fail."""
    run_state = invocation.run_state
    assert run_state.journal is not None
    record = run_state.journal.maps.reopened.pop(invocation.message.id)
    mapping = record.mapping
    mapping.adopt(invocation, None)
    await _wait_idle(mapping)
    run_state.maps.pop(mapping.ids.invocation or "", None)
    if isinstance(answer, FailStep):
        return answer
    return FailStep(MapSourceChanged(invocation.node.name, mapping.item_count))


async def _skip_seen(mapping: MapInvocation, check: SourceCheck) -> Exception | None:
    """Skip the items that had workers before a crash; return their mismatch if any."""
    try:
        while check.left:
            item = await _pull(mapping)
            if item is _END:
                check.finish()
            check.skip(item)
    except MapSourceChanged as error:
        return error
    return None


async def _start_workers(mapping: MapInvocation, item: object) -> Exception | None:
    """Start workers as the window allows; return the source's error if it failed."""
    run_state, run, plain = (
        mapping.invocation.run_state,
        mapping.invocation.variables.run,
        _plain_source(mapping),
    )
    journal = run_state.journal
    while item is not _END and not run_state.halted:
        if journal is not None and journal.stream.is_releasing:
            break
        if mapping.item_count >= run_state.plan.max_map_items:
            most = run_state.plan.max_map_items
            return MapSourceError(
                mapping.invocation.node.name, f"exceeded maximum of {most} items"
            )
        if run_state.publisher.backpressure.is_full:
            await run_state.publisher.wait_writable()
            continue
        if (
            journal is not None
            and (no := journal.maps.hold_item(mapping, item)) is not None
        ):
            return no
        _start_worker(mapping, item)
        if mapping.in_flight >= mapping.window:
            await _wait_below(mapping, mapping.window)
        try:
            if plain is not None:
                item = run(advance, plain, _END)
            else:
                item = await _pull(mapping)
        except BaseException as error:  # noqa: ASYNC103 - the engine's own errors are re-raised
            owner = run_state.system.is_owner_cancelled
            culprit = classify_exception(error, mapping.invocation.node.name, owner)
            if not isinstance(culprit, Exception):
                raise
            return culprit  # noqa: ASYNC104
    mapping.is_cut_short = item is not _END
    return None


def _note_left_items(mapping: MapInvocation) -> None:
    """Record that a suspension left a map before its last item, if it did."""
    run_state, name = mapping.invocation.run_state, mapping.invocation.node.name
    is_left = mapping.is_cut_short or mapping.dropped
    if not is_left or not run_state.metrics.suspends:
        return
    done = f"{mapping.item_count - mapping.dropped:,}"
    if mapping.total is not None:
        done += f" of {mapping.total:,}"
    text = f"Map '{name}' was left after {done} items: the run was suspended."
    run_state.add_diagnostic(Diagnostic(name, "suspended", (mapping.worker,), text))


def _assign_results(mapping: MapInvocation, target: str) -> None:
    """Assign the results of the workers to the state, in the order of their items."""
    values = [mapping.results[index] for index in sorted(mapping.results)]
    state: Any = mapping.invocation.run_state.state
    if isinstance(state, MutableMapping):
        state[target] = values
        return
    try:
        setattr(state, target, values)
    except (AttributeError, TypeError) as error:
        name = mapping.invocation.node.name
        raise ResultsRefused(name, target, type(state).__name__) from error


def _plain_source(mapping: MapInvocation) -> Iterator[object] | None:
    """Return the source if its items can be taken without waiting for anything."""
    if mapping.budget is not None or failpoints.active is not None:
        return None
    return None if isinstance(mapping.source, AsyncIterator) else mapping.source


def _start_worker(mapping: MapInvocation, item: object) -> None:
    invocation, index = mapping.invocation, mapping.item_count
    run_state, isolated = invocation.run_state, invocation.isolated
    if isolated is not None and isolated.is_source_open:
        item = isolated.item_for_worker(item)
    label = f"{mapping.worker}[{index}]"
    publisher = run_state.publisher
    if publisher.keeps_events:
        payload = {
            "index": index,
            "total": mapping.total,
            "target": mapping.worker,
            "owner": invocation.actor.node.name,
        }
        publisher.publish(MAP_WORKER, label, payload, MAP, mapping.ids)
    else:
        publisher.count(MAP_WORKER)
    mapping.item_count = index + 1
    mapping.in_flight += 1
    routing.start_map_worker(run_state, item, mapping, (*mapping.ids.scope, label))
    if run_state.journal is not None:
        run_state.journal.touch("f", invocation.message.id)


async def _wait_below(mapping: MapInvocation, limit: int) -> None:
    while mapping.in_flight >= limit and not mapping.invocation.run_state.halted:
        await _wait_wakeup(mapping)


async def _wait_idle(mapping: MapInvocation) -> None:
    mapping.refill_at = 0
    while mapping.in_flight:
        await _wait_wakeup(mapping)


async def _wait_wakeup(mapping: MapInvocation) -> None:
    if mapping.invocation.run_state.journal is None:
        mapping.invocation.is_resting = True
        await mapping.wakeup.wait()
        mapping.invocation.is_resting = False
    else:
        await _rest(mapping)
    if failpoints.active is not None:
        await failpoints.active.reach(
            Seam.WINDOW,
            mapping.invocation.run_state.run_id,
            mapping.invocation.node.name,
        )


async def _rest(mapping: MapInvocation) -> None:
    """Wait without user code at work, so that a durable run may be released."""
    invocation = mapping.invocation
    journal = invocation.run_state.journal
    assert journal is not None
    invocation.is_resting = True
    try:
        journal.stream.check_rest()
        await mapping.wakeup.wait()
    finally:
        invocation.is_resting = False


async def _pull(mapping: MapInvocation) -> object:
    """Take the next item, in the invocation's context and within its time."""
    if mapping.budget is None:
        return await _next_item(mapping)
    clock = mapping.invocation.run_state.system.now
    began = clock()
    with anyio.move_on_after(mapping.budget):
        item = await _next_item(mapping)
        mapping.budget -= clock() - began
        # A synchronous source cannot be interrupted; its timeout is checked afterwards.
        if mapping.budget > 0 or item is _END:
            return item
    raise StepTimeoutError(
        mapping.invocation.node.name, mapping.invocation.node.timeout or 0
    )


async def _next_item(mapping: MapInvocation) -> object:
    if failpoints.active is not None:
        await failpoints.active.reach(
            Seam.PULL, mapping.invocation.run_state.run_id, mapping.invocation.node.name
        )
    variables = mapping.invocation.variables
    source = mapping.source
    if isinstance(source, AsyncIterator):
        return await drive_in_context(variables, advance_async(source, _END))
    return variables.run(advance, source, _END)


async def _close_source(mapping: MapInvocation) -> None:
    """Close a generator; errors that it raises while closing are ignored."""
    try:
        if inspect.isasyncgen(mapping.source):
            with anyio.move_on_after(5, shield=True):
                await drive_in_context(
                    mapping.invocation.variables, mapping.source.aclose()
                )
        elif inspect.isgenerator(mapping.source):
            mapping.invocation.variables.run(mapping.source.close)
    except Exception as error:
        text = "The source of map '%s' failed while it was closed"
        _logger.warning(text, mapping.invocation.node.name, exc_info=error)


def _publish_start(mapping: MapInvocation) -> None:
    invocation = mapping.invocation
    payload = {"target": mapping.worker, "item_count": mapping.total}
    invocation.run_state.metrics.maps_started += 1
    invocation.run_state.publisher.publish(
        EventType.MAP_START, invocation.node.name, payload, NodeKind.MAP, mapping.ids
    )


def _publish_complete(mapping: MapInvocation) -> None:
    invocation = mapping.invocation
    invocation.run_state.metrics.maps_completed += 1
    payload = {
        "target": mapping.worker,
        "item_count": mapping.item_count,
        "owner_invocation_id": mapping.ids.invocation,
        "owner_scope": mapping.ids.scope,
    }
    ids = attrs.evolve(
        mapping.ids, parent=None, owner=mapping.ids.invocation, attempt=1
    )
    invocation.run_state.publisher.publish(
        EventType.MAP_COMPLETE, invocation.node.name, payload, NodeKind.MAP, ids
    )
