"""The rows of a journal, as plain records.

Texts named ``delta``, ``state``, ``input``, ``outcome``, ``form`` and ``body`` are JSON
that the journal stores and returns as it is; it never looks into it.  Times are seconds
since the epoch on the journal's own clock (``Journal.now``); the two records that are
displayed, ``OpenAsk`` and ``JournaledRun``, have timezone-aware datetimes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from .._util.lazy_classes import frozen


RunState = Literal[
    "ready",
    "running",
    "waiting",
    "stuck",
    "suspended",
    "success",
    "failed",
    "timeout",
    "cancelled",
    "client_closed",
]
"""Status of a run: ``ready`` waits for a worker, ``waiting`` for an answer or time."""

OPEN_STATES: tuple[RunState, ...] = ("ready", "running", "waiting", "stuck")
"""The states of runs that have not ended."""

CommitKind = Literal["commit", "snapshot", "takeover", "release", "end", "redrive"]
"""Kind of a row in a run's stream; see ``Batch``."""


@frozen(kw_only=True)
class NewRun:
    """A run to be stored."""

    run_id: str
    """Its id; a second one of the same id is never stored."""
    pipe: str
    """Name of its pipe."""
    fingerprint: str
    """The version of the pipe it was submitted for."""
    input: str
    """JSON: state, context and options as submitted."""
    forked_from: str | None = None
    """Id of the run it is a copy of."""
    forked_at: int | None = None
    """Commit of that run it begins at."""
    delta: str | None = None
    """For a copy: the first row, a snapshot; None begins with no row."""
    state: str | None = None
    """For a copy: the state of that snapshot."""


@frozen(kw_only=True)
class RunRow:
    """One run as the journal has it."""

    id: int
    """The journal's own number for it; batches and rows name it by this."""
    run_id: str
    """Id of the run."""
    pipe: str
    """Name of its pipe."""
    fingerprint: str
    """The version of the pipe it was submitted for."""
    status: RunState
    """Status of the run."""
    input: str
    """JSON: state, context and options as submitted."""
    created: float
    """When it was submitted, in epoch seconds."""
    worker: int | None = None
    """The worker that has its lease."""
    incarnation: int = 0
    """Number of times that it was taken up."""
    wake_at: float | None = None
    """When a waiting run is due without an answer, in epoch seconds."""
    outcome: str | None = None
    """The outcome as JSON; None until it has ended."""
    problem: str | None = None
    """Why it is stuck, or did not end well, as a sentence."""
    forked_from: str | None = None
    """Id of the run it is a copy of."""
    forked_at: int | None = None
    """Commit of that run it begins at."""
    resumed_by: str | None = None
    """Id of the run that goes on where this one was suspended."""
    ended: float | None = None
    """When it ended, in epoch seconds; None before."""


@frozen
class Submitted:
    """The result of submitting a run."""

    run: RunRow
    """The run of that id: this one, or the one that was there."""
    is_new: bool
    """Whether it was stored now."""
    claim: Claim | None = None
    """The lease on it, when it was asked for and the run is new."""
    is_forgotten: bool = False
    """Whether a run of that id ended long ago and only its id is kept."""


@frozen
class Claim:
    """The lease on one run: its takeover row is written."""

    run: RunRow
    """The run, ``running`` and owned by the worker that asked."""
    n: int
    """Number of the takeover row; the next batch has ``n + 1``."""
    deaths: int = 0
    """Owners in a row that died since the last commit; a release starts the count anew."""


@frozen
class Commit:
    """One row of a run's stream."""

    n: int
    """Its number: 1, 2, 3, ... within the run."""
    kind: CommitKind
    at: float
    """When it was written, in epoch seconds."""
    delta: str
    """JSON object: entities and their new values, null when gone; in a snapshot, all."""
    state: str | None = None
    """JSON: changed parts of the state; in a snapshot, all of it. None: no change."""


@frozen(kw_only=True)
class NewAsk:
    """A question to be stored; one of the same id is replaced and open again."""

    id: str
    """``<run>:<step>:<key>``, with ``#<n>`` for the n-th invocation."""
    step: str
    """The step that asks."""
    note: str = ""
    """Text shown with the question."""
    form: str | None = None
    """JSON schema of the answer; None for a timer, which cannot be answered."""
    due: float | None = None
    """When it is too late to answer."""
    problem: str | None = None
    """Why an earlier answer was not taken."""


