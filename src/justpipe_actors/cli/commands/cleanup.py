"""``cleanup``: delete stored runs, after listing them."""

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
from ...storage.cleanup import (
    CLEANED_LABELS,
    CleanupReport,
    CleanupRule,
    delete_stored_runs,
    select_stored_runs,
)
from ...storage.registry import AnnotatedRun
from ..errors import CommandFailed, InvalidInput
from ..formatting import (
    canvas_for,
    count_text,
    format_time,
    new_table,
    open_console,
    print_table,
    printable,
    status_text,
    truncatable_text,
)
from ..options import (
    FiniteRange,
    Selection,
    json_option,
    pipeline_option,
    status_option,
    storage_option,
)
from ..reports import run_to_json


MAX_RUNS_SHOWN = 10
"""Runs that are named before they go."""


@attrs.frozen(kw_only=True)
class CleanupOptions(Selection):
    """What ``cleanup`` was asked."""

    older_than: float | None
    """Days since they began."""
    keep: int
    """Number of the newest runs of each pipeline that are kept."""
    dry_run: bool
    """Whether to stop before anything is deleted."""
    yes: bool
    """Whether not to ask."""


@click.command("cleanup")
@pipeline_option
@status_option(CLEANED_LABELS)
@click.option(
    "--older-than",
    type=FiniteRange(min=0),
    metavar="DAYS",
    help="Only runs that began longer ago.",
)
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="Number of the newest runs of each pipeline that are kept in any case.",
)
@click.option(
    "--dry-run", is_flag=True, help="Show what would be deleted, and delete nothing."
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@storage_option
@json_option
def command(**options: Any) -> None:
    """Delete stored runs: all but the newest of each pipeline, or some of those.

    Running, waiting and stuck runs are kept, and suspended ones unless --status names them.  The runs to delete are listed first, and then you are asked.
    """
    clean_up(CleanupOptions(**options))


def clean_up(options: CleanupOptions) -> None:
    """Select, show, ask, delete.

    Raises:
        InvalidInput: a rule is invalid, or there is no terminal to ask at.
        CommandFailed: some runs could not be deleted, or the answer was no.
    """
    runs = select_stored_runs(options.registry, _rule(options))
    if not options.is_json:
        _show_selected(runs, options)
    report = CleanupReport((), {})
    if runs and not options.dry_run:
        if not options.yes:
            _confirm(runs, options)
        report = delete_stored_runs(options.registry, runs)
    _report(runs, report, options)


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
        raise InvalidInput(str(error)) from error


def _show_selected(runs: Sequence[AnnotatedRun], options: CleanupOptions) -> None:
    console = open_console(sys.stdout)
    if not runs:
        console.print("Nothing to clean up")
        return
    canvas = canvas_for(console)
    counts = Counter(annotated.run.label for annotated in runs)
    statuses = ", ".join(
        f"{number:,} {label}" for label, number in counts.most_common()
    )
    first, last = runs[-1].run.start_time, runs[0].run.start_time
    console.print(f"{count_text(len(runs), 'run')} to delete: {statuses}")
    console.print(f"from {format_time(first)} to {format_time(last)}\n")
    table = new_table("Run", "Pipeline", "Status", "Started", flexible="Pipeline")
    for annotated in runs[:MAX_RUNS_SHOWN]:
        table.add_row(
            printable(annotated.run.run_id[:12]),
            truncatable_text(annotated.pipeline_name),
            status_text(annotated.run.label, canvas),
            format_time(annotated.run.start_time),
        )
    print_table(console, table)
    if len(runs) > MAX_RUNS_SHOWN:
        console.print(f"and {len(runs) - MAX_RUNS_SHOWN:,} more", style="dim")
    if options.dry_run:
        console.print("\nDRY RUN: nothing was deleted", style="yellow")


def _confirm(runs: Sequence[AnnotatedRun], options: CleanupOptions) -> None:
    if options.is_json:
        msg = "With --json there is no question. Add --yes to delete, or --dry-run to look."
        raise InvalidInput(msg)
    sys.stderr.write(f"\nDelete {count_text(len(runs), 'run')}? [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if answer.strip() not in ("y", "Y"):
        msg = "Nothing was deleted. Answer y, or pass --yes."
        raise CommandFailed(msg)


def _report(
    runs: Sequence[AnnotatedRun], report: CleanupReport, options: CleanupOptions
) -> None:
    if options.is_json:
        document = {
            "count": len(runs),
            "dry_run": options.dry_run,
            "runs": [run_to_json(annotated) for annotated in runs],
            "deleted": list(report.deleted),
            "failed": report.failed,
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    elif report.deleted:
        sys.stdout.write(f"\n{count_text(len(report.deleted), 'run')} deleted\n")
    if report.failed:
        failures = [
            f"  {run_id}: {printable(reason)}"
            for run_id, reason in report.failed.items()
        ]
        msg = "\n".join(
            [f"{count_text(len(failures), 'run')} could not be deleted:", *failures]
        )
        raise CommandFailed(msg)
