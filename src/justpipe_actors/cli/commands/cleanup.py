"""``cleanup``: forget stored runs, after showing which."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import attrs
import click

from ...errors import CleanupRuleError
from ...records import LABELS
from ...storage.cleanup import (
    CleanupReport,
    CleanupRule,
    delete_stored_runs,
    select_stored_runs,
)
from ...storage.registry import AnnotatedRun
from ..errors import Failed, Refused
from ..formatting import (
    canvas_of,
    counted,
    flexible_text,
    moment_text,
    printable,
    put_table,
    screen_for,
    status_text,
    table_of,
)
from ..options import (
    Selection,
    json_option,
    pipeline_option,
    status_option,
    storage_option,
)
from ..reports import run_shape


SHOWN = 10
"""Runs that are named before they go."""


@attrs.frozen(kw_only=True)
class CleanupOptions(Selection):
    """What ``cleanup`` was asked."""

    older_than: float | None
    """Days since they began."""
    keep: int
    """How many of each pipeline's newest stay."""
    dry_run: bool
    """Whether to stop before anything is deleted."""
    yes: bool
    """Whether not to ask."""


@click.command("cleanup")
@pipeline_option
@status_option(tuple(label for label in LABELS if label != "running"))
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="Only runs that began longer ago.",
)
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="How many of each pipeline's newest runs stay, whatever they are.",
)
@click.option("--dry-run", is_flag=True, help="Show what would go, and delete nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@storage_option
@json_option
def command(**options: Any) -> None:
    """Delete stored runs: all but the newest of each pipeline, or some of those.

    Runs that are running stay.  What will go is shown first, and then you are asked.
    """
    clean_up(CleanupOptions(**options))


def clean_up(options: CleanupOptions) -> None:
    """Select, show, ask, delete.

    Raises:
        Refused: a rule makes no sense, or there is nobody to ask.
        Failed: some runs could not be deleted, or the answer was no.
    """
    runs = select_stored_runs(options.registry, _rule(options))
    if not options.is_json:
        _show(runs, options)
    report = CleanupReport((), {})
    if runs and not options.dry_run:
        if not options.yes:
            _ask(runs, options)
        report = delete_stored_runs(options.registry, runs)
    _conclude(runs, report, options)


def _rule(options: CleanupOptions) -> CleanupRule:
    days = options.older_than
    try:
        return CleanupRule(
            keep=options.keep,
            older_than=None if days is None else timedelta(days=days),
            labels=options.statuses,
            pipeline_name=options.pipeline,
        )
    except (CleanupRuleError, OverflowError) as error:
        raise Refused(str(error)) from error


def _show(runs: Sequence[AnnotatedRun], options: CleanupOptions) -> None:
    screen = screen_for(sys.stdout)
    if not runs:
        screen.print("Nothing to clean up")
        return
    canvas = canvas_of(screen)
    counts = Counter(one.run.label for one in runs)
    statuses = ", ".join(
        f"{number:,} {label}" for label, number in counts.most_common()
    )
    first, last = runs[-1].run.start_time, runs[0].run.start_time
    screen.print(f"{counted(len(runs), 'run')} to delete: {statuses}")
    screen.print(f"from {moment_text(first)} to {moment_text(last)}\n")
    table = table_of("Run", "Pipeline", "Status", "Started", flexible="Pipeline")
    for one in runs[:SHOWN]:
        table.add_row(
            one.run.run_id[:12],
            flexible_text(one.pipeline_name),
            status_text(one.run.label, canvas),
            moment_text(one.run.start_time),
        )
    put_table(screen, table)
    if len(runs) > SHOWN:
        screen.print(f"and {len(runs) - SHOWN:,} more", style="dim")
    if options.dry_run:
        screen.print("\nDRY RUN: nothing was deleted", style="yellow")


def _ask(runs: Sequence[AnnotatedRun], options: CleanupOptions) -> None:
    if options.is_json:
        msg = "With --json nobody is asked. Add --yes to delete, or --dry-run to look."
        raise Refused(msg)
    sys.stderr.write(f"\nDelete {counted(len(runs), 'run')}? [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if answer.strip() not in ("y", "Y"):
        msg = "Nothing was deleted. Answer y, or pass --yes."
        raise Failed(msg)


def _conclude(
    runs: Sequence[AnnotatedRun], report: CleanupReport, options: CleanupOptions
) -> None:
    if options.is_json:
        shape = {
            "count": len(runs),
            "dry_run": options.dry_run,
            "runs": [run_shape(one) for one in runs],
            "deleted": list(report.deleted),
            "failed": report.failed,
        }
        sys.stdout.write(json.dumps(shape, indent=2) + "\n")
    elif report.deleted:
        sys.stdout.write(f"\n{counted(len(report.deleted), 'run')} deleted\n")
    if report.failed:
        listed = [
            f"  {run_id}: {printable(why)}" for run_id, why in report.failed.items()
        ]
        msg = "\n".join(
            [f"{counted(len(listed), 'run')} could not be deleted:", *listed]
        )
        raise Failed(msg)
