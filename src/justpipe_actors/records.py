"""What a store remembers: runs, their events, and what can be asked about them.

``RunRecord`` and ``StoredEvent`` are standard frozen dataclasses, not attrs: programs
written for the reference build them, and change copies with ``dataclasses.replace``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple

import attrs

from .events import EventType
from .outcomes import PipelineTerminalStatus


class OpenStatus(Enum):
    """What a run is that has said no FINISH."""

    RUNNING = "running"
    ABANDONED = "abandoned"


RunStatus = PipelineTerminalStatus | OpenStatus
"""How a stored run stands: a terminal status once it has ended."""

LABELS = (
    *(status.value for status in OpenStatus),
    *(status.value for status in PipelineTerminalStatus),
    "suspended",
)
"""Every word that ``RunRecord.label`` can be."""


@dataclass(frozen=True)
class RunRecord:
    """One run as a store remembers it."""

    run_id: str
    """``Event.run_id`` of its events."""
    start_time: datetime
    """When observers were told that it begins."""
    end_time: datetime | None
    """When it ended; None while it runs, and for an abandoned run."""
    duration: timedelta | None
    """How long it took, on a monotonic clock."""
    status: RunStatus
    """How it stands; ``label`` also tells a suspended run from a finished one."""
    error_message: str | None = None
    """Why it was no success, as a sentence."""
    error_step: str | None = None
    """The step of the primary failure."""
    run_meta: str | None = None
    """What was noted on ``meta.run``, as JSON text."""
    reason: str | None = None
    """Why it was no success, as a ``FailureReason`` value; a suspended run's own words."""
    is_suspended: bool = False
    """Whether a step answered ``Suspend``; its status is SUCCESS then."""
    fingerprint: str | None = None
    """Names the exact definition that ran, beyond what ``pipeline_hash`` covers."""
    owner: str | None = None
    """Names the process that ran it."""
    last_seen: datetime | None = None
    """When that process last said that it is alive; None once the run has ended."""
    lost_events: int = 0
    """Events that could not be stored."""

    @property
    def label(self) -> str:
        """The word to show: one of ``LABELS``."""
        return "suspended" if self.is_suspended else self.status.value


@dataclass(frozen=True)
class StoredEvent:
    """One event as a store remembers it."""

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


class Place(NamedTuple):
    """Where in a run something happened; the same for all tokens of an invocation."""

    stage: str
    """``Event.stage``."""
    origin_run_id: str | None = None
    """``Event.origin_run_id``."""
    parent_run_id: str | None = None
    """``Event.parent_run_id``."""
    node_kind: str = "system"
    """Value of ``Event.node_kind``."""
    invocation_id: str | None = None
    """``Event.invocation_id``."""
    parent_invocation_id: str | None = None
    """``Event.parent_invocation_id``."""
    owner_invocation_id: str | None = None
    """``Event.owner_invocation_id``."""
    attempt: int = 1
    """``Event.attempt``."""
    scope: tuple[str, ...] = ()
    """``Event.scope``."""


class EventRow(NamedTuple):
    """One event taken apart for a store that keeps each ``Place`` only once."""

    seq: int
    """The event's own number."""
    type: str
    """Value of ``Event.type``."""
    timestamp: float
    """Seconds since the epoch."""
    place: Place
    """Where it happened."""
    payload: str | None
    """JSON text; None stands for null."""
    meta: str | None
    """JSON text; None stands for null."""
    same: int | None = None
    """Number of an earlier event with this payload: a store may keep just that."""


class TokenRow(NamedTuple):
    """Consecutive tokens of one place: nothing else of a run comes in such numbers."""

    seq: int
    """The first one's number; the others follow without a gap."""
    timestamps: tuple[float, ...]
    """Seconds since the epoch, one for each token."""
    place: Place
    """Where they happened."""
    payloads: str
    """JSON array of as many payloads."""


@attrs.frozen(kw_only=True)
class RunQuery:
    """Which runs are meant; what is left out does not restrict."""

    labels: tuple[str, ...] = ()
    """Any of these ``RunRecord.label`` words."""
    since: datetime | None = None
    """Started at this moment or later."""
    until: datetime | None = None
    """Started before this moment."""
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
