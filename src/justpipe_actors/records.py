"""Records of a store: runs, their events, and queries for them.

``RunRecord`` and ``StoredEvent`` are standard frozen dataclasses, not attrs: programs
written for the reference build them, and change copies with ``dataclasses.replace``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple

import attrs

from .events import EventType, NodeKind
from .outcomes import PipelineTerminalStatus


class OpenStatus(Enum):
    """Status of a run without a FINISH event."""

    RUNNING = "running"
    WAITING = "waiting"
    STUCK = "stuck"
    ABANDONED = "abandoned"


RunStatus = PipelineTerminalStatus | OpenStatus
"""Status of a stored run: a terminal status once it has ended."""

LABELS = (
    *(status.value for status in OpenStatus),
    *(status.value for status in PipelineTerminalStatus),
    "suspended",
)
"""Every word that ``RunRecord.label`` can be."""


@dataclass(frozen=True)
class RunRecord:
    """One stored run."""

    run_id: str
    """``Event.run_id`` of its events."""
    start_time: datetime
    """Time of the start, as given to observers."""
    end_time: datetime | None
    """When it ended; None while it runs, and for an abandoned run."""
    duration: timedelta | None
    """Duration on a monotonic clock; None if it is not known."""
    status: RunStatus
    """Status; ``label`` also distinguishes a suspended run from a finished one."""
    error_message: str | None = None
    """Why it was no success, as a sentence."""
    error_step: str | None = None
    """The step of the primary failure."""
    run_meta: str | None = None
    """Notes of ``meta.run``, as JSON text."""
    reason: str | None = None
    """Why it was no success, as a ``FailureReason`` value; a suspended run's own words."""
    is_suspended: bool = False
    """Whether a step answered ``Suspend``; its status is SUCCESS then."""
    fingerprint: str | None = None
    """Names the exact definition that ran, beyond what ``pipeline_hash`` covers."""
    owner: str | None = None
    """Names the process that ran it."""
    last_seen: datetime | None = None
    """Last heartbeat of that process; None once the run has ended."""
    lost_events: int = 0
    """Events that could not be stored."""
    journal: str | None = None
    """Location of the journal of a durable run; None for other runs."""

    @property
    def label(self) -> str:
        """The word to show: one of ``LABELS``."""
        return "suspended" if self.is_suspended else self.status.value


@dataclass(frozen=True)
class StoredEvent:
    """One stored event."""

    seq: int
    """The event's own number, dense from 1 within its run."""
    timestamp: datetime
    """When it was created."""
    event_type: EventType | str
    """What happened; text when this version does not know the type."""
    step_name: str
    """The event's ``stage``."""
    data: str
    """The whole event as a JSON object; the source of truth."""

    @property
    def type_name(self) -> str:
        """The event's type as text, known or not."""
        kind = self.event_type
        return kind.value if isinstance(kind, EventType) else kind


class EventHeader(NamedTuple):
    """A stored event without payload and notes; fields are named as those of ``Event``.

    perf: a tuple, because spans of a long run need ten thousand of them at once.
    """

    type: EventType
    """What happened."""
    stage: str
    """The step it happened to."""
    timestamp: float
    """Seconds since the epoch."""
    seq: int | None = None
    """Number of the event within its run."""
    node_kind: NodeKind = NodeKind.SYSTEM
    """The kind of node that it is about."""
    attempt: int = 1
    """The attempt of the invocation."""
    scope: Sequence[str] = ()
    """The map workers and sub-pipelines around it, outermost first."""
    run_id: str | None = None
    """Id of the run that the stream belongs to."""
    origin_run_id: str | None = None
    """The run in which it happened."""
    parent_run_id: str | None = None
    """The child run that forwarded it."""
    invocation_id: str | None = None
    """Id of the step's invocation."""
    parent_invocation_id: str | None = None
    """The invocation that caused this one."""
    owner_invocation_id: str | None = None
    """The map or sub invocation that this one works for, else its own."""
    tries: int = 1
    """At the end of an invocation: how often ``retries=`` called its function."""


class EventChunk(NamedTuple):
    """Consecutive events of one run, taken apart for a store that keeps them together.

    Fields that all events share are written once, and JSON is encoded for many events
    at a time, which makes a chunk cheap.  ``storage.chunks`` rebuilds the events.
    """

    first: int
    """Number of the first event; the others follow without a gap."""
    last: int
    """Number of the last event."""
    times: bytes
    """Seconds since the epoch, one little-endian double for each event."""
    fields: str
    """JSON object: the fields that all events share, and under ``each`` the others.

    ``tries`` has the tries that the metas count, by index in the chunk, where several.

    The keys are those of an event.  Where ``run_id`` is ``"$"``, each ``$`` that begins
    a text stands for the run's id.
    """
    payloads: str
    """JSON array: one payload for each event."""
    metas: str | None
    """JSON array: one meta for each event; None when no event has one."""
    echoes: str | None
    """JSON object: by index in the chunk, the earlier event with the same payload."""
    counts: str
    """JSON object: how many events there are of each type."""


@attrs.frozen(kw_only=True)
class RunQuery:
    """A query for runs; omitted fields do not restrict it."""

    labels: tuple[str, ...] = ()
    """Any of these ``RunRecord.label`` words."""
    since: datetime | None = None
    """Started at this time or later."""
    until: datetime | None = None
    """Started before this time."""
    text: str = ""
    """Occurs in the error message, the run's metadata or the step at fault."""


@attrs.frozen(kw_only=True)
class RunSummary:
    """Figures over the runs of a query."""

    counts: Mapping[str, int]
    """Runs by ``RunRecord.label``; words without runs are left out."""
    timed: int = 0
    """Runs with a known duration."""
    average: timedelta | None = None
    """Mean duration of those."""
    shortest: timedelta | None = None
    """The least of them."""
    longest: timedelta | None = None
    """The greatest of them."""
    last_start: datetime | None = None
    """When the newest run started."""

    @property
    def total(self) -> int:
        """Runs altogether."""
        return sum(self.counts.values())
