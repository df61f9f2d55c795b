"""Checks for journals: fencing, leases and atomic batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...abc import Batch, Claim, Journal, MapItems, NewAsk, NewRun, RunFilter


JournalCheck = Callable[[Journal], None]
"""Raises AssertionError unless a new, empty journal does what the check's name says."""

FORM = '{"type": "boolean"}'


def a_run(run_id: str = "r", pipe: str = "report") -> NewRun:
    """Return a run to store."""
    return NewRun(run_id=run_id, pipe=pipe, fingerprint="f1", input='{"state": 1}')


def begun(journal: Journal, run_id: str = "r") -> Claim:
    """Return the claim of a new worker on a new run."""
    claim = journal.submit(a_run(run_id), journal.add_worker("w")).claim
    assert claim is not None
    return claim


def commit(claim: Claim, n: int, **more: Any) -> Batch:
    """Return the batch of a claim's owner that has a number."""
    more = {"kind": "commit", "delta": f'{{"m/{n}": {n}}}'} | more
    return Batch(run=claim.run.id, n=n, **more)


def a_run_is_stored_once(journal: Journal) -> None:
    """A second run of the same id changes nothing, and the first one is returned."""
    first = journal.submit(a_run())
    second = journal.submit(NewRun(run_id="r", pipe="x", fingerprint="x", input="x"))

    assert first.is_new
    assert first.claim is None
    assert first.run.status == "ready"
    assert not second.is_new
    assert second.run == first.run
    assert journal.find("r") == first.run
    assert journal.find("other") is None


def a_claim_is_a_row(journal: Journal) -> None:
    """Claiming a run writes its takeover row and increments the incarnation."""
    claim = begun(journal)

    assert (claim.n, claim.deaths, claim.run.incarnation) == (1, 0, 1)
    assert claim.run.status == "running"
    assert [row.kind for row in journal.load(claim.run.id)] == ["takeover"]


def two_workers_never_get_the_same_run(journal: Journal) -> None:
    """A run that has an owner cannot be claimed by another worker."""
    one, other = journal.add_worker("one"), journal.add_worker("other")
    for name in ("a", "b", "c"):
        journal.submit(a_run(name))
    first = journal.claim(one, ["report"], 2)
    second = journal.claim(other, ["report"])

    assert [claim.run.run_id for claim in first] == ["a", "b"]
    assert [claim.run.run_id for claim in second] == ["c"]
    assert journal.claim(other, ["report"]) == []


def only_known_pipes_are_claimed(journal: Journal) -> None:
    """A worker gets only runs of the pipes that it names, or only one run by id."""
    worker = journal.add_worker("w")
    journal.submit(a_run("a", "one"))
    journal.submit(a_run("b", "two"))

    assert journal.claim(worker, ["three"]) == []
    assert journal.claim(worker, ["one"], run_id="b") == []
    assert [c.run.run_id for c in journal.claim(worker, ["two"])] == ["b"]


def rows_come_back_in_order(journal: Journal) -> None:
    """The rows of a run are those that were written, texts untouched."""
    claim = begun(journal)
    journal.append([commit(claim, 2, state='{"a": "\\u00e9"}')])
    journal.append([commit(claim, 3)])
    rows = journal.commits(claim.run.id)

    assert [(row.n, row.kind) for row in rows] == [
        (1, "takeover"),
        (2, "commit"),
        (3, "commit"),
    ]
    assert (rows[1].delta, rows[1].state) == ('{"m/2": 2}', '{"a": "\\u00e9"}')
    assert rows[2].state is None
    assert [row.n for row in journal.commits(claim.run.id, upto=2)] == [1, 2]


def a_taken_number_is_a_lost_lease(journal: Journal) -> None:
    """The whole batch of a replaced owner is refused."""
    late = begun(journal)
    journal.remove_worker(late.run.worker or 0)
    [owner] = journal.claim(journal.add_worker("w"), ["report"])
    ask = NewAsk(id="r:s:k", step="s", form=FORM)
    end: dict[str, Any] = {"kind": "end", "status": "success"}

    assert journal.append([commit(late, 2, asks=(ask,), **end)]) == {late.run.id}
    assert journal.asks() == []
    found = journal.find("r")
    assert found is not None
    assert found.status == "running"
    assert journal.append([commit(owner, 3)]) == frozenset()


