"""Events: one numbered stream per run.

``Event`` is a standard frozen dataclass, not attrs: programs rewrite events in hooks
with ``dataclasses.replace``.
"""

from __future__ import annotations

import time
from dataclasses import field
from enum import Enum
from typing import Any

from ._util.lazy_classes import dataclass


PERSIST_LIMIT = 1_000_000
"""Characters of one stored payload, when the pipe does not say otherwise."""


class EventType(Enum):
    """What happened."""

    START = "start"
    FINISH = "finish"
    SUSPEND = "suspend"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    STEP_START = "step_start"
    STEP_END = "step_end"
    STEP_ERROR = "step_error"
    TOKEN = "token"
    BARRIER_WAIT = "barrier_wait"
    BARRIER_RELEASE = "barrier_release"
    MAP_START = "map_start"
    MAP_WORKER = "map_worker"
    MAP_COMPLETE = "map_complete"
    STATE_CHANGE = "state_change"
    ASK = "ask"
    ANSWER = "answer"
    RECOVERED = "recovered"
    GAP = "gap"


class NodeKind(Enum):
    """The kind of node that an event is about."""

    SYSTEM = "system"
    STEP = "step"
    MAP = "map"
    SWITCH = "switch"
    SUB = "sub"
    BARRIER = "barrier"


@dataclass(frozen=True)
class Event:
    """One fact about a run, in the order of ``seq``."""

    type: EventType
    """What happened."""
    stage: str
    """The step it happened to; ``"system"`` for the run itself, ``"sub:inner"`` below a sub-pipeline."""
    payload: Any = None
    """The state on START and STEP_END, the item on TOKEN, the error's text on STEP_ERROR."""
    timestamp: float = field(default_factory=time.time)
    """Wall clock at creation, in seconds since the epoch."""
    run_id: str | None = None
    """Id of the run that the stream belongs to."""
    origin_run_id: str | None = None
    """The run in which it happened: a child's, for events forwarded by a sub-pipeline."""
    parent_run_id: str | None = None
    """The child run that forwarded it, None for the stream's own events."""
    seq: int | None = None
    """1, 2, 3, ... without gaps within one stream.

    Each time a durable run is taken up, its numbers go on without gaps from RECOVERED,
    above all numbers published before.  None on GAP, which is no event of the run.
    """
    node_kind: NodeKind = NodeKind.SYSTEM
    """The kind of node that the event is about."""
    invocation_id: str | None = None
    """``"<run_id>:<n>"`` of the step's invocation."""
    parent_invocation_id: str | None = None
    """The invocation that caused this one."""
    owner_invocation_id: str | None = None
    """The map or sub invocation this one works for, else its own."""
    attempt: int = 1
    """1 for the first attempt of this invocation, one more for each ``Retry()``."""
    scope: tuple[str, ...] = ()
    """The map workers and sub-pipelines around it, outermost first."""
    meta: dict[str, Any] | None = None
    """Notes of the step, and the framework's own figures."""
