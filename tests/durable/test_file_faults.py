"""A real file that is full, read-only, locked or gone: runs stand still, say so, and go on."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.journals import SQLiteJournal

from .crash_model import wait_until


Fault = tuple[Callable[[SQLiteJournal], None], Callable[[SQLiteJournal], None]]


def statement(text: str) -> Callable[[SQLiteJournal], None]:
    """Return what executes a statement on the journal's own connection."""

    def execute(journal: SQLiteJournal) -> None:
        with journal._database.read() as connection:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(text.format(pages=pages))

    return execute


holders: list[sqlite3.Connection] = []


def lock(journal: SQLiteJournal) -> None:
    """Hold the file as a process does that writes for seconds."""
    holder = sqlite3.connect(journal.location, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    holders.append(holder)


def unlock(journal: SQLiteJournal) -> None:
    """Let the file go."""
    while holders:
        holders.pop().close()


def remove(journal: SQLiteJournal) -> None:
    """Move the file away while it is open."""
    Path(journal.location).rename(f"{journal.location}.away")


def put_back(journal: SQLiteJournal) -> None:
    """Move the file back."""
    Path(f"{journal.location}.away").rename(journal.location)


FAULTS: dict[str, Fault] = {
    "is full": (
        statement("PRAGMA max_page_count = {pages}"),
        statement("PRAGMA max_page_count = 1000000"),
    ),
    "readonly": (
        statement("PRAGMA query_only = ON"),
        statement("PRAGMA query_only = OFF"),
    ),
    "is locked": (lock, unlock),
    "was removed": (remove, put_back),
}
"""By what the problem says: what brings it about, and what mends it."""


@pytest.mark.parametrize("words", FAULTS)
async def test_runs_stand_still_until_the_file_can_be_written(
    words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is lost, done twice, or done without being stored."""
    break_it, mend = FAULTS[words]
    journal, done = SQLiteJournal(tmp_path / "j.db"), list[str]()
    pipe: Pipe[Any, Any] = Pipe(dict, name="steps")

    @pipe.step("first", to="second")
    async def first(state: dict[str, Any]) -> None:
        done.append("first")
        await anyio.to_thread.run_sync(break_it, journal)
        state["first"] = "x" * 500_000

    @pipe.step("second")
    async def second(state: dict[str, Any]) -> None:
        done.append("second")

    with caplog.at_level(logging.WARNING), anyio.fail_after(60):
        async with Supervisor(pipe, journal=journal) as supervisor:
            run = await supervisor.submit(pipe, {}, run_id="one")
            await wait_until(lambda: not supervisor.health().ready)
            assert words in " ".join(supervisor.health().reasons)
            assert run.snapshot().tokens == {"journal": 1}
            assert done == ["first"]
            await anyio.to_thread.run_sync(mend, journal)
            assert (await run.wait()).status.value == "success"
            assert supervisor.health().ready
    assert done == ["first", "second"]
    assert "stand still" in caplog.text
    row = SQLiteJournal(tmp_path / "j.db").find("one")
    assert row is not None
    assert row.status == "success"


async def test_a_run_is_submitted_once_the_file_is_free(tmp_path: Path) -> None:
    """``submit``, ``find`` and ``cancel`` wait; "database is locked" reaches nobody."""
    journal = SQLiteJournal(tmp_path / "j.db")
    pipe: Pipe[Any, Any] = Pipe(dict, name="plain")
    pipe.step("only")(lambda: None)

    async def free_soon() -> None:
        await anyio.sleep(2)
        unlock(journal)

    with anyio.fail_after(60):
        async with (
            Supervisor(pipe, journal=journal) as supervisor,
            anyio.create_task_group() as tasks,
        ):
            lock(journal)
            tasks.start_soon(free_soon)
            run = await supervisor.submit(pipe, {}, run_id="one")
            assert (await run.wait()).status.value == "success"
