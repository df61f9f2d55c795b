"""``tail``: watch a stored run while it runs in any process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import anyio
import attrs
import click

from ...abc import StorageBackend
from ...records import OpenStatus, RunQuery, RunRecord, StoredEvent
from ...storage.history import event_of
from ...storage.registry import AnnotatedRun, PipelineRegistry
from ..errors import EXIT_FAILED, EXIT_INTERRUPTED, CommandFailed
from ..formatting import printable
from ..options import (
    ViewOptions,
    choose_style,
    current_runs,
    find_run,
    storage_option,
    style_options,
    view_for,
)
from ..outcome_text import Outcome
from ..progress import initial_progress, stored_events
from ..views import Style, View


POLL_INTERVAL = 0.1
"""Seconds between two queries; stores do not notify other processes of events."""


OPEN_STATUSES = (OpenStatus.RUNNING, OpenStatus.WAITING)
"""Statuses of runs that may still publish events."""


@click.command("tail")
@click.argument("run_id", metavar="[RUN_ID]", required=False)
@click.option("--wait", is_flag=True, help="Wait for the run to begin.")
@style_options
@storage_option
def command(
    run_id: str | None,
    style: Style | None,
    registry: PipelineRegistry,
    *,
    wait: bool,
) -> int:
    """Watch a stored run until it ends: its past and its new events.

    RUN_ID is an id, the beginning of one, or last; left out, it is the newest run that is
    running.  Ctrl-C stops watching, not the run.
    """
    annotated, store = anyio.run(partial(_find_run, registry, run_id, wait=wait))
    latest = registry.describe_pipeline(annotated.pipeline_hash)
    progress = initial_progress(store, annotated.run, latest)
    view_options = ViewOptions(
        title=f"{annotated.pipeline_name} {annotated.run.run_id[:8]}",
        progress=progress,
        started_at=annotated.run.start_time.timestamp(),
    )
    style = choose_style(style)
    view, out = view_for(style, view_options), sys.stdout

    def show_event(stored: StoredEvent) -> None:
        event = event_of(stored)
        if style == "json":
            out.write(f"{stored.data}\n")
            out.flush()
            if event is not None:
                progress.on_event(event)
        elif event is not None:
            view.on_event(event)

    record = _watch(store, registry, annotated, view, show_event)
    if record is None:
        sys.stderr.write("stopped watching; the run goes on\n")
        return EXIT_INTERRUPTED
    if progress.end is not None:
        view.show_outcome(outcome := Outcome(progress.end))
        return outcome.status
    sys.stderr.write(f"{record.label}: {printable(record.error_message or 'no end')}\n")
    return EXIT_FAILED


async def _find_run(
    registry: PipelineRegistry,
    run_id: str | None,
    *,
    wait: bool,
) -> tuple[AnnotatedRun, StorageBackend]:
    """Return the requested run; with ``wait``, wait until it is there.

    Waiting also finds a run that began and ended between two reads of the store.
    """
    since = datetime.now(UTC) if wait else None
    while True:
        try:
            return find_run(
                registry, _newest_open(registry, since) if run_id is None else run_id
            )
        except CommandFailed:
            if not wait:
                raise
        await anyio.sleep(POLL_INTERVAL)


def _newest_open(registry: PipelineRegistry, since: datetime | None) -> str:
    """Return the newest run that is running, or that began after a time."""
    found = registry.query_runs(RunQuery(labels=("running",)), limit=1)
    if not found and since is not None:
        found = registry.query_runs(RunQuery(since=since), limit=1)
    if not found:
        msg = (
            "No run is running. Name one, or wait for one: justpipe-actors tail --wait"
        )
        raise CommandFailed(msg)
    return found[0].run.run_id


def _watch(
    store: StorageBackend,
    registry: PipelineRegistry,
    annotated: AnnotatedRun,
    view: View,
    show_event: Callable[[StoredEvent], None],
) -> RunRecord | None:
    """Watch until the run has ended, and return its record; None after Ctrl-C."""
    record: RunRecord | None = None
    try:
        with view:
            record = anyio.run(_poll, store, registry, annotated, view, show_event)
    except* KeyboardInterrupt:
        record = None
    return record


async def _poll(
    store: StorageBackend,
    registry: PipelineRegistry,
    annotated: AnnotatedRun,
    view: View,
    show_event: Callable[[StoredEvent], None],
) -> RunRecord:
    last_seq, run = 0, annotated.run
    while True:
        # The record first: what an ended run has stored is complete.
        run = store.get_run(run.run_id) or run
        if run.journal is not None:
            run = current_runs(registry, [attrs.evolve(annotated, run=run)])[0].run
        for stored in stored_events(store, run.run_id, last_seq):
            show_event(stored)
            last_seq = stored.seq
        view.tick()
        if run.status not in OPEN_STATUSES:
            return run
        await anyio.sleep(POLL_INTERVAL)
