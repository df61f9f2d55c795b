"""``timeline``: when each step of a stored run began and ended."""

from __future__ import annotations

import sys

import click

from ...abc import StorageBackend
from ...events import Event
from ...observability import Timeline
from ...storage.history import event_of
from ...storage.registry import AnnotatedRun, PipelineRegistry
from ..formatting import open_console
from ..options import find_run, run_argument, storage_option, write_document
from ..output_files import safe_name
from ..progress import stored_events


FORMATS = ("ascii", "html", "mermaid", "chrome")
"""Formats of a timeline."""

NON_TERMINAL_WIDTH = 100
"""Columns when the output is no terminal."""

MAX_SPANS = 1_000_000
"""Invocations of one drawing."""


@click.command("timeline")
@run_argument()
@click.option(
    "--format",
    "-f",
    "form",
    type=click.Choice(FORMATS),
    default="ascii",
    show_default=True,
    help="chrome is for chrome://tracing and Perfetto.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=40,
    show_default=True,
    help="Lines of the text drawing.",
)
@click.option(
    "--items/--no-items",
    default=None,
    help="With or without the items of maps; without, if they do not fit into the text.",
)
@click.option(
    "--output",
    "-o",
    metavar="PATH",
    help="The file to write, - for standard output; html goes to timeline_RUN.html if left out, all else to standard output.",
)
@storage_option
def command(
    *,
    run_id: str,
    form: str,
    steps: int,
    items: bool | None,
    output: str | None,
    registry: PipelineRegistry,
) -> None:
    """Draw when each step of a stored run began and ended.

    RUN_ID is an id, the beginning of one, or last (last~1 is the run before).
    """
    annotated, store = find_run(registry, run_id)
    if items is None:
        started = store.count_events(annotated.run.run_id).get("step_start", 0)
        items = form != "ascii" or started <= steps
    timeline = timeline_of(annotated, store, items=items)
    default = (
        f"timeline_{safe_name(annotated.run.run_id)}.html" if form == "html" else "-"
    )
    write_document(_render(timeline, form, steps), output or default)


def timeline_of(
    annotated: AnnotatedRun, store: StorageBackend, *, items: bool
) -> Timeline:
    """Return the timeline of a stored run, with or without the items of its maps."""
    run = annotated.run
    console = open_console(sys.stdout)
    width = console.width if console.is_terminal else NON_TERMINAL_WIDTH
    timeline = Timeline(width, max_spans=MAX_SPANS)
    timeline.name = annotated.pipeline_name
    timeline.start = run.start_time.timestamp()
    for stored in stored_events(store, run.run_id):
        event = event_of(stored)
        if event is not None and (items or not _is_item(event)):
            timeline.note(event)
    timeline.end = run.end_time.timestamp() if run.end_time else timeline.latest
    return timeline


def _is_item(event: Event) -> bool:
    return any(place.endswith("]") for place in event.scope)


def _render(timeline: Timeline, form: str, steps: int) -> str:
    match form:
        case "html":
            return timeline.render_html()
        case "mermaid":
            return timeline.render_mermaid()
        case "chrome":
            return timeline.render_chrome()
        case _:
            return timeline.render_ascii(steps)