def a_batch_is_stored_once(journal: Journal) -> None:
    """A writer that was not told that a batch is stored may store it again."""
    claim = begun(journal)
    journal.append([commit(claim, 2, state='{"a": 1}')])

    assert journal.append([commit(claim, 2, state='{"a": 1}')]) == frozenset()
    assert [row.n for row in journal.commits(claim.run.id)] == [1, 2]
    assert journal.append([commit(claim, 3)]) == frozenset()


def a_lost_lease_is_the_runs_own(journal: Journal) -> None:
    """A refused batch does not affect batches of other runs in the same transaction."""
    good, late = begun(journal, "good"), begun(journal, "late")
    journal.append([commit(late, 2, state="{}")])

    assert journal.append([commit(late, 2), commit(good, 2)]) == {late.run.id}
    assert [row.n for row in journal.commits(good.run.id)] == [1, 2]


def reading_begins_at_the_snapshot(journal: Journal) -> None:
    """Loading a run begins at its last snapshot."""
    claim = begun(journal)
    journal.append([commit(claim, 2)])
    journal.append([commit(claim, 3, kind="snapshot")])
    journal.append([commit(claim, 4)])

    assert [row.n for row in journal.load(claim.run.id)] == [3, 4]
    assert [row.n for row in journal.commits(claim.run.id)] == [1, 2, 3, 4]


def a_released_run_is_ready(journal: Journal) -> None:
    """A release returns the lease, and the next owner continues after its row."""
    claim = begun(journal)
    journal.append([commit(claim, 2, kind="release", status="ready")])
    [again] = journal.claim(journal.add_worker("other"), ["report"])

    assert (again.n, again.run.incarnation, again.deaths) == (3, 2, 0)


def a_waiting_run_is_due(journal: Journal) -> None:
    """A run that waits until a time can be claimed from that time on."""
    worker, now = journal.add_worker("w"), journal.now()
    for name, due in (("late", now + 3600), ("due", now - 1), ("ask", None)):
        claim = journal.submit(a_run(name), worker).claim
        assert claim is not None
        release = {"kind": "release", "status": "waiting", "wake_at": due}
        journal.append([commit(claim, 2, **release)])

    assert [c.run.run_id for c in journal.claim(worker, ["report"])] == ["due"]
    next_due = journal.next_due(["report"])
    assert next_due is not None
    assert abs(next_due - (now + 3600)) < 1
    assert journal.next_due(["other"]) is None


def deaths_are_counted(journal: Journal) -> None:
    """Owners that die without a commit are counted; a commit resets the count."""
    claim = begun(journal)
    deaths: list[int] = []
    for _ in range(3):
        journal.remove_worker(claim.run.worker or 0)
        [claim] = journal.claim(journal.add_worker("w"), ["report"])
        deaths.append(claim.deaths)
    journal.append([commit(claim, claim.n + 1)])
    journal.remove_worker(claim.run.worker or 0)
    [after] = journal.claim(journal.add_worker("w"), ["report"])

    assert deaths == [1, 2, 3]
    assert after.deaths == 1


def a_release_is_no_death(journal: Journal) -> None:
    """Owners that release the run are not counted as deaths, even without a commit."""
    claim = begun(journal)
    for _ in range(4):
        release = commit(claim, claim.n + 1, kind="release", status="ready")
        journal.append([release])
        [claim] = journal.claim(journal.add_worker("w"), ["report"])

        assert claim.deaths == 0


def a_stuck_run_is_redriven(journal: Journal) -> None:
    """A stuck run cannot be claimed until it is redriven; redriving adds no death."""
    claim = begun(journal)
    stuck = {"kind": "release", "status": "stuck", "problem": "step 'a' is gone"}
    journal.append([commit(claim, 2, **stuck)])
    worker = journal.add_worker("w")
    found = journal.find("r")

    assert found is not None
    assert found.problem == "step 'a' is gone"
    assert journal.claim(worker, ["report"]) == []
    assert journal.redrive("r")
    assert not journal.redrive("r")
    [again] = journal.claim(worker, ["report"])
    assert again.deaths == 0


def a_silent_worker_loses_its_runs(journal: Journal) -> None:
    """A worker that was declared dead is notified, and its runs are ready."""
    claim = begun(journal)
    worker = claim.run.worker or 0

    assert journal.beat(worker)
    assert journal.bury_workers() == 0
    journal.remove_worker(worker)
    assert not journal.beat(worker)
    assert journal.workers() == []
    found = journal.find("r")
    assert found is not None
    assert found.status == "ready"
    assert found.worker is None


