"""``compare``: two stored runs side by side."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from ...observability import RunComparison, compare_runs, format_comparison
from ...storage.registry import PipelineRegistry
from ..options import find_run, json_option, run_argument, storage_option


@click.command("compare")
@run_argument("run1_id")
@run_argument("run2_id")
@storage_option
@json_option
def command(
    run1_id: str, run2_id: str, registry: PipelineRegistry, *, is_json: bool
) -> None:
    """Compare two stored runs: what RUN2 did more, less, slower or faster.

    Each is an id, the beginning of one, or last; last~1 and last are the newest two.
    """
    first, first_store = find_run(registry, run1_id)
    second, second_store = find_run(registry, run2_id)
    comparison = compare_runs(
        first.run,
        first_store.get_events(first.run.run_id),
        second.run,
        second_store.get_events(second.run.run_id),
        first.pipeline_name,
        second.pipeline_name,
    )
    if is_json:
        text = json.dumps(asdict(comparison), indent=2)
    else:
        text = format_comparison(comparison) + explanation(comparison)
    sys.stdout.write(f"{text}\n")


def explanation(comparison: RunComparison) -> str:
    """Explain why a step can differ by more than the whole run; else nothing."""
    greatest = max(map(abs, comparison.step_timing_diff.values()), default=0.0)
    if greatest <= abs(comparison.duration_diff):
        return ""
    return "\n\nThe time of a step is the sum of its invocations, which can overlap."
