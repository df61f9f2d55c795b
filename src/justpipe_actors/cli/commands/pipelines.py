"""``pipelines``: whose runs are stored."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from ...records import RunQuery, RunSummary
from ...storage.registry import PipelineInfo, PipelineRegistry
from ..formatting import (
    flexible_text,
    format_duration,
    moment_text,
    put_table,
    screen_for,
    table_of,
)
from ..options import json_option, storage_option
from ..reports import success_rate


@click.command("pipelines")
@storage_option
@json_option
def command(registry: PipelineRegistry, *, is_json: bool) -> None:
    """List the pipelines that have stored runs."""
    found = registry.summarize_runs(RunQuery())
    if is_json:
        shapes = [_shape(info, summary) for info, summary in found]
        sys.stdout.write(json.dumps(shapes, indent=2) + "\n")
    elif not found:
        sys.stdout.write("No pipelines found\n")
    else:
        _show(found)


def _shape(info: PipelineInfo, summary: RunSummary) -> dict[str, Any]:
    average, last = summary.average, summary.last_start
    return {
        "name": info.name,
        "hash": info.hash,
        "total_runs": summary.total,
        "success_count": summary.counts.get("success", 0),
        "success_rate": success_rate(summary.counts),
        "avg_duration_seconds": round(average.total_seconds(), 3)
        if average is not None
        else None,
        "last_run_time": last.isoformat() if last else None,
    }


def _show(found: list[tuple[PipelineInfo, RunSummary]]) -> None:
    screen = screen_for(sys.stdout)
    table = table_of(
        "Pipeline",
        "Hash",
        ">Runs",
        ">Success",
        ">Average",
        "Last run",
        flexible="Pipeline",
    )
    for info, summary in found:
        rate = success_rate(summary.counts)
        average = summary.average
        table.add_row(
            flexible_text(info.name),
            info.hash,
            f"{summary.total:,}",
            "-" if rate is None else f"{rate:.1f}%",
            format_duration(None if average is None else average.total_seconds()),
            moment_text(summary.last_start),
        )
    put_table(screen, table)
    screen.print(f"\n{len(found)} pipeline(s)", style="dim")
