"""Operations on any run of a journal, which need the journal and no pipe.

These functions block: a supervisor calls them in the journal writer's thread, the command
line in its main thread.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial

from .._run.run import check_run_id
from .._util.json_schema import problem_of
from ..abc import Commit, Journal, NewRun, RunRow
from ..errors import AnswerRejected, RunRejected, UnknownAsk, UnknownRunError
from .forking import fork_of, resume_of, retry_of


def find_run(journal: Journal, run_id: str) -> RunRow:
    """Return a run by its id.

    Raises:
        UnknownRunError: no run has this id.
    """
    row = journal.find(run_id)
    if row is None:
        raise UnknownRunError(run_id, "journal")
    return row


def answer(journal: Journal, ask_id: str, value: object, by: str | None = None) -> None:
    """Answer a question with JSON data; the first answer wins.

    Raises:
        UnknownAsk: no question of this id is open.
        AnswerRejected: the data do not fit its form; it stays open.
    """
    asked = next((one for one in journal.asks() if one.id == ask_id), None)
    if asked is None:
        raise UnknownAsk(ask_id)
    problem = problem_of(value, asked.form)
    if problem is not None:
        raise AnswerRejected(ask_id, problem)
    try:
        text = json.dumps(value)
    except (TypeError, ValueError) as error:
        raise AnswerRejected(ask_id, f"it is no JSON value: {error}") from error
    if not journal.answer(ask_id, text, by):
        raise UnknownAsk(ask_id)


def redrive(journal: Journal, run_id: str) -> RunRow:
    """Make a stuck run claimable again.

    Raises:
        UnknownRunError: there is no such run.
        RunRejected: the run is not stuck.
    """
    row = find_run(journal, run_id)
    if not journal.redrive(run_id):
        reason = f"run '{run_id}' is {row.status}"
        raise RunRejected(reason, "Only stuck runs are redriven.")
    return find_run(journal, run_id)


def fork(
    journal: Journal,
    run_id: str,
    *,
    at: int | None = None,
    state: str | None = None,
    new_id: str | None = None,
) -> RunRow:
    """Start a run that continues from a commit of another run.

    Args:
        journal: the journal of both runs.
        run_id: id of the run to copy.
        at: the number of the commit; None is the last.
        state: JSON of a replacement state, as one change; None keeps the state.
        new_id: the new run's id.

    Raises:
        UnknownRunError: there is no such run.
        RunRejected: there is no such commit, or the new id is taken.
    """
    return _copy(
        journal,
        run_id,
        lambda row, rows: fork_of(row, rows, at=at, state=state, run_id=new_id),
    )


def retry(journal: Journal, run_id: str, new_id: str | None = None) -> RunRow:
    """Start a run that does the failed work of another run again.

    Raises:
        UnknownRunError: there is no such run.
        RunRejected: the run has not failed.
    """
    return _copy(journal, run_id, lambda row, rows: retry_of(row, rows, new_id))


def resume(journal: Journal, run_id: str, new_id: str | None = None) -> RunRow:
    """Start a run that continues after the step that suspended another run.

    Raises:
        UnknownRunError: there is no such run.
        RunRejected: the run was not suspended, or was resumed before.
    """
    make = partial(resume_of, run_id=new_id)
    return _copy(journal, run_id, make, resumes=run_id)


def _copy(
    journal: Journal,
    run_id: str,
    make: Callable[[RunRow, Sequence[Commit]], NewRun],
    *,
    resumes: str | None = None,
) -> RunRow:
    row = find_run(journal, run_id)
    new = make(row, journal.commits(row.id))
    check_run_id(new.run_id)
    try:
        return journal.fork(new, items_of=row.id, resumes=resumes)
    except ValueError as error:
        reason, _, remedy = str(error).partition(". ")
        raise RunRejected(reason.rstrip("."), remedy) from error
