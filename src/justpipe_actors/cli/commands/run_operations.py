"""``cancel``, ``resume``, ``retry``, ``fork``, ``redrive``: change how a run goes on.

Each writes into the journal only, so it needs no pipe.  The process that works on the
run acts on it; a run that is made ready is taken up by the next process with its pipe.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial

import click

from ..._supervisor import stored_runs
from ...abc import Journal, RunRow
from ..errors import CommandFailed
from ..formatting import printable
from ..journal_options import find_stored, journal_option, opened
from ..options import json_option


_new_id_option = click.option(
    "--run-id", "new_id", metavar="ID", help="The new run's id."
)


@click.command("cancel")
@click.argument("run_id", metavar="RUN")
@click.option(
    "--reason",
    metavar="TEXT",
    default="Cancelled",
    show_default=True,
    help="The reason in FINISH.",
)
@journal_option
@json_option
def cancel(run_id: str, reason: str, journal: str, *, is_json: bool) -> None:
    """End a durable run in any process; its cleanup and hooks run.

    A run that no process has at work ends when the next one takes it up.
    """
    with opened(journal) as store:
        row = find_stored(store, run_id)
        if not store.cancel(row.run_id, reason):
            msg = f"Run '{printable(row.run_id)}' has ended: {row.status}."
            raise CommandFailed(msg)
    if is_json:
        sys.stdout.write(json.dumps({"run_id": row.run_id, "cancelled": True}) + "\n")
    else:
        sys.stdout.write(f"asked {printable(row.run_id)} to end\n")


@click.command("resume")
@click.argument("run_id", metavar="RUN")
@_new_id_option
@journal_option
@json_option
def resume(run_id: str, new_id: str | None, journal: str, *, is_json: bool) -> None:
    """Begin a run that continues RUN after the step that suspended it.

    The next process with its pipe and this journal takes it up.
    """
    make = partial(stored_runs.resume, new_id=new_id)
    _begin(journal, run_id, make, "goes on as", is_json=is_json)


@click.command("retry")
@click.argument("run_id", metavar="RUN")
@_new_id_option
@journal_option
@json_option
def retry(run_id: str, new_id: str | None, journal: str, *, is_json: bool) -> None:
    """Begin a run that repeats only the failed work of RUN.

    Steps that have succeeded are not repeated; idempotency keys stay the same.

    The next process with its pipe and this journal takes it up.
    """
    make = partial(stored_runs.retry, new_id=new_id)
    _begin(journal, run_id, make, "is retried as", is_json=is_json)


@click.command("fork")
@click.argument("run_id", metavar="RUN")
@click.option(
    "--at",
    type=click.IntRange(min=1),
    metavar="N",
    help="The commit to continue from; the last one by default.",
)
@_new_id_option
@journal_option
@json_option
def fork(
    run_id: str, at: int | None, new_id: str | None, journal: str, *, is_json: bool
) -> None:
    """Begin a run that continues from a commit of RUN; 'show RUN --commits' lists them.

    The next process with its pipe and this journal takes it up.
    """
    make = partial(stored_runs.fork, at=at, new_id=new_id)
    _begin(journal, run_id, make, "is forked as", is_json=is_json)


@click.command("redrive")
@click.argument("run_id", metavar="RUN")
@journal_option
@json_option
def redrive(run_id: str, journal: str, *, is_json: bool) -> None:
    """Continue a stuck run, after its cause was fixed.

    The next process with its pipe and this journal takes it up.
    """
    _begin(journal, run_id, stored_runs.redrive, "goes on as", is_json=is_json)


def _begin(
    journal: str,
    run_id: str,
    make: Callable[[Journal, str], RunRow],
    words: str,
    *,
    is_json: bool,
) -> None:
    """Make a run ready because of another run, and write that.

    Args:
        journal: where the journal is.
        run_id: the other run's id, or how it begins.
        make: writes the run into the journal.
        words: what the other run does, before the id of the run.
        is_json: whether to write JSON.
    """
    with opened(journal) as store:
        found = find_stored(store, run_id).run_id
        made = make(store, found)
    if is_json:
        text = json.dumps({"run_id": made.run_id, "of": found, "status": made.status})
    elif made.run_id == found:
        text = f"{printable(found)} is ready"
    else:
        text = f"{printable(found)} {words} {printable(made.run_id)}"
    sys.stdout.write(f"{text}\n")
