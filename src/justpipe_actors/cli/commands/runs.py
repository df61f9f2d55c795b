"""``runs``: the durable runs of a journal."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

import attrs
import click

from ...abc import JournaledRun, RunFilter
from ...abc.journal_records import RunState
from ..errors import InvalidInput
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
from ..journal_options import journal_option, opened, run_to_json
from ..options import json_option


@attrs.frozen(kw_only=True)
class RunsOptions:
    """The options of ``runs``."""

    journal: str
    """Path of the journal."""
    waiting: bool
    """List only runs that wait for an answer or a point in time."""
    stuck: bool
    """List only stuck runs."""
    limit: int
    """Most runs to list."""
    forget: str | None
    """Forget the ids of removed runs that ended before this date, and list nothing."""
    is_json: bool
    """Write JSON."""


@click.command("runs")
@click.option(
    "--waiting", is_flag=True, help="Only runs that wait for an answer or a time."
)
@click.option("--stuck", is_flag=True, help="Only runs that are not taken up any more.")
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Maximum number of runs.",
)
@click.option(
    "--forget",
    metavar="BEFORE",
    help="Free the ids of removed runs that ended before this date, and list nothing.",
)
@journal_option
@json_option
def command(**options: Any) -> None:
    """List the durable runs of a journal, the newest first."""
    show(RunsOptions(**options))


def show(options: RunsOptions) -> None:
    """Write the runs that are asked for."""
    with opened(options.journal) as journal:
        if options.forget is not None:
            count = journal.forget(_moment(options.forget).timestamp())
            sys.stdout.write(f"{count_text(count, 'id')} can be used again\n")
            return
        runs = journal.runs(RunFilter(statuses=_statuses(options)))
    if options.waiting:
        runs = [one for one in runs if one.asks or one.status == "waiting"]
    runs = runs[: options.limit]
    if options.is_json:
        sys.stdout.write(
            json.dumps([run_to_json(one) for one in runs], indent=2) + "\n"
        )
    elif runs:
        _show_table(runs)
    else:
        sys.stdout.write("No runs found\n")


def _statuses(options: RunsOptions) -> tuple[RunState, ...]:
    if options.stuck and not options.waiting:
        return ("stuck",)
    if options.waiting and not options.stuck:
        # A run that asks inside a step stays at work, or ready for the next process.
        return ("waiting", "running", "ready")
    return ()


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError as error:
        msg = f"--forget: {printable(text)!r} is no date; write 2026-01-31."
        raise InvalidInput(msg) from error


def _show_table(runs: list[JournaledRun]) -> None:
    console = open_console(sys.stdout)
    canvas = canvas_for(console)
    table = new_table(
        "Run", "Pipe", "Status", "Submitted", "Remarks", flexible="Remarks"
    )
    for run in runs:
        table.add_row(
            printable(run.run_id),
            printable(run.pipe),
            status_text(run.status, canvas),
            format_time(run.created_at),
            truncatable_text(_remarks(run)),
        )
    print_table(console, table)


def _remarks(run: JournaledRun) -> str:
    parts = [f"asks {ask}" for ask in run.asks]
    if run.wake_at is not None:
        parts.append(f"goes on {format_time(run.wake_at)}")
    if run.incarnation > 1:
        parts.append(f"taken up {run.incarnation} times")
    if run.problem:
        parts.append(run.problem)
    if run.resumed_by is not None:
        parts.append(f"resumed as {run.resumed_by}")
    return "; ".join(parts)
