"""``tail``: watch a stored run while it runs, in whichever process that is."""

from __future__ import annotations

import sys
from collections.abc import Callable

import anyio
import click

from ...abc import StorageBackend
from ...records import OpenStatus, RunQuery, RunRecord, StoredEvent
from ...storage.registry import AnnotatedRun, PipelineRegistry
from ..errors import FAILED, INTERRUPTED, Failed
from ..formatting import printable
from ..options import Shown, find_run, storage_option, style_of, style_options, view_for
from ..outcome_text import Ending
from ..progress import event_of, planned, stored_events
from ..views import Style, View


PAUSE = 0.1
"""Seconds between two looks at the store; nobody tells other processes of events."""


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
    """Watch a stored run until it ends: what has been of it, and what comes.

    RUN_ID is an id, how one begins, or last; left out, it is the newest run that is
    running.  Ctrl-C stops watching, not the run.
    """
    one, store = anyio.run(_found, registry, run_id, wait)
    latest = registry.describe_pipeline(one.pipeline_hash)
    progress = planned(store, one.run, latest)
    shown = Shown(
        title=f"{one.pipeline_name} {one.run.run_id[:8]}",
        progress=progress,
        began=one.run.start_time.timestamp(),
    )
    style = style_of(style)
    view, out = view_for(style, shown), sys.stdout

    def take(stored: StoredEvent) -> None:
        event = event_of(stored)
        if style == "json":
            out.write(f"{stored.data}\n")
            out.flush()
            if event is not None:
                progress.hear(event)
        elif event is not None:
            view.hear(event)

    ended = _watch(store, one, view, take)
    if ended is None:
        sys.stderr.write("stopped watching; the run goes on\n")
        return INTERRUPTED
    if progress.end is not None:
        view.conclude(ending := Ending(progress.end))
        return ending.status
    sys.stderr.write(f"{ended.label}: {printable(ended.error_message or 'no end')}\n")
    return FAILED


async def _found(
    registry: PipelineRegistry,
    run_id: str | None,
    wait: bool,  # noqa: FBT001 - anyio.run passes no keywords
) -> tuple[AnnotatedRun, StorageBackend]:
    """Return the run that is meant, and wait for it if that is wanted."""
    while True:
        try:
            return find_run(
                registry, _newest_running(registry) if run_id is None else run_id
            )
        except Failed:
            if not wait:
                raise
        await anyio.sleep(PAUSE)


def _newest_running(registry: PipelineRegistry) -> str:
    running = registry.query_runs(RunQuery(labels=("running",)), limit=1)
    if not running:
        msg = (
            "No run is running. Name one, or wait for one: justpipe-actors tail --wait"
        )
        raise Failed(msg)
    return running[0].run.run_id


def _watch(
    store: StorageBackend,
    one: AnnotatedRun,
    view: View,
    take: Callable[[StoredEvent], None],
) -> RunRecord | None:
    """Watch until the run has ended, and return its record; None after Ctrl-C."""
    ended: RunRecord | None = None
    try:
        with view:
            ended = anyio.run(_follow, store, one.run, view, take)
    except* KeyboardInterrupt:
        ended = None
    return ended


async def _follow(
    store: StorageBackend,
    run: RunRecord,
    view: View,
    take: Callable[[StoredEvent], None],
) -> RunRecord:
    seen = 0
    while True:
        # The record first: what an ended run has stored is complete.
        run = store.get_run(run.run_id) or run
        for stored in stored_events(store, run.run_id, seen):
            take(stored)
            seen = stored.seq
        view.tick()
        if run.status is not OpenStatus.RUNNING:
            return run
        await anyio.sleep(PAUSE)
