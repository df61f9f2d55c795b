"""One map invocation as data: what it maps over, its window, and how far it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Self

import attrs

from .._plan.plan import MapNode
from .._plan.step_results import StartMap
from .._publishing.invocation_ids import InvocationIds
from .._util.lazy_classes import define
from .._util.sync import Wakeup
from ..errors import MapSourceError
from .source_check import SourceCheck


if TYPE_CHECKING:
    from .invocation import Invocation


DEFAULT_WINDOW = 1024
"""Workers in flight when the map has no ``max_concurrency``."""

ISOLATED_WINDOW = 64
"""The default window in isolated mode, where each worker holds a copy of the state."""


@define(eq=False, repr=False)
class MapInvocation:
    """One map invocation and its workers."""

    invocation: Invocation
    """The invocation that owns it."""
    worker: str
    """The step started for each item."""
    source: AsyncIterator[object] | Iterator[object]
    """Iterator of the items."""
    total: int | None
    """Number of items, if it is known."""
    window: int
    """Highest number of workers in flight."""
    refill_at: int
    """Workers in flight at which new ones are started."""
    budget: float | None
    """Seconds left for producing items."""
    ids: InvocationIds
    """The ids of its events; its workers are counted by its invocation."""
    wakeup: Wakeup = attrs.field(factory=Wakeup, init=False)
    """Notified when workers finish."""
    item_count: int = attrs.field(default=0, init=False)
    """Items taken so far."""
    in_flight: int = attrs.field(default=0, init=False)
    """Workers not finished."""
    dropped: int = attrs.field(default=0, init=False)
    """Items of which no worker began, because the run was halted."""
    is_cut_short: bool = attrs.field(default=False, init=False)
    """Whether its source had more items when the run was halted."""
    results: dict[int, object] = attrs.field(factory=dict, init=False)
    """What workers returned, by the index of their item, if the map collects it."""
    collect: str | None = attrs.field(default=None, init=False)
    """The field or key of the state that receives the results."""
    failed: bool = attrs.field(default=False, init=False)
    """Whether a worker ended with an unhandled failure."""
    level: int = attrs.field(default=0, init=False)
    """Error handlers that had been asked when it was opened."""
    items: object = attrs.field(default=None, init=False)
    """What it maps over, in a durable run: a list, a range, or a lazy source."""
    is_adopted: bool = attrs.field(default=True, init=False)
    """Whether ``invocation`` is set; not yet in a run that is being taken up."""
    check: SourceCheck | None = attrs.field(default=None, init=False)
    """Compares a lazy source with what it gave before; None unless it was reopened."""

    @classmethod
    def reopened(
        cls,
        invocation_id: str,
        *,
        scope: tuple[str, ...],
        worker: str,
        total: int | None,
        window: int,
        item_count: int,
        failed: bool,
        level: int,
    ) -> Self:
        """Return a map as it was recorded; its invocation adopts it."""
        mapping = cls(
            invocation=None,  # type: ignore[arg-type]
            worker=worker,
            source=iter(()),
            total=total,
            window=window,
            refill_at=window,
            budget=None,
            ids=InvocationIds(invocation_id, owner=invocation_id, scope=scope),
        )
        mapping.is_adopted = False
        mapping.item_count, mapping.failed, mapping.level = item_count, failed, level
        return mapping

    def adopt(self, invocation: Invocation, budget: float | None) -> None:
        """Attach the map to the invocation that was delivered again."""
        self.invocation, self.budget = invocation, budget
        self.is_adopted = True
        if invocation.ids.invocation:
            self.ids = invocation.ids
        node = invocation.node
        chosen = node.max_concurrency if isinstance(node, MapNode) else None
        self.refill_at = self.window - 1 if chosen else self.window // 2

    def item_done(self, *, failed: bool) -> None:
        """Note that an item is finished and its slot is free."""
        self.in_flight -= 1
        self.failed = self.failed or failed
        if self.in_flight <= self.refill_at:
            self.wake_up()

    def wake_up(self) -> None:
        """Wake the invocation; it counts as at work again."""
        if self.is_adopted:
            self.invocation.is_resting = False
        self.wakeup.notify()


def open_map(
    invocation: Invocation, fan_out: StartMap, budget: float | None
) -> MapInvocation:
    """Open the source of a map and choose its window.

    Args:
        invocation: the invocation that maps.
        fan_out: what it maps over.
        budget: seconds left for producing items, None without a limit.

    Raises:
        MapSourceError: it is not iterable, or known to be too long.
    """
    node = invocation.node
    chosen = node.max_concurrency if isinstance(node, MapNode) else None
    total = _length(fan_out.items)
    most = invocation.run_state.plan.max_map_items
    if total is not None and total > most:
        raise MapSourceError(node.name, f"exceeded maximum of {most} items ({total})")
    is_isolated = invocation.run_state.isolation is not None
    window = chosen or (ISOLATED_WINDOW if is_isolated else DEFAULT_WINDOW)
    refill_at = window - 1 if chosen else window // 2
    items = fan_out.items
    if invocation.run_state.journal is not None:
        if (reopened := _reopened(invocation, items, budget)) is not None:
            return reopened
        if total is not None and type(items) is not range:
            items = list(items)  # type: ignore[call-overload]
    source = _iterate(node.name, items)
    ids = invocation.ids if invocation.ids.invocation else _new_ids(invocation)
    mapping = MapInvocation(
        invocation, fan_out.target, source, total, window, refill_at, budget, ids
    )
    mapping.level = invocation.level
    mapping.items = items
    mapping.collect = node.collect if isinstance(node, MapNode) else None
    return mapping


def _reopened(
    invocation: Invocation, items: object, budget: float | None
) -> MapInvocation | None:
    """Return the map that was open at a crash, with its new lazy source."""
    journal = invocation.run_state.journal
    assert journal is not None
    record = journal.maps.reopened.pop(invocation.message.id, None)
    if record is None:
        return None
    mapping = record.mapping
    mapping.adopt(invocation, budget)
    mapping.source = _iterate(invocation.node.name, items)
    mapping.check = SourceCheck(invocation.node.name, journal, record)
    return mapping


def _new_ids(invocation: Invocation) -> InvocationIds:
    """Return ids for the map of a handler that was asked about a barrier's timeout.

    No invocation of the join has begun, and workers must belong to one.
    """
    invocation_id = f"{invocation.run_state.run_id}:{invocation.message.id}"
    return InvocationIds(invocation_id, owner=invocation_id)


def _length(items: object) -> int | None:
    try:
        return len(items)  # type: ignore[arg-type]
    except TypeError:
        return None


def _iterate(step: str, items: object) -> AsyncIterator[object] | Iterator[object]:
    try:
        if hasattr(items, "__aiter__"):
            return items.__aiter__()  # type: ignore[no-any-return]
        return iter(items)  # type: ignore[call-overload,no-any-return]
    except TypeError as error:
        problem = (
            f"returned {type(items).__name__}, which is not iterable. "
            "Return a list of the items, or yield them."
        )
        is_of_user = error.__traceback__ is not None and error.__traceback__.tb_next
        raise MapSourceError(step, problem) from (error if is_of_user else None)
