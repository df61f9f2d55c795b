"""``export``: a stored run and its events as one JSON document."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click

from ...abc import StorageBackend
from ...storage.registry import AnnotatedRun, PipelineRegistry
from ..formatting import count_text, printable
from ..options import STDOUT, find_run, run_argument, storage_option, write_document
from ..output_files import safe_name
from ..progress import stored_events
from ..reports import event_to_json, exported_run


@click.command("export")
@run_argument()
@click.option(
    "--output",
    "-o",
    metavar="PATH",
    help="The file to write, - for standard output; run_RUN.json if left out.",
)
@click.option(
    "--format",
    "-f",
    "form",
    type=click.Choice(["json"]),
    default="json",
    show_default=True,
    help="Format of the file.",
)
@storage_option
def command(
    run_id: str, output: str | None, form: str, registry: PipelineRegistry
) -> None:
    """Write a stored run and all its events as JSON.

    RUN_ID is an id, the beginning of one, or last (last~1 is the run before).
    """
    annotated, store = find_run(registry, run_id)
    document = export_of(annotated, store)
    output = output or f"run_{safe_name(annotated.run.run_id)}.{form}"
    write_document(json.dumps(document, indent=2), output, is_private=True)
    if output != STDOUT:
        count = count_text(document["event_count"], "event")
        click.echo(
            f"Exported run {printable(annotated.run.run_id)} of {printable(annotated.pipeline_name)}: "
            f"{count}, {annotated.run.label}",
            err=True,
        )


def export_of(annotated: AnnotatedRun, store: StorageBackend) -> dict[str, Any]:
    """Return all that is stored of a run."""
    events = [
        event_to_json(event) for event in stored_events(store, annotated.run.run_id)
    ]
    return {
        "run": exported_run(annotated),
        "events": events,
        "event_count": len(events),
        "exported_at": datetime.now(UTC).isoformat(),
    }
