"""Durable runs from the command line: begin, answer, cancel, copy, and continue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from justpipe_actors.abc import Batch, NewAsk, NewRun
from justpipe_actors.cli.main import main
from justpipe_actors.journals import SQLiteJournal


PROGRAM = """
from dataclasses import dataclass
from justpipe_actors import Ask, Pipe

@dataclass
class Report:
    ok: bool = False

pipe = Pipe(Report, name="approval")

@pipe.step()
async def draft(state: Report) -> Ask:
    return Ask(bool, "Publish?", to=publish)

@pipe.step()
async def publish(state: Report, ok: bool) -> None:
    state.ok = ok

plain = Pipe(Report)

@plain.step()
async def only(state: Report) -> None:
    state.ok = True
"""


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the journal that commands use by default."""
    path = tmp_path / "journal.db"
    monkeypatch.setenv("JUSTPIPE_ACTORS_JOURNAL", str(path))
    monkeypatch.setenv("JUSTPIPE_ACTORS_STORAGE_PATH", str(tmp_path / "store"))
    return path


@pytest.fixture
def empty_journal(where: Path) -> Iterator[SQLiteJournal]:
    """Return an empty journal."""
    with closing(SQLiteJournal(where)) as journal:
        yield journal


@pytest.fixture
def journal(empty_journal: SQLiteJournal) -> SQLiteJournal:
    """Return a journal with a run that asks, and one that is stuck."""
    journal = empty_journal
    worker = journal.add_worker("w")
    new = [
        NewRun(run_id=n, pipe="p", fingerprint="f", input="{}") for n in ("r1", "s1")
    ]
    ask, stuck = (journal.submit(one, worker).run.id for one in new)
    question = NewAsk(id="r1:draft:ask", step="draft", note="Publish?", form=FORM)
    delta = '{"m/1": {"s": "draft", "w": 1}}'
    journal.append(
        [
            Batch(run=ask, n=2, kind="commit", delta=delta, asks=(question,)),
            Batch(run=stuck, n=2, kind="release", status="stuck", problem="step gone"),
        ]
    )
    journal.append([Batch(run=ask, n=3, kind="release", status="waiting")])
    return journal


FORM = '{"type": "boolean"}'


