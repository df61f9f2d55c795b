"""Durable runs: open questions, answers, workers, and runs that are stuck.

A supervisor is asked where there is one, for it knows the classes that answers become;
a journal alone can be read and answered, too.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from ..abc import Journal
from ..abc.journal_records import JournaledRun, OpenAsk, RunFilter
from ..codec import to_plain
from ..errors import AnswerRejected, UnknownAsk
from .errors import ActionError, NotFoundError, RequestError
from .forms import problem_of


if TYPE_CHECKING:
    from ..supervisor import Supervisor


MOST = 200
"""Runs that are shown."""


class DurableRuns:
    """Answers about the durable runs of a journal, and acts on them.

    Args:
        journal: the journal.
        supervisor: the supervisor that works on it here, if there is one.
    """

    def __init__(self, journal: Journal | None, supervisor: Supervisor | None) -> None:
        self.journal = journal
        self._supervisor: Any = supervisor

    def _can(self, method: str) -> bool:
        return callable(getattr(self._supervisor, method, None))

    def _needed(self) -> Journal:
        if self.journal is None:
            msg = "This dashboard has no journal; pass journal= to create_app."
            raise NotFoundError(msg)
        return self.journal

    # -- reading

    async def asks(self) -> dict[str, Any]:
        """Return the open questions, those that are due first before the others."""
        if self._can("asks"):
            found: list[OpenAsk] = await self._supervisor.asks()
        else:
            found = await anyio.to_thread.run_sync(self._needed().asks)
        ordered = sorted(
            found, key=lambda ask: (ask.due_at is None, ask.due_at or ask.asked_at)
        )
        return {"asks": [to_plain(ask) for ask in ordered]}

    async def workers(self) -> dict[str, Any]:
        """Return the workers, and the runs that are open."""
        return await anyio.to_thread.run_sync(self._workers)

    def _workers(self) -> dict[str, Any]:
        journal = self._needed()
        now = journal.now()
        runs = journal.runs(
            RunFilter(statuses=("ready", "running", "waiting", "stuck"), limit=MOST)
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

    async def find(self, run_id: str) -> JournaledRun | None:
        """Return a durable run; None when the journal has none of this id."""
        journal = self.journal
        if journal is None:
            return None
        which = RunFilter(prefix=run_id, limit=2)
        found = await anyio.to_thread.run_sync(journal.runs, which)
        return next((run for run in found if run.run_id == run_id), None)

    # -- acting

    async def answer(self, ask_id: str, value: Any, by: str | None) -> None:
        """Answer a question.

        Raises:
            RequestError: the answer does not fit the form.
            ActionError: the question is not open any more.
        """
        try:
            if self._can("answer"):
                await self._supervisor.answer(ask_id, value, by=by)
            else:
                await anyio.to_thread.run_sync(self._answer, ask_id, value, by)
        except AnswerRejected as error:
            raise RequestError(str(error)) from error
        except UnknownAsk as error:
            raise ActionError(str(error)) from error

    def _answer(self, ask_id: str, value: Any, by: str | None) -> None:
        journal = self._needed()
        form = next((ask.form for ask in journal.asks() if ask.id == ask_id), None)
        if form is None:
            raise UnknownAsk(ask_id)
        problem = problem_of(value, form)
        if problem is not None:
            raise AnswerRejected(ask_id, problem)
        if not journal.answer(ask_id, json.dumps(value), by):
            raise UnknownAsk(ask_id)

    async def cancel(self, run_id: str, reason: str, by: str | None) -> bool:
        """Ask for the end of a run, wherever it is; False when no such run is open."""
        if self._can("cancel"):
            ended: bool = await self._supervisor.cancel(run_id, reason)
            return ended
        journal = self.journal
        if journal is None:
            return False
        return await anyio.to_thread.run_sync(journal.cancel, run_id, reason, by)

    async def redrive(self, run_id: str) -> None:
        """Let a stuck run go on.

        Raises:
            ActionError: it is not stuck.
        """
        if not await anyio.to_thread.run_sync(self._needed().redrive, run_id):
            msg = f"Run {run_id!r} is not stuck."
            raise ActionError(msg)
