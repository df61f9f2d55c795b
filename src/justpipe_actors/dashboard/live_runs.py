"""The supervisor's active runs, stored or not, from its event buffers.

A run that is not stored has a page, too: the page begins with the buffered events, and
with a GAP in the place of the dropped ones.  Events are batched for a tenth of a second, so that
a stream of tokens needs few messages.  A slow reader never delays the run.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from .._run.run import RunSnapshot
from ..codec import Limits, to_plain
from ..events import Event, EventType
from .graphs import joins_of
from .run_details import CUT, WITHOUT_PAYLOAD
from .spans import event_row
from .streams import Emit, emit_rows


if TYPE_CHECKING:
    from ..supervisor import Supervisor


BATCH_TIME = 0.1
"""Seconds that events are collected for before they are sent."""

MAX_PENDING = 5_000
"""Maximum number of events that wait to be sent; then no more events are read."""

_LIMITS = Limits(depth=8, values=1_000, text=CUT)
"""How much of a payload is looked at before it is cut."""


def is_at_work(supervisor: Supervisor | None, run_id: str) -> bool:
    """Tell whether a supervisor has a run of exactly this id at work."""
    return snapshot_of(supervisor, run_id) is not None


def snapshot_of(supervisor: Supervisor | None, run_id: str) -> RunSnapshot | None:
    """Return the current state of a run; None when it is not at work here."""
    if supervisor is None or not supervisor.is_open:
        return None
    return supervisor.snapshot().runs.get(run_id)


def live_details(run: RunSnapshot, description: dict[str, Any]) -> dict[str, Any]:
    """Return a run that is not stored, in the shape of a stored one.

    Args:
        run: its state.
        description: what its pipe is.
    """
    begin = datetime.fromtimestamp(time.time() - run.age, UTC)
    unknown = (
        "end_time",
        "duration_seconds",
        "error_message",
        "error_step",
        "run_meta",
    )
    return {
        "run_id": run.run_id,
        "pipeline_name": run.pipe,
        "pipeline_hash": run.fingerprint,
        "fingerprint": None,
        "status": "running",
        "start_time": begin.isoformat(),
        **dict.fromkeys((*unknown, "reason", "owner", "metrics", "last_seen")),
        "tags": [],
        "lost_events": 0,
        "event_counts": {},
        "failures": [],
        "diagnostics": [],
        "is_live": True,
        "is_stored": False,
        "joins": joins_of(description),
    }


def live_spans(run: RunSnapshot) -> dict[str, Any]:
    """Return an empty list of spans: the stream sends all kept events."""
    return {
        "spans": [],
        "next": 0,
        "t0": time.time() - run.age,
        "is_cut": False,
        "incarnations": [],
    }


@attrs.define(eq=False)
class LiveReader:
    """Sends the events of one run to one reader, many at a time."""

    events: AsyncIterator[Event]
    """What ``supervisor.listen`` returned."""
    emit: Emit
    """Sends a message to the reader."""
    has_payloads: bool = True
    """Whether payloads are sent."""
    _pending: list[Event] = attrs.field(factory=list, init=False)
    _changed: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    _taken: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    _is_over: bool = attrs.field(default=False, init=False)

    async def run(self) -> None:
        """Send until the run has ended."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read)
            while not self._is_over or self._pending:
                await self._changed.wait()
                await anyio.sleep(BATCH_TIME)
                self._changed = anyio.Event()
                await self._send()

    async def _read(self) -> None:
        async for event in self.events:
            self._pending.append(event)
            self._changed.set()
            if len(self._pending) >= MAX_PENDING:
                self._taken = anyio.Event()
                await self._taken.wait()
        self._is_over = True
        self._changed.set()

    async def _send(self) -> None:
        pending, self._pending = self._pending, []
        self._taken.set()
        rows = [event_row(event, self._payload(event)) for event in pending]
        texts = [json.dumps(row) for row in rows]
        numbers = [event.seq for event in pending]
        await emit_rows(list(zip(numbers, texts, strict=True)), self.emit)

    def _payload(self, event: Event) -> Any:
        if event.type is EventType.GAP:
            return event.payload
        if event.type in WITHOUT_PAYLOAD or not self.has_payloads:
            return None
        value = to_plain(event.payload, _LIMITS)
        text = json.dumps(value)
        return value if len(text) <= CUT else text[:CUT]
