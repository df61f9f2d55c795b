"""A journal file that is full, read-only, locked or missing: runs wait, report it, and go on."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.errors import JournalUnusableError
from justpipe_actors.journals import SQLiteJournal

from .crash_model import wait_until


Fault = tuple[str, Callable[[SQLiteJournal], None], Callable[[SQLiteJournal], None]]
"""What the problem says, what brings it about, and what mends it."""


def statement(text: str) -> Callable[[SQLiteJournal], None]:
    """Return a function that executes a statement on the journal's own connection."""

    def execute(journal: SQLiteJournal) -> None:
        with journal._database.read() as connection:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(text.format(pages=pages))

    return execute


holders: list[sqlite3.Connection] = []


def lock(journal: SQLiteJournal) -> None:
    """Lock the file as a process does that writes for seconds."""
    holder = sqlite3.connect(journal.location, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    holders.append(holder)


def unlock(journal: SQLiteJournal) -> None:
    """Release the lock."""
    while holders:
        holders.pop().close()


def remove(journal: SQLiteJournal) -> None:
    """Move the file away while it is open."""
    Path(journal.location).rename(f"{journal.location}.away")


def put_back(journal: SQLiteJournal) -> None:
    """Move the file back."""
    Path(f"{journal.location}.away").rename(journal.location)


def remove_folder(journal: SQLiteJournal) -> None:
    """Move the file's folder away while the file is open."""
    folder = Path(journal.location).parent
    folder.rename(folder.with_name("away"))


def put_folder_back(journal: SQLiteJournal) -> None:
    """Move the folder back."""
    folder = Path(journal.location).parent
    folder.with_name("away").rename(folder)


def close_folder(journal: SQLiteJournal) -> None:
    """Take the permission to use the folder away."""
    Path(journal.location).parent.chmod(0)


def open_folder(journal: SQLiteJournal) -> None:
    """Give the permission back."""
    Path(journal.location).parent.chmod(0o700)


def fill_disk(journal: SQLiteJournal) -> None:
    """Write until the disk of the file has no room."""
    filler = os.open(Path(journal.location).with_name("filler"), os.O_CREAT | os.O_RDWR)
    try:
        while True:
            os.write(filler, b"x" * 1024)
    except OSError:
        os.close(filler)


def empty_disk(journal: SQLiteJournal) -> None:
    """Make room again."""
    Path(journal.location).with_name("filler").unlink()


FAULTS: dict[str, Fault] = {
    "full": (
        "is full",
        statement("PRAGMA max_page_count = {pages}"),
        statement("PRAGMA max_page_count = 1000000"),
    ),
    "read-only": (
        "readonly",
        statement("PRAGMA query_only = ON"),
        statement("PRAGMA query_only = OFF"),
    ),
    "locked": ("is locked", lock, unlock),
    "removed": ("was removed", remove, put_back),
    "folder removed": ("was removed", remove_folder, put_folder_back),
    "folder closed": ("Permission denied", close_folder, open_folder),
    "disk full": ("is full", fill_disk, empty_disk),
}


@contextmanager
def permissions_kept() -> Generator[None]:
    """Let the permissions of files bind the superuser, too, as they bind other users."""
    if os.geteuid() or sys.platform != "linux":
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    before, after = (ctypes.c_uint32 * 6)(), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, before) == 0
    for index, word in enumerate(before):
        after[index] = word
    after[0] &= ~0b110  # not CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
    assert libc.capset(header, after) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Path]:
    """Return the folder of the journal; on a disk of its own where the disk gets full."""
    made = tmp_path / "folder"
    made.mkdir()
    if request.node.callspec.params.get("fault") != "disk full":
        yield made
        return
    mount = shutil.which("mount")
    if mount is None or os.geteuid():
        pytest.skip("only the superuser can make a small disk")
    options = ("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(made))
    if subprocess.run([mount, *options], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nothing be mounted")
    try:
        yield made
    finally:
        subprocess.run(["umount", str(made)], check=True)


@pytest.mark.parametrize("fault", FAULTS)
async def test_runs_wait_until_the_file_can_be_written(
    fault: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No commit is lost, no step runs twice, and none goes on before its commit is stored."""
    words, break_it, mend = FAULTS[fault]
    journal, done = SQLiteJournal(folder / "j.db"), list[str]()
    pipe: Pipe[Any, Any] = Pipe(dict, name="steps")

    @pipe.step("first", to="second")
    async def first(state: dict[str, Any]) -> None:
        done.append("first")
        await anyio.to_thread.run_sync(break_it, journal)
        state["first"] = "x" * 500_000

    @pipe.step("second")
    async def second(state: dict[str, Any]) -> None:
        done.append("second")

    with (
        caplog.at_level(logging.WARNING),
        anyio.fail_after(60),
        permissions_kept(),
    ):
        async with Supervisor(pipe, journal=journal) as supervisor:
            run = await supervisor.submit(pipe, {}, run_id="one")
            await wait_until(lambda: not supervisor.health().ready)
            assert words in " ".join(supervisor.health().reasons)
            assert run.snapshot().tokens == {"journal": 1}
            assert done == ["first"]
            if words not in {"is locked", "is full"}:  # it waits, or finds some room
                with pytest.raises(JournalUnusableError, match=words) as caught:
                    await supervisor.submit(pipe, {}, run_id="two")
                assert journal.location in str(caught.value)
            await anyio.to_thread.run_sync(mend, journal)
            assert (await run.wait()).status.value == "success"
            assert supervisor.health().ready
    assert done == ["first", "second"]
    assert "stand still" in caplog.text
    reader = SQLiteJournal(folder / "j.db")
    row = reader.find("one")
    reader.close()
    assert row is not None
    assert row.status == "success"


async def test_a_run_is_submitted_once_the_file_is_free(tmp_path: Path) -> None:
    """``submit``, ``find`` and ``cancel`` wait; no caller gets "database is locked"."""
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


async def test_a_closed_supervisor_leaves_one_file(tmp_path: Path) -> None:
    """Nothing of the journal stays open, so its file alone can be copied and moved."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="plain")
    pipe.step("only")(lambda: None)
    async with Supervisor(pipe, journal=tmp_path / "j.db") as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="one")
        await run.wait()

    assert os.listdir(tmp_path) == ["j.db"]
