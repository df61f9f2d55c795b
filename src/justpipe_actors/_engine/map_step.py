"""A map at work: pull an item, start its worker, keep a window of them in flight.

Items are pulled lazily, so a source of a million items costs the memory of a window, and
no item waits for the last one to be produced.  A source with a length is checked before
anything starts.  A source that fails midway, or gives more than ``max_map_items``, lets
the workers that were started finish and then fails the map.

The window is one slot per item, held until the item is *finished*: through all attempts,
inner maps and child runs of its worker.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import attrs
from anyio.lowlevel import checkpoint

from .._plan.step_results import PROCEED, Answer, Fail, Proceed
from .._util import failpoints as seams
from .._util.failpoints import Seam
from ..errors import MapSourceError, StepTimeoutError
from ..events import EventType, NodeKind
from . import routing as flow
from .map_invocation import Fan
from .user_code import advance, advance_async, blamed, within


_END: Any = object()

_logger = logging.getLogger("justpipe_actors")


async def run_fan(fan: Fan) -> Answer:
    """Start a worker for every item and wait for all of them."""
    act = fan.act
    invocation = fan.lineage.invocation or ""
    problem: Exception | None = None
    try:
        item = await _pull(fan)
        act.ledger.fans[invocation] = fan
        _say_start(fan)
        problem = await _feed(fan, item)
        await _wait_idle(fan)
    finally:
        act.ledger.fans.pop(invocation, None)
        await _close_source(fan)  # noqa: ASYNC102
    if problem is not None:
        return Fail(problem)
    if act.ledger.interrupted:
        await checkpoint()  # it is over, not complete
    _say_complete(fan)
    pruned = fan.failed and act.ledger.plan.on_failure != "continue"
    return Proceed(pruned=True) if pruned else PROCEED


async def _feed(fan: Fan, item: object) -> Exception | None:
    """Start workers as the window allows; return what stopped the source, if it failed."""
    ledger, run, plain = fan.act.ledger, fan.act.variables.run, _plain_source(fan)
    while item is not _END and not ledger.halted:
        if fan.pulled >= ledger.plan.max_map_items:
            most = ledger.plan.max_map_items
            return MapSourceError(
                fan.act.node.name, f"exceeded maximum of {most} items"
            )
        if ledger.voice.room.is_full:
            await ledger.voice.wait_room()
            continue
        _start_worker(fan, item)
        if fan.in_flight >= fan.window:
            await _wait_below(fan, fan.window)
        try:
            if plain is not None:
                item = run(advance, plain, _END)
            else:
                item = await _pull(fan)
        except BaseException as error:  # noqa: ASYNC103 - what is our own is raised again
            owner = ledger.host.is_owner_cancelled
            culprit = blamed(error, fan.act.node.name, owner)
            if not isinstance(culprit, Exception):
                raise
            return culprit  # noqa: ASYNC104
    return None


def _plain_source(fan: Fan) -> Iterator[object] | None:
    """Return the source if its items can be taken without waiting for anything."""
    if fan.budget is not None or seams.active is not None:
        return None
    return None if isinstance(fan.source, AsyncIterator) else fan.source


def _start_worker(fan: Fan, item: object) -> None:
    act, index = fan.act, fan.pulled
    label = f"{fan.worker}[{index}]"
    payload = {
        "index": index,
        "total": fan.total,
        "target": fan.worker,
        "owner": act.actor.node.name,
    }
    act.ledger.voice.say_on(fan.said, EventType.MAP_WORKER, label, payload)
    fan.pulled += 1
    fan.in_flight += 1
    flow.begin_item(act.ledger, item, fan, (*fan.lineage.scope, label))


async def _wait_below(fan: Fan, limit: int) -> None:
    while fan.in_flight >= limit and not fan.act.ledger.halted:
        await _wait_bell(fan)


async def _wait_idle(fan: Fan) -> None:
    fan.low = 0
    while fan.in_flight:
        await _wait_bell(fan)


async def _wait_bell(fan: Fan) -> None:
    await fan.bell.wait()
    if seams.active is not None:
        await seams.active.reach(Seam.WINDOW, fan.act.ledger.run_id, fan.act.node.name)


async def _pull(fan: Fan) -> object:
    """Take the next item, in the activation's context and within its time."""
    if fan.budget is None:
        return await _next_item(fan)
    clock = fan.act.ledger.host.now
    began = clock()
    with anyio.move_on_after(fan.budget):
        item = await _next_item(fan)
        fan.budget -= clock() - began
        # A synchronous source cannot be interrupted, but it can be found out.
        if fan.budget > 0 or item is _END:
            return item
    raise StepTimeoutError(fan.act.node.name, fan.act.node.timeout or 0)


async def _next_item(fan: Fan) -> object:
    if seams.active is not None:
        await seams.active.reach(Seam.PULL, fan.act.ledger.run_id, fan.act.node.name)
    variables = fan.act.variables
    source = fan.source
    if isinstance(source, AsyncIterator):
        return await within(variables, advance_async(source, _END))
    return variables.run(advance, source, _END)


async def _close_source(fan: Fan) -> None:
    """Let a generator clean up; its own errors at that point change nothing."""
    try:
        if inspect.isasyncgen(fan.source):
            with anyio.move_on_after(5, shield=True):
                await within(fan.act.variables, fan.source.aclose())
        elif inspect.isgenerator(fan.source):
            fan.act.variables.run(fan.source.close)
    except Exception as error:
        text = "The source of map '%s' failed while it was closed"
        _logger.warning(text, fan.act.node.name, exc_info=error)


def _say_start(fan: Fan) -> None:
    act = fan.act
    payload = {"target": fan.worker, "item_count": fan.total}
    act.ledger.tally.maps_started += 1
    fan.said = act.ledger.voice.say(
        EventType.MAP_START, act.node.name, payload, NodeKind.MAP, fan.lineage
    )


def _say_complete(fan: Fan) -> None:
    act = fan.act
    act.ledger.tally.maps_completed += 1
    payload = {
        "target": fan.worker,
        "item_count": fan.pulled,
        "owner_invocation_id": fan.lineage.invocation,
        "owner_scope": fan.lineage.scope,
    }
    ids = attrs.evolve(
        fan.lineage, parent=None, owner=fan.lineage.invocation, attempt=1
    )
    act.ledger.voice.say(
        EventType.MAP_COMPLETE, act.node.name, payload, NodeKind.MAP, ids
    )