def the_first_answer_wins(journal: Journal) -> None:
    """An ask accepts one answer and is not listed after that."""
    claim = begun(journal)
    ask = NewAsk(id="r:s:k", step="s", note="Publish?", form=FORM)
    journal.append([commit(claim, 2, asks=(ask,))])
    [found] = journal.asks("r")

    assert (found.id, found.run_id, found.step, found.note) == (
        "r:s:k",
        "r",
        "s",
        "Publish?",
    )
    assert found.form == {"type": "boolean"}
    assert found.pipe == "report"
    assert journal.answer("r:s:k", "true", by="ada")
    assert not journal.answer("r:s:k", "false")
    assert journal.asks() == []
    [signal] = journal.signals_of(claim.run.id)
    assert (signal.kind, signal.ask, signal.body, signal.by) == (
        "answer",
        "r:s:k",
        "true",
        "ada",
    )


def a_late_answer_is_refused(journal: Journal) -> None:
    """An ask is closed after its deadline, and a timer is never an open ask."""
    claim, now = begun(journal), journal.now()
    late = NewAsk(id="late", step="s", form=FORM, due=now - 1)
    timer = NewAsk(id="timer", step="s", due=now + 3600)
    journal.append([commit(claim, 2, asks=(late, timer))])

    assert journal.asks() == []
    assert not journal.answer("late", "true")
    assert not journal.answer("timer", "true")
    assert not journal.answer("unknown", "true")


def an_answer_wakes_the_run(journal: Journal) -> None:
    """A run that waits for an answer can be claimed after the answer."""
    claim = begun(journal)
    ask = NewAsk(id="k", step="s", form=FORM)
    journal.append([commit(claim, 2, asks=(ask,))])
    journal.append([commit(claim, 3, kind="release", status="waiting")])
    worker = journal.add_worker("w")

    assert journal.claim(worker, ["report"]) == []
    assert journal.answer("k", "true")
    [again] = journal.claim(worker, ["report"])
    [signal] = journal.signals(worker)
    journal.append(
        [commit(again, again.n + 1, consumed=(signal.id,), asks_gone=("k",))]
    )
    assert journal.signals(worker) == []


def a_question_can_be_asked_again(journal: Journal) -> None:
    """A question is open again after its answer was rejected, and gives the reason."""
    claim = begun(journal)
    ask = NewAsk(id="k", step="s", form=FORM)
    journal.append([commit(claim, 2, asks=(ask,))])
    journal.answer("k", "true")
    again = NewAsk(id="k", step="s", form=FORM, problem="too vague")
    journal.append([commit(claim, 3, asks=(again,))])

    assert [(one.id, one.problem) for one in journal.asks()] == [("k", "too vague")]
    assert journal.answer("k", "false")


def cancelling_reaches_any_open_run(journal: Journal) -> None:
    """A cancellation is kept for the current or next owner of the run."""
    claim = begun(journal)
    worker = journal.add_worker("w")
    journal.append([commit(claim, 2, kind="release", status="stuck", problem="p")])

    assert journal.cancel("r", "not needed", by="ada")
    assert not journal.cancel("unknown", "x")
    [again] = journal.claim(worker, ["report"])
    [signal] = journal.signals_of(again.run.id)
    assert (signal.kind, signal.body) == ("cancel", '"not needed"')


def the_end_is_the_end(journal: Journal) -> None:
    """An ended run has an outcome, and no ask, signal or owner."""
    claim = begun(journal)
    ask = NewAsk(id="k", step="s", form=FORM)
    journal.append([commit(claim, 2, asks=(ask,))])
    end = {"kind": "end", "status": "failed", "outcome": "{}", "problem": "Boom"}
    journal.append([commit(claim, 3, **end)])
    found = journal.find("r")

    assert found is not None
    assert (found.status, found.outcome, found.problem) == ("failed", "{}", "Boom")
    assert found.worker is None
    assert found.ended is not None
    assert journal.asks() == []
    assert not journal.cancel("r", "too late")
    assert journal.claim(journal.add_worker("w"), ["report"]) == []


