"""Durable runs: open questions, answers, workers, and runs that are stuck.

If there is a supervisor, it handles answers, because it knows their types.  A journal
without a supervisor can be read and answered, too.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from .._supervisor import stored_runs
from ..abc import Journal
from ..abc.journal_records import OpenAsk, RunFilter
from ..codec import to_plain
from ..errors import AnswerRejected, RunRejected, UnknownAsk, UnknownRunError
from .errors import ActionError, NotFoundError, RequestError


if TYPE_CHECKING:
    from ..supervisor import Supervisor


MAX_RUNS_SHOWN = 200
"""Maximum number of runs that are shown."""


class DurableRuns:
    """Answers about the durable runs of a journal, and acts on them.

    Args:
        journal: the journal.
        supervisor: the supervisor that works on it here, if there is one.
    """

    def __init__(self, journal: Journal | None, supervisor: Supervisor | None) -> None:
        self.journal = journal
        self._supervisor = supervisor

    def _needed(self) -> Journal:
        if self.journal is None:
            msg = "This dashboard has no journal; pass journal= to create_app."
            raise NotFoundError(msg)
        return self.journal

    # -- reading

    async def asks(self) -> dict[str, Any]:
        """Return the open questions, those that are due first before the others."""
        found = await self._open_asks()
        ordered = sorted(
            found, key=lambda ask: (ask.due_at is None, ask.due_at or ask.asked_at)
        )
        return {"asks": [to_plain(ask) for ask in ordered]}

    async def _open_asks(self) -> list[OpenAsk]:
        if self._supervisor is None:
            return await anyio.to_thread.run_sync(self._needed().asks)
        return await self._supervisor.asks() if self._supervisor.is_open else []

    async def workers(self) -> dict[str, Any]:
        """Return the workers, and the runs that are open."""
        return await anyio.to_thread.run_sync(self._workers)

    def _workers(self) -> dict[str, Any]:
        journal = self._needed()
        now = journal.now()
        runs = journal.runs(
            RunFilter(
                statuses=("ready", "running", "waiting", "stuck"), limit=MAX_RUNS_SHOWN
            )
        )
        work = Counter(run.worker for run in runs if run.worker is not None)
        return {
            "location": journal.location,
            "lease": journal.lease,
            "workers": [
                {
                    "name": worker.name,
                    "silent": max(0.0, now - worker.seen),
                    "is_late": now - worker.seen > journal.lease,
                    "runs": work[worker.name],
                }
                for worker in journal.workers()
            ],
            "runs": [to_plain(run) for run in runs],
            "counts": dict(Counter(run.status for run in runs)),
        }

    # -- acting

    async def answer(self, ask_id: str, value: Any, by: str | None) -> None:
        """Answer a question.

        Raises:
            RequestError: the answer does not fit the form.
            ActionError: the question is not open any more.
        """
        try:
            if self._supervisor is not None:
                await self._supervisor.answer(ask_id, value, by=by)
            else:
                journal = self._needed()
                await anyio.to_thread.run_sync(
                    stored_runs.answer, journal, ask_id, value, by
                )
        except AnswerRejected as error:
            raise RequestError(str(error)) from error
        except UnknownAsk as error:
            raise ActionError(str(error)) from error

    async def cancel(self, run_id: str, reason: str, by: str | None) -> bool:
        """Ask for the end of a run, wherever it is; False when no such run is open."""
        if self._supervisor is not None:
            return await self._supervisor.cancel(run_id, reason)
        if self.journal is None:
            return False
        return await anyio.to_thread.run_sync(self.journal.cancel, run_id, reason, by)

    async def redrive(self, run_id: str) -> None:
        """Continue a stuck run.

        Raises:
            NotFoundError: there is no such run.
            ActionError: it is not stuck.
        """
        try:
            if self._supervisor is not None:
                await self._supervisor.redrive(run_id)
            else:
                journal = self._needed()
                await anyio.to_thread.run_sync(stored_runs.redrive, journal, run_id)
        except UnknownRunError as error:
            raise NotFoundError(str(error)) from error
        except RunRejected as error:
            raise ActionError(str(error)) from error