def read(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return the JSON that was written."""
    return json.loads(capsys.readouterr().out)


def test_runs_are_listed(
    journal: SQLiteJournal, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list has open asks and reasons of stuck runs; programs get JSON."""
    assert main(["runs"]) == 0
    text = capsys.readouterr().out
    assert "asks r1:draft:ask" in text
    assert "step gone" in text
    assert main(["runs", "--waiting", "--json"]) == 0
    [run] = read(capsys)
    assert (run["run_id"], run["status"], run["asks"]) == (
        "r1",
        "waiting",
        ["r1:draft:ask"],
    )
    assert run["created_at"].endswith("+00:00")
    assert main(["runs", "--stuck", "--json"]) == 0
    assert [one["run_id"] for one in read(capsys)] == ["s1"]
    assert main(["runs", "--forget", "2026-01-01"]) == 0
    assert main(["runs", "--forget", "soon"]) == 2


def test_asks_are_listed_and_answered(
    journal: SQLiteJournal, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list has the command that answers; the run's id is enough when it has one ask."""
    assert main(["asks"]) == 0
    assert "answer r1:draft:ask 'true'" in capsys.readouterr().out
    assert main(["asks", "r1", "--json"]) == 0
    [ask] = read(capsys)
    assert list(ask) == [
        "id",
        "run_id",
        "pipe",
        "step",
        "note",
        "form",
        "asked_at",
        "due_at",
        "problem",
    ]
    assert main(["answer", "r1:draft:ask", "maybe"]) == 2
    assert "must be of type boolean" in capsys.readouterr().err
    assert main(["answer", "r1", "true", "--by", "ada"]) == 0
    assert main(["answer", "r1:draft:ask", "true"]) == 1
    assert main(["answer", "r1", "true"]) == 2
    [signal] = journal.signals_of(1)
    assert (signal.body, signal.by) == ("true", "ada")
    assert main(["asks"]) == 0
    assert "No open questions" in capsys.readouterr().out


def test_a_run_at_work_shows_its_unfinished_steps(
    empty_journal: SQLiteJournal, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that have begun or are queued, in child runs, too."""
    journal = empty_journal
    new = NewRun(run_id="r1", pipe="p", fingerprint="f", input="{}")
    run = journal.submit(new, journal.add_worker("w")).run.id
    delta = {
        "m/1": {"s": "survey", "w": 1},
        "c/1": {"pipe": "child"},
        "c/1/m/1": {"s": "fetch", "w": 2},
        "c/1/m/2": {"s": "fetch", "w": 2},
        "e/3": {"s": "join", "w": 1, "x": [], "t": 1},
        "s/1/m/2": 1,
    }
    journal.append([Batch(run=run, n=2, kind="commit", delta=json.dumps(delta))])

    assert main(["show", "r1"]) == 0
    assert "survey, fetch (2 times), join" in capsys.readouterr().out
    assert main(["show", "r1", "--json"]) == 0
    assert read(capsys)["steps"] == {"survey": 1, "fetch": 2, "join": 1}


def test_runs_are_ended_and_copied(
    journal: SQLiteJournal, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command reports its result, or why it did nothing."""
    assert main(["cancel", "r1", "--reason", "enough"]) == 0
    assert [one.body for one in journal.signals_of(1)] == ['"enough"']
    assert main(["redrive", "s1", "--json"]) == 0
    capsys.readouterr()
    assert main(["redrive", "s1"]) == 1
    assert "Only stuck runs are redriven" in capsys.readouterr().err
    assert main(["show", "r1", "--commits", "--json"]) == 0
    assert [one["kind"] for one in read(capsys)] == ["takeover", "commit", "release"]
    assert main(["fork", "r1", "--at", "2", "--run-id", "copy", "--json"]) == 0
    assert read(capsys) == {"run_id": "copy", "of": "r1", "status": "ready"}
    assert main(["fork", "r1", "--at", "99"]) == 1
    assert main(["retry", "r1"]) == 1
    assert main(["resume", "r1"]) == 1
    assert main(["cancel", "nothing"]) == 1


def test_a_resumed_run_shows_the_run_that_goes_on_for_it(
    empty_journal: SQLiteJournal, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run is resumed once, so afterwards nothing says how to do it."""
    journal = empty_journal
    new = NewRun(run_id="r1", pipe="p", fingerprint="f", input="{}")
    run = journal.submit(new, journal.add_worker("w")).run.id
    outcome = '{"suspended": "draft"}'
    journal.append(
        [Batch(run=run, n=2, kind="end", status="suspended", outcome=outcome)]
    )
    assert main(["show", "r1"]) == 0
    assert "justpipe-actors resume r1" in capsys.readouterr().out

    assert main(["resume", "r1", "--run-id", "next"]) == 0

    capsys.readouterr()
    assert main(["show", "r1"]) == 0
    text = capsys.readouterr().out
    assert "Resumed as  next" in text
    assert "justpipe-actors resume" not in text
    assert main(["show", "next", "--json"]) == 0
    assert read(capsys)["copy_of"] == "r1"
    assert main(["runs"]) == 0
    assert "resumed as next" in capsys.readouterr().out
    assert main(["runs", "--json"]) == 0
    marks = {one["run_id"]: one.get("resumed_by") for one in read(capsys)}
    assert marks == {"r1": "next", "next": None}


def test_open_runs_are_not_offered_for_cleanup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Runs that wait or are stuck are open work, which is never deleted."""
    assert main(["cleanup", "--help"]) == 0
    choices = capsys.readouterr().out.partition("--status [")[2].partition("]")[0]
    names = "abandoned success failed timeout cancelled client_closed suspended"
    assert "".join(choices.split()).split("|") == names.split()


def test_a_missing_journal_is_reported_in_a_sentence(
    where: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands that only read create no file."""
    assert main(["runs"]) == 1
    assert "There is no journal" in capsys.readouterr().err
    assert not where.exists()


def test_a_durable_run_goes_on_where_it_was_released(
    where: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It gets an answer that another command has stored."""
    program = tmp_path / "approval.py"
    program.write_text(PROGRAM)
    journal = SQLiteJournal(where)
    new = NewRun(
        run_id="r",
        pipe="approval",
        fingerprint="f",
        input=json.dumps(
            {
                "state": {"ok": False},
                "context": None,
                "start": None,
                "timeout": None,
                "capacity": 1000,
            }
        ),
    )
    run = journal.submit(new, journal.add_worker("w")).run
    question = NewAsk(id="r:draft:ask", step="draft", form=FORM)
    journal.append([Batch(run=run.id, n=2, kind="commit", asks=(question,))])
    journal.append([Batch(run=run.id, n=3, kind="release", status="ready")])
    assert main(["answer", "r", "true"]) == 0
    journal.close()
    arguments = ["run", f"{program}:pipe", "--durable", "--run-id", "r", "--text"]
    assert main(arguments) == 0
    assert main(["runs", "--json"]) == 0
    out = capsys.readouterr().out
    [shown] = json.loads(out[out.index("[\n") :])
    assert shown["status"] == "success"


class Typed(StringIO):
    """A terminal with typed input."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("more", [[], ["--durable"]])
def test_an_ask_is_shown_at_the_terminal(
    more: list[str],
    where: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An answer that does not fit is asked for again."""
    program = tmp_path / f"terminal{len(more)}.py"
    program.write_text(PROGRAM)
    monkeypatch.setattr("sys.stdin", Typed("maybe\nyes\n"))
    assert main(["run", f"{program}:pipe", "--text", *more]) == 0
    text = capsys.readouterr().err
    assert "Publish?  [as true]" in text
    assert "answer must be" in text
    assert "not 'maybe'" in text


def test_without_a_terminal_the_command_says_how_to_answer(
    where: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It waits, and its output has the command."""
    program = tmp_path / "waits.py"
    program.write_text(PROGRAM)
    arguments = ["run", f"{program}:pipe", "--text", "--timeout", "0.2"]
    assert main(arguments) == 1
    assert ":draft:ask 'true'" in capsys.readouterr().err


def test_a_pipe_without_a_name_gets_that_of_its_target(
    where: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A durable pipe is found by its name; the command line uses file and variable."""
    program = tmp_path / "unnamed.py"
    program.write_text(PROGRAM)
    arguments = ["run", f"{program}:plain", "--durable", "--run-id", "u", "--json"]
    assert main(arguments) == 0
    capsys.readouterr()
    assert main(["runs", "--json"]) == 0
    [shown] = read(capsys)
    assert shown["pipe"] == "unnamed:plain"
