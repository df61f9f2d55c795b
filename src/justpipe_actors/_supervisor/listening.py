"""The listeners of one supervisor, and the history pollers they share.

A run that is not at work here may be in a journal, in the store of a pipe, or in any
store under a storage root; ``new_listening`` puts these histories together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from weakref import WeakSet

import anyio
import anyio.to_thread
import attrs
from anyio.lowlevel import checkpoint

from .._publishing.kept_events import MIN_KEPT, KeptEvents
from .._publishing.lazy_events import number_of
from .._run.run import Run
from .._run.run_stream import RunStream
from .._util.lazy_classes import define, frozen
from ..abc import FindHistory, Journal, RunHistory, RunRow, StorageBackend
from ..errors import UnknownRunError
from ..events import Event
from ..outcomes import PipelineTerminalStatus
from ..storage.history import StoreHistory
from ..storage.paths import storage_root
from ..storage.registry import PipelineRegistry
from .active_runs import ActiveRuns
from .catalog import Catalog
from .durable_runs import DurableRuns
from .listener import PAGE, Listener, Source, parse_number


POLL_INTERVAL = 0.25
"""Seconds between two reads of the history of a run in another process."""


@frozen
class JournalRunHistory:
    """A run of a journal; its events may be in a store, now or later."""

    run_id: str
    journal: Journal
    """Tells whether the run has ended."""
    find_stored: FindHistory
    """Finds its events, if its pipe stores them."""

    def is_open(self) -> bool:
        """Tell whether the run is still open in any process."""
        return is_going_on(self.journal.find(self.run_id))

    def read(self, after: int, limit: int) -> Sequence[Event]:
        """Return the next stored events."""
        stored = self.find_stored(self.run_id)
        return () if stored is None else stored.read(after, limit)


def is_going_on(row: RunRow | None) -> bool:
    """Tell whether a run of a journal is open: it has not ended and is not stuck."""
    return row is not None and row.outcome is None and row.status != "stuck"


@frozen
class JournalHistory:
    """The runs of a journal, and those of stores."""

    journal: Journal
    find_stored: FindHistory
    """Finds a run's events in the stores of the pipes."""

    def find(self, run_id: str) -> RunHistory | None:
        """Return the history of a run; None if journal and stores do not have it."""
        if self.journal.find(run_id) is None:
            return self.find_stored(run_id)
        return JournalRunHistory(run_id, self.journal, self.find_stored)


@define(eq=False, repr=False)
class HistoryPoller:
    """Reads the events that another process stores, for all listeners of one run."""

    history: RunHistory
    """The history that is polled."""
    is_here: Callable[[], bool]
    """Returns whether the run is now at work here."""
    number: int
    """Number of the last event that was read."""
    on_end: Callable[[HistoryPoller], None]
    """Called when the poller has ended."""
    kept: KeptEvents = attrs.field(factory=lambda: KeptEvents(MIN_KEPT), init=False)
    """The last events that were read."""
    readers: WeakSet[Listener] = attrs.field(factory=WeakSet, init=False)
    """Listeners that read its events."""
    stopped: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    """Set when the poller must end."""

    async def poll(self) -> None:
        """Read until the run has ended or is at work here, or no listener is left."""
        try:
            while self.readers and not self.stopped.is_set() and not self.is_here():
                is_open = await anyio.to_thread.run_sync(self.history.is_open)
                read = partial(self.history.read, self.number, PAGE)
                events = await anyio.to_thread.run_sync(read)
                for event in events:
                    self.number = max(self.number, number_of(event))
                    self.kept.put(event)
                if events:
                    await checkpoint()
                elif not is_open:
                    break
                if len(events) < PAGE:
                    with anyio.move_on_after(POLL_INTERVAL):
                        await self.stopped.wait()
        finally:
            self.kept.end()
            self.on_end(self)


