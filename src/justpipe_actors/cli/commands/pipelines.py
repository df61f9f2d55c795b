"""``pipelines``: list the pipelines that have stored runs."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from ...records import RunQuery, RunSummary
from ...storage.registry import PipelineInfo, PipelineRegistry
from ..formatting import (
    format_duration,
    format_time,
    new_table,
    open_console,
    print_table,
    truncatable_text,
)
from ..options import json_option, storage_option
from ..reports import success_rate


@click.command("pipelines")
@storage_option
@json_option
def command(registry: PipelineRegistry, *, is_json: bool) -> None:
    """List the pipelines that have stored runs."""
    summaries = registry.summarize_runs(RunQuery())
    if is_json:
        documents = [_pipeline_to_json(info, summary) for info, summary in summaries]
        sys.stdout.write(json.dumps(documents, indent=2) + "\n")
    elif not summaries:
        sys.stdout.write("No pipelines found\n")
    else:
        _show_table(summaries)


def _pipeline_to_json(info: PipelineInfo, summary: RunSummary) -> dict[str, Any]:
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


def _show_table(summaries: list[tuple[PipelineInfo, RunSummary]]) -> None:
    console = open_console(sys.stdout)
    table = new_table(
        "Pipeline",
        "Hash",
        ">Runs",
        ">Success",
        ">Average",
        "Last run",
        flexible="Pipeline",
    )
    for info, summary in summaries:
        rate = success_rate(summary.counts)
        average = summary.average
        table.add_row(
            truncatable_text(info.name),
            info.hash,
            f"{summary.total:,}",
            "-" if rate is None else f"{rate:.1f}%",
            format_duration(None if average is None else average.total_seconds()),
            format_time(summary.last_start),
        )
    print_table(console, table)
    console.print(f"\n{len(summaries)} pipeline(s)", style="dim")
