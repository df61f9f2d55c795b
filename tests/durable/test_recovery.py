"""A run whose process dies goes on in the next one, and ends as without the crash."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe
from justpipe_actors.abc import CommitMode

from .crash_model import RUN, CopyingJournal, journal_of, run_through


def mixed(executed: list[str]) -> Pipe[Any, Any]:  # noqa: C901 - one pipe
    """Return a pipe with a join after a step and a map, and a child on the same state."""
    child: Pipe[Any, Any] = Pipe(dict, name="child")

    def visit(state: dict[str, Any], name: str) -> None:
        executed.append(name)
        state[name] = state.get(name, 0) + 1

    @child.step("first", to="second")
    async def first(state: dict[str, Any]) -> None:
        visit(state, "first")

    @child.step("second")
    async def second(state: dict[str, Any]) -> None:
        visit(state, "second")

    pipe: Pipe[Any, Any] = Pipe(dict, name="mixed")

    @pipe.step("begin", to=["beside", "fan"])
    async def begin(state: dict[str, Any]) -> None:
        visit(state, "begin")

    @pipe.step("beside", to="join")
    async def beside(state: dict[str, Any]) -> None:
        visit(state, "beside")

    @pipe.step("work")
    async def work(state: dict[str, Any], item: int) -> None:
        await anyio.sleep(0.001 * (item % 3))
        visit(state, f"item {item}")

    @pipe.map("fan", each="work", to="join", max_concurrency=2)
    async def fan(state: dict[str, Any]) -> list[int]:
        executed.append("fan")
        return [1, 2, 3, 4, 5]

    @pipe.step("join", to="sub")
    async def join(state: dict[str, Any]) -> None:
        visit(state, "join")

    @pipe.sub("sub", child, to="end")
    async def sub(state: dict[str, Any]) -> dict[str, Any]:
        executed.append("sub")
        return state

    @pipe.step("end")
    async def end(state: dict[str, Any]) -> None:
        visit(state, "end")

    return pipe


@pytest.mark.parametrize("mode", ["sync", "group"])
async def test_a_crash_after_any_commit_does_not_change_the_end(
    mode: CommitMode,
) -> None:
    """Status, errors and state are those of an uninterrupted run."""
    executed: list[str] = []
    pipe = mixed(executed)
    journal = CopyingJournal(mode=mode)
    plain = await run_through(pipe, journal, {}, executed)

    for number, copy in enumerate(journal.copies):
        again = await run_through(pipe, journal_of(copy, mode=mode), {}, executed)
        assert again.summary == plain.summary, number
        assert len(again.seqs) == len(set(again.seqs))
        assert not set(again.seqs) & set(plain.seqs) or number + 1 >= len(
            journal.copies
        )


async def test_a_finished_step_is_not_run_again() -> None:
    """In sync mode each step runs once in all, except for those in flight."""
    executed: list[str] = []
    pipe = mixed(executed)
    journal = CopyingJournal()
    plain = await run_through(pipe, journal, {}, executed)
    left = len(plain.executed)

    for copy in journal.copies:
        again = await run_through(pipe, journal_of(copy), {}, executed)
        assert len(again.executed) <= left
        assert set(again.executed) <= set(plain.executed)
        left = len(again.executed)

    assert left == 0


async def test_submitting_an_id_again_returns_the_run_that_has_it() -> None:
    """An id is never used for a second run, not even by another supervisor."""
    executed: list[str] = []
    pipe = mixed(executed)
    journal = CopyingJournal()
    plain = await run_through(pipe, journal, {}, executed)
    again = await run_through(pipe, journal, {}, executed)

    assert again.end.status is plain.end.status
    assert again.executed == []


async def test_a_run_that_is_taken_up_has_the_event_recovered() -> None:
    """RECOVERED comes in place of START, with a number above all earlier ones."""
    executed: list[str] = []
    pipe = mixed(executed)
    journal = CopyingJournal()
    await run_through(pipe, journal, {}, executed)
    again = await run_through(pipe, journal_of(journal.copies[2]), {}, executed)

    assert again.types[0] == "recovered"
    assert again.seqs[0] == (1 << 40) + 1


@pytest.mark.parametrize("is_dead", [True, False])
async def test_the_log_names_the_runs_of_a_dead_process(
    caplog: pytest.LogCaptureFixture,
    *,
    is_dead: bool,
) -> None:
    """A run that begins for the first time is not among them."""
    executed: list[str] = []
    pipe = mixed(executed)
    journal = CopyingJournal()
    caplog.set_level("INFO")
    await run_through(pipe, journal, {}, executed)
    if is_dead:
        await run_through(pipe, journal_of(journal.copies[1]), {}, executed)

    found = [r.getMessage() for r in caplog.records if "is taken up" in r.getMessage()]
    text = f"Run '{RUN}' of pipe 'mixed' is taken up: the process that had it has died"
    assert found == [text] * is_dead