def a_fork_begins_with_a_snapshot(journal: Journal) -> None:
    """A fork has its first row and the kept items, and any worker can claim it."""
    claim = begun(journal)
    items = (MapItems(7, 0, "[1]"), MapItems(7, 1, "[2]"))
    journal.append([commit(claim, 2, items=items)])
    journal.append([commit(claim, 3, maps_gone=(7,))])
    new = NewRun(
        run_id="copy",
        pipe="report",
        fingerprint="f1",
        input="{}",
        forked_from="r",
        forked_at=2,
        delta='{"m/1": 1}',
        state="{}",
    )
    copy = journal.fork(new, items_of=claim.run.id)

    assert (copy.status, copy.forked_from, copy.forked_at) == ("ready", "r", 2)
    assert [row.kind for row in journal.load(copy.id)] == ["snapshot"]
    assert [one.items for one in journal.items(copy.id, 7)] == ["[1]", "[2]"]
    [taken] = journal.claim(journal.add_worker("w"), ["report"])
    assert (taken.n, taken.deaths) == (2, 0)
    try:
        journal.fork(new)
    except ValueError:
        pass
    else:
        msg = "two runs of one id"
        raise AssertionError(msg)


def a_suspended_run_is_resumed_once(journal: Journal) -> None:
    """A suspended run can be resumed by one run only."""
    claim = begun(journal)
    journal.append([commit(claim, 2, kind="end", status="suspended")])

    journal.fork(a_run("next"), resumes="r")
    try:
        journal.fork(a_run("another"), resumes="r")
    except ValueError:
        pass
    else:
        msg = "two runs go on for one"
        raise AssertionError(msg)
    assert journal.find("another") is None
    found = journal.find("r")
    assert found is not None
    assert found.resumed_by == "next"
    shown = {run.run_id: run.resumed_by for run in journal.runs(RunFilter())}
    assert shown == {"r": "next", "next": None}


def runs_are_listed(journal: Journal) -> None:
    """Runs are shown the newest first, by status, pipe and beginning of their id."""
    begun(journal, "a-1")
    journal.submit(a_run("a-2", "other"))
    journal.submit(a_run("b-1"))

    def found(**which: Any) -> list[str]:
        return [run.run_id for run in journal.runs(RunFilter(**which))]

    assert found() == ["b-1", "a-2", "a-1"]
    assert found(limit=1) == ["b-1"]
    assert found(statuses=("running",)) == ["a-1"]
    assert found(pipes=("other",)) == ["a-2"]
    assert found(prefix="a-") == ["a-2", "a-1"]
    [shown] = journal.runs(RunFilter(prefix="a-1"))
    assert (shown.worker, shown.incarnation, shown.status) == ("w", 1, "running")


def opening_again_changes_nothing(journal: Journal) -> None:
    """A journal may be opened any number of times, and closed between."""
    journal.open()
    begun(journal)
    journal.close()
    journal.open()

    assert journal.find("r") is not None


JOURNAL_CHECKS: tuple[JournalCheck, ...] = (
    a_run_is_stored_once,
    a_claim_is_a_row,
    two_workers_never_get_the_same_run,
    only_known_pipes_are_claimed,
    rows_come_back_in_order,
    a_taken_number_is_a_lost_lease,
    a_batch_is_stored_once,
    a_lost_lease_is_the_runs_own,
    reading_begins_at_the_snapshot,
    a_released_run_is_ready,
    a_waiting_run_is_due,
    deaths_are_counted,
    a_release_is_no_death,
    a_stuck_run_is_redriven,
    a_silent_worker_loses_its_runs,
    the_first_answer_wins,
    a_late_answer_is_refused,
    an_answer_wakes_the_run,
    a_question_can_be_asked_again,
    cancelling_reaches_any_open_run,
    the_end_is_the_end,
    a_fork_begins_with_a_snapshot,
    a_suspended_run_is_resumed_once,
    runs_are_listed,
    opening_again_changes_nothing,
)


def check_journal(factory: Callable[[], Journal]) -> None:
    """Run every check against a new journal.

    Args:
        factory: returns a new, empty journal at each call.

    Raises:
        AssertionError: the journal fails a check; the note names the check.
    """
    for check in JOURNAL_CHECKS:
        journal = factory()
        try:
            check(journal)
        except Exception as error:
            error.add_note(f"{check.__name__}: {check.__doc__}")
            raise
        finally:
            journal.close()