@frozen
class MapItems:
    """Consecutive items of a map's sized source."""

    map: int
    """Number of the message that started the map."""
    chunk: int
    """Number of this list of items: 0, 1, 2, ... within the map."""
    items: str
    """The items as a JSON array."""


@frozen(kw_only=True)
class Batch:
    """What one run writes at once, on the condition that row ``n`` is still free.

    ``(run, n)`` is the fence: a worker that takes a run over writes a row, so a batch
    of an owner that lost its lease finds its number taken and changes nothing.

    A ``commit`` has what changed, a ``snapshot`` everything.  A ``release`` gives the
    lease back: ``status`` is then ``ready``, ``waiting`` or ``stuck``.  An ``end`` is
    the last row: ``status`` is a terminal one or ``suspended``.
    """

    run: int
    """``RunRow.id``."""
    n: int
    """One more than the last row that this owner wrote."""
    kind: CommitKind
    """``commit``, ``snapshot``, ``release`` or ``end``."""
    delta: str = "{}"
    """JSON object: entities and their new values, null when gone."""
    state: str | None = None
    """JSON: changed parts of the state, or None."""
    items: tuple[MapItems, ...] = ()
    """Map items to keep."""
    maps_gone: tuple[int, ...] = ()
    """Maps that do not need their items any more."""
    asks: tuple[NewAsk, ...] = ()
    """Questions that are open from now on."""
    asks_gone: tuple[str, ...] = ()
    """Questions that are closed."""
    consumed: tuple[int, ...] = ()
    """Signals that this batch has handled."""
    status: RunState | None = None
    """For a ``release`` and an ``end``: the new status of the run."""
    wake_at: float | None = None
    """For a ``release``: when it is due without an answer."""
    outcome: str | None = None
    """For an ``end``: the outcome as JSON."""
    problem: str | None = None
    """For an ``end``, and a ``release`` to ``stuck``: why, as a sentence."""


SignalKind = Literal["answer", "cancel"]
"""Requests that can be sent to a run."""


@frozen(kw_only=True)
class Signal:
    """A request sent to a run; it is kept until a batch consumes it."""

    id: int
    """Ascending in the order in which they came."""
    run: int
    """``RunRow.id``."""
    kind: SignalKind
    ask: str | None = None
    """For an ``answer``: the question."""
    body: str | None = None
    """JSON: the answer, or the reason of a ``cancel``."""
    by: str | None = None
    """Name of the person or program that sent it."""
    at: float = 0.0
    """When it came, in epoch seconds."""


@frozen(kw_only=True)
class WorkerRow:
    """A supervisor that works on the journal's runs."""

    id: int
    """Its number; a worker that was declared dead gets a new one."""
    name: str
    """Name of its process, for display."""
    seen: float
    """Time of its last heartbeat, in epoch seconds."""


@frozen(kw_only=True)
class OpenAsk:
    """A question that waits for an answer."""

    id: str
    """Id of the question, for ``answer``."""
    run_id: str
    """The run that asks."""
    pipe: str
    """Name of its pipe."""
    step: str
    """The step that asks."""
    note: str
    """Text shown with the question."""
    form: dict[str, object]
    """JSON schema of the answer."""
    asked_at: datetime
    """When it was asked first."""
    due_at: datetime | None = None
    """When it is too late to answer; None is never."""
    problem: str | None = None
    """Why an earlier answer was not taken."""


@frozen(kw_only=True)
class JournaledRun:
    """A durable run, for display."""

    run_id: str
    """Id of the run."""
    pipe: str
    """Name of its pipe."""
    status: RunState
    """Status of the run."""
    worker: str | None
    """Names the process that has it at work."""
    incarnation: int
    """Number of times that it was taken up."""
    created_at: datetime
    """When it was submitted."""
    ended_at: datetime | None = None
    """When it ended; None before."""
    wake_at: datetime | None = None
    """When it goes on without an answer."""
    asks: tuple[str, ...] = ()
    """Ids of its open questions."""
    problem: str | None = None
    """Why it is stuck, or did not end well."""
    resumed_by: str | None = None
    """Id of the run that goes on for it, if it was suspended and then resumed."""


@frozen(kw_only=True)
class RunFilter:
    """A filter of runs; omitted fields do not restrict it."""

    statuses: tuple[RunState, ...] = ()
    """Only runs with one of these statuses."""
    pipes: tuple[str, ...] = ()
    """Only runs of these pipes."""
    prefix: str = ""
    """Only runs with ids that begin with this text."""
    limit: int | None = None
    """Maximum number of runs, the newest first."""
