"""The journal option of commands, and the translation of journal errors."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from .._util.environment import expand_home
from ..abc import Journal, JournaledRun, OpenAsk, RunFilter, RunRow
from ..codec import to_plain
from ..errors import AnswerRejected, RunRejected, UnknownAsk, UnknownRunError
from ..journals import open_journal
from ..journals.sqlite import is_busy
from ..storage.paths import storage_root
from .errors import CommandFailed, InvalidInput
from .formatting import printable


FuncT = TypeVar("FuncT", bound=Callable[..., Any])

JOURNAL_VARIABLE = "JUSTPIPE_ACTORS_JOURNAL"
"""The environment variable that names the journal."""

JOURNAL_FILE = "journal.db"
"""The journal in the storage root."""


def default_journal() -> str:
    """Return the variable's journal, else the one in the storage root."""
    return os.environ.get(JOURNAL_VARIABLE) or str(storage_root() / JOURNAL_FILE)


def journal_option(func: FuncT) -> FuncT:
    """Add the option for the journal; the command gets ``journal``, a path."""
    return click.option(
        "--journal",
        default=default_journal,
        show_default=f"${JOURNAL_VARIABLE}, else {JOURNAL_FILE} in the storage root",
        metavar="PATH",
        help="The journal of durable runs.",
    )(func)


@contextmanager
def opened(where: str) -> Generator[Journal]:
    """Open an existing journal, and convert its errors to command errors.

    Raises:
        CommandFailed: there is no journal, no such run, or it does not stand so.
        InvalidInput: it is no path, or an answer does not fit.
    """
    if "://" not in where and not expand_home(where).is_file():
        msg = (
            f"There is no journal {printable(where)}. "
            f"Name one with --journal, or in ${JOURNAL_VARIABLE}."
        )
        raise CommandFailed(msg)
    try:
        journal = open_journal(where)
    except ValueError as error:
        raise InvalidInput(str(error)) from error
    try:
        yield journal
    except AnswerRejected as error:
        raise InvalidInput(str(error)) from error
    except UnknownRunError as error:
        msg = f"No run '{error.run_id}' is in {journal.location}; 'runs' lists them."
        raise CommandFailed(msg) from error
    except (UnknownAsk, RunRejected) as error:
        raise CommandFailed(str(error)) from error
    except sqlite3.Error as error:
        raise CommandFailed(_problem_text(journal, error)) from error
    finally:
        journal.close()


def _problem_text(journal: Journal, error: sqlite3.Error) -> str:
    """Return the error of a journal's file as text."""
    if is_busy(error):
        return (
            f"Another process has been writing to {journal.location} for more than a "
            "second. Try again."
        )
    return f"The journal {journal.location} cannot be used: {error}."


def find_stored(journal: Journal, text: str) -> RunRow:
    """Return the run with an id or a unique id prefix.

    Raises:
        CommandFailed: there is none.
        InvalidInput: several ids begin so.
    """
    row = journal.find(text)
    if row is not None:
        return row
    found = journal.runs(RunFilter(prefix=text, limit=6)) if text else []
    if len(found) == 1:
        row = journal.find(found[0].run_id)
    elif found:
        names = ", ".join(one.run_id for one in found[:5])
        msg = f"Several runs begin with '{printable(text)}': {names}. Give more of the id."
        raise InvalidInput(msg)
    if row is None:
        msg = f"No run '{printable(text)}' is in {journal.location}; 'runs' lists them."
        raise CommandFailed(msg)
    return row


def run_to_json(run: JournaledRun) -> dict[str, Any]:
    """Return a run as it is written for programs; few have the run that goes on for it."""
    document = dict(to_plain(run))
    if run.resumed_by is None:
        del document["resumed_by"]
    return document


def ask_to_json(ask: OpenAsk) -> dict[str, Any]:
    """Return a question as it is written for programs."""
    return dict(to_plain(ask))