@define(eq=False, repr=False)
class Listening:
    """The listeners and pollers of one supervisor."""

    active_runs: ActiveRuns
    """The runs at work here."""
    find_history: FindHistory
    """Finds the events of all other runs."""
    cancel_elsewhere: Callable[[str, str], None]
    """Cancels a run that is not at work here."""
    known: Callable[[str], RunStream | None]
    """Returns the stream of a submitted run, while it is remembered."""
    _pollers: dict[str, HistoryPoller] = attrs.field(factory=dict, init=False)
    _closed: anyio.Event = attrs.field(factory=anyio.Event, init=False)

    def listen(self, run_id: str, after: int | str | None) -> Listener:
        """Return a listener of a run.

        Raises:
            UnknownRunError: no run of this id is at work or stored.
            ValueError: ``after`` is not an event number.
        """
        number = parse_number(after)
        source = self._find(run_id)
        if source is None:
            raise UnknownRunError(run_id, "supervisor")
        listener = Listener(
            run_id,
            number,
            source,
            find=self._follow,
            find_history=partial(self.find_history, run_id),
            cancel=partial(self._cancel, run_id),
            closed=self._closed,
        )
        self._watch(listener)
        return listener

    def close(self) -> None:
        """End the listeners of runs not at work here; others end with their runs."""
        self._closed.set()
        for poller in list(self._pollers.values()):
            poller.stopped.set()

    # -- sources

    def _find(self, run_id: str) -> Source | None:
        """Return the current source of a run's events."""
        stream = self.known(run_id)
        replay = () if stream is None else stream.kept_events()
        run = self.active_runs.runs.get(run_id)
        if run is not None and run.kept_events is not None:
            run.kept_events.begin_keeping()
            is_stored = run.request.record is not None
            return Source(run.kept_events, None, replay, is_stored)
        history = self.find_history(run_id)
        if history is None and not replay:
            return None
        return Source(None, history, replay)

    def hand_over(self, run: Run) -> None:
        """Let the listeners of a run that begins here read its events from memory.

        The poller would find it at work only if it lasted until the next poll.
        """
        poller = self._pollers.pop(run.request.run_id, None)
        if poller is None or run.kept_events is None:
            return
        run.kept_events.begin_keeping()
        for listener in poller.readers:
            listener.source = attrs.evolve(listener.source, kept=run.kept_events)
        poller.stopped.set()
        poller.kept.end()

    def _follow(self, listener: Listener) -> None:
        """Give a listener a new source after its run has moved to or from this process."""
        listener.source = self._find(listener.run_id) or Source()
        self._watch(listener)

    def _watch(self, listener: Listener) -> None:
        """Attach a listener to a poller, if its run is at work in another process."""
        source = listener.source
        history = source.history
        if source.kept is not None or history is None or self._closed.is_set():
            return
        if history.is_open():
            poller = self._poller(listener, history)
            poller.readers.add(listener)
            listener.source = attrs.evolve(source, kept=poller.kept)

    def _poller(self, listener: Listener, history: RunHistory) -> HistoryPoller:
        run_id = listener.run_id
        poller = self._pollers.get(run_id)
        if poller is None or poller.kept.ended:
            runs = self.active_runs.runs
            poller = HistoryPoller(
                history, lambda: run_id in runs, listener.number, self._forget
            )
            self._pollers[run_id] = poller
            self.active_runs.system.spawn(poller.poll)
        return poller

    def _forget(self, poller: HistoryPoller) -> None:
        for run_id, known in list(self._pollers.items()):
            if known is poller:
                del self._pollers[run_id]

    def _cancel(self, run_id: str, reason: str) -> None:
        run = self.active_runs.runs.get(run_id)
        if run is not None:
            run.stop(PipelineTerminalStatus.CLIENT_CLOSED, reason)
        else:
            self.cancel_elsewhere(run_id, reason)


def new_listening(
    active_runs: ActiveRuns, catalog: Catalog, durable: DurableRuns | None
) -> Listening:
    """Return the listeners of a supervisor."""
    find_history: FindHistory = StoreHistory(lambda: _stores(active_runs, catalog)).find

    def cancel_elsewhere(run_id: str, reason: str) -> None:
        if durable is not None:
            durable.cancel_soon(run_id, reason)

    if durable is not None:
        find_history = JournalHistory(durable.journal, find_history).find

    def known(run_id: str) -> RunStream | None:
        found = None if durable is None else durable.known(run_id)
        return active_runs.known(run_id) if found is None else found

    listening = Listening(active_runs, find_history, cancel_elsewhere, known)
    active_runs.on_begin = listening.hand_over
    return listening


def _stores(active_runs: ActiveRuns, catalog: Catalog) -> Iterator[StorageBackend]:
    """Return the stores of its pipes, then all under their roots: versions differ."""
    for pipe in catalog.persisted():
        active_runs.remember_store(pipe.open_store)
    for open_store in list(active_runs.stores):
        yield open_store()
    roots = {storage_root(): None}
    roots |= {pipe.storage_root: None for pipe in catalog.persisted()}
    for root in roots:
        registry = PipelineRegistry(root)
        for info in registry.list_pipelines():
            yield registry.get_backend(info.hash)
