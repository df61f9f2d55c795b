"""``list``, ``show`` and ``tail`` of durable runs, whose status comes from the journal."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from justpipe_actors import Ask, Pipe, Supervisor, Suspend
from justpipe_actors.cli.main import main
from justpipe_actors.journals import SQLiteJournal
from justpipe_actors.storage import PipelineRegistry, RunQuery


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the storage root of the commands."""
    monkeypatch.setenv("JUSTPIPE_ACTORS_STORAGE_PATH", str(tmp_path / "runs"))
    monkeypatch.setenv("JUSTPIPE_ACTORS_JOURNAL", str(tmp_path / "journal.db"))
    (tmp_path / "runs").mkdir()
    return tmp_path


def approval(*, persist: bool = True) -> Pipe[Any, Any]:
    """Return a pipe that asks, waits a day, suspends or fails, depending on its state."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="approval", persist=persist)

    @pipe.step("draft")
    async def draft(state: dict[str, Any]) -> Any:
        match state["what"]:
            case "ask":
                limit = timedelta(days=1)
                return Ask(bool, "Publish it?", to=publish, timeout=limit)
            case "sleep":
                return Ask(None, to=publish, timeout=timedelta(days=1))
            case "suspend":
                return Suspend("a person looks")
            case _:
                raise ValueError("broken")

    @pipe.step("publish")
    async def publish(state: dict[str, Any], ok: bool | None = None) -> None:
        state["ok"] = ok

    return pipe


async def begin(root: Path, what: str, *, persist: bool = True) -> None:
    """Submit a run and leave when it waits or has ended."""
    pipe = approval(persist=persist)
    with anyio.fail_after(30), closing(SQLiteJournal(root / "journal.db")) as journal:
        async with Supervisor(pipe, journal=journal) as supervisor:
            await supervisor.submit(pipe, {"what": what}, run_id=what)
            while (row := journal.find(what)) is None or row.status == "running":  # noqa: ASYNC110
                await anyio.sleep(0.01)


def show(capsys: pytest.CaptureFixture[str], run_id: str) -> tuple[str, Any]:
    """Return the output of ``show`` as text and as JSON."""
    capsys.readouterr()
    assert main(["show", run_id]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert main(["show", run_id, "--json"]) == 0
    return text, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("persist", [True, False])
async def test_show_has_the_ask_of_a_run_and_the_command_that_answers(
    root: Path, capsys: pytest.CaptureFixture[str], *, persist: bool
) -> None:
    """This holds also for a run without a history."""
    await begin(root, "ask", persist=persist)
    text, document = show(capsys, "ask")
    assert "waiting" in text
    assert 'Waits for an answer to "Publish it?" asked by step draft, due ' in text
    assert "Form boolean" in text
    assert "justpipe-actors answer ask:draft:" in text
    (wait,) = document["waits"]
    assert (wait["kind"], wait["step"], wait["form"]["type"]) == (
        "ask",
        "draft",
        "boolean",
    )
    assert document["status"] == "waiting"
    assert document["journal"] == str(root / "journal.db")


async def test_show_has_the_time_until_which_a_run_sleeps(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the waiting step, too."""
    await begin(root, "sleep")
    text, document = show(capsys, "sleep")
    assert ", in step draft" in text
    assert [one["kind"] for one in document["waits"]] == ["timer"]


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("suspend", "Go on with justpipe-actors resume suspend"),
        ("fail", "Try again with justpipe-actors retry fail"),
    ],
)
async def test_show_has_the_command_that_continues_an_ended_run(
    root: Path, capsys: pytest.CaptureFixture[str], what: str, line: str
) -> None:
    """A suspended run is resumed, and a failed one is retried."""
    await begin(root, what)
    assert line in show(capsys, what)[0]


async def test_a_run_whose_process_died_is_waiting_and_not_abandoned(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``list`` and ``show`` look into the journal that the stored run names."""
    await begin(root, "ask")
    _rewrite(
        root, "UPDATE runs SET status = 'running', owner = 'h/b/1/2', last_seen = 0"
    )
    store = _only_store(root)
    assert store.mark_abandoned() == 0
    run = store.get_run("ask")
    assert run is not None
    assert (run.label, run.journal) == ("waiting", str(root / "journal.db"))

    with closing(SQLiteJournal(root / "journal.db")) as journal:
        journal.cancel("ask", "no")
    with closing(sqlite3.connect(root / "journal.db")) as connection, connection:
        connection.execute("UPDATE runs SET status = 'stuck', problem = 'step gone'")
    capsys.readouterr()
    assert main(["list", "--status", "stuck", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["status"], found["error_message"]) == ("stuck", "step gone")
    assert main(["list", "--status", "waiting"]) == 0
    assert "No runs found" in capsys.readouterr().out


@pytest.mark.parametrize("looks", ["command", "supervisor"])
async def test_a_missing_end_of_the_history_is_added(
    root: Path, capsys: pytest.CaptureFixture[str], looks: str
) -> None:
    """The next command or supervisor that reads the run adds it, with its FINISH."""
    await begin(root, "fail")
    _rewrite(
        root,
        "UPDATE runs SET status = 'running', owner = 'h/b/1/2', last_seen = 0, end_time = NULL, "
        "error_message = NULL, duration_s = NULL",
    )
    _rewrite(root, "DELETE FROM chunks")
    if looks == "command":
        assert main(["list"]) == 0
    else:
        pipe = approval()
        async with Supervisor(pipe, journal=root / "journal.db"):
            with anyio.fail_after(30):
                while _label(root) != "failed":  # noqa: ASYNC110
                    await anyio.sleep(0.01)
    run = _only_store(root).get_run("fail")
    assert run is not None
    assert (run.label, run.error_message) == ("failed", "broken")
    assert run.end_time is not None
    (finish,) = _only_store(root).get_events("fail")
    assert finish.type_name == "finish"
    assert await anyio.to_thread.run_sync(main, ["tail", "fail"]) == 1
    assert "broken" in capsys.readouterr().err


def _only_store(root: Path) -> Any:
    registry = PipelineRegistry(root / "runs")
    (found,) = registry.query_runs(RunQuery())
    return registry.get_backend(found.pipeline_hash, read_only=False)


def _label(root: Path) -> str:
    (found,) = PipelineRegistry(root / "runs").query_runs(RunQuery())
    return found.run.label


def _rewrite(root: Path, statement: str) -> None:
    """Change the history as a process that was killed would have left it."""
    with closing(sqlite3.connect(_only_store(root).path)) as connection, connection:
        connection.execute(statement)
