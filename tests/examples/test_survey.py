"""The survey example: what it finds, what it leaves out, and how it refuses."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import anyio
import pytest

from justpipe_actors.types import PipelineTerminalStatus

from ..programs import file, started


EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
MAIN = EXAMPLES / "survey" / "main.py"

GOOD = {
    "shop/__init__.py": "",
    "shop/cart.py": "from . import till\nimport json\n\n\nclass Cart:\n    '''Doc.'''\n",
    "shop/till.py": "from shop.cart import Cart\n\n\nasync def pay(x):\n    if x:\n        pass\n",
    "tool.py": "import shop.cart\n\n\ndef f():\n    import attrs\n",
}

BROKEN = {
    "syntax.py": b"def broken(:\n",
    "latin.py": b"a = 1\nb = 2\nname = '\xe9'\n",
    "cookie.py": b"# coding: no-such-thing\n",
    "nulls.py": b"x = 1\0\n",
    "deep.py": b"x = " + b"-" * 200_000 + b"1\n",
}


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    """Name the event loop."""
    return str(request.param)


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the example's main module."""
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    return importlib.import_module("survey.main")


def grow(root: Path, files: dict[str, Any]) -> Path:
    """Write files below a directory."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def conducted(
    main: Any, backend: str, root: Path, limit: int | None = None
) -> tuple[Any, str, str]:
    """Survey a tree; return the state, the report and the progress."""
    survey = main.Survey(root, limit)
    report: list[str] = []
    progress = StringIO()

    async def conduct() -> Any:
        return await main.conduct(survey, report.append, main.Progress(progress))

    end = anyio.run(conduct, backend=backend)
    if survey.problem is None:
        assert end.status is PipelineTerminalStatus.SUCCESS
    else:
        assert (end.failed_step, end.error) == ("nothing", survey.problem)
    return survey, "".join(report), progress.getvalue()


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    line = [sys.executable, str(MAIN), *map(str, arguments)]
    return subprocess.run(
        line, capture_output=True, text=True, check=False, timeout=100
    )


# -- the pipe


def test_it_reads_all_files(main: Any, backend: str, tmp_path: Path) -> None:
    """All files of a clean tree are read, with their definitions and imports."""
    survey, report, _ = conducted(main, backend, grow(tmp_path, GOOD))
    assert {one.module for one in survey.facts} == {
        "shop", "shop.cart", "shop.till", "tool",
    }  # fmt: skip
    found = survey.definitions
    assert (found.functions, found.coroutines, found.classes) == (2, 1, 1)
    assert (found.public, found.documented) == (3, 1)
    assert dict(survey.imports.importers) == {"shop.cart": 2, "shop.till": 1}
    assert dict(survey.imports.foreign) == {"attrs": 1}
    assert dict(survey.imports.standard) == {"json": 1}
    assert "Left out" not in report
    assert "pay" in report.partition("Hot spots: functions")[2]


def test_it_finds_import_cycles(main: Any, backend: str, tmp_path: Path) -> None:
    """Modules that import each other are a cycle; imports inside functions do not count."""
    late = {"a.py": "import b", "b.py": "def f():\n    import a"}
    survey, report, _ = conducted(main, backend, grow(tmp_path, {**GOOD, **late}))
    assert survey.imports.tangles == (("shop.cart", "shop.till"),)
    assert "1 group of modules imports each other" in report


def test_it_leaves_out_broken_files(main: Any, backend: str, tmp_path: Path) -> None:
    """Each broken file is left out with its reason, and the rest is surveyed."""
    root = grow(tmp_path, {**GOOD, **BROKEN})
    (root / "gone.py").symlink_to(root / "nowhere")
    survey, report, _ = conducted(main, backend, root)
    reasons = {one.path: one.reason for one in survey.skipped}
    assert reasons.pop("deep.py") in {"nested too deeply", "syntax error"}
    assert reasons == {
        "syntax.py": "syntax error",
        "latin.py": "cannot be decoded",
        "cookie.py": "cannot be decoded",
        "nulls.py": "null bytes",
        "gone.py": "cannot be read",
    }
    assert len(survey.facts) == len(GOOD)
    assert "6 files left out" in report
    assert "latin.py (byte 20 is not utf-8)" in report
    assert "Hot spots: modules" in report


def test_it_names_only_a_few_broken_files(
    main: Any, backend: str, tmp_path: Path
) -> None:
    """Of many files with the same error, three are named and the rest is counted."""
    many = {f"bad{n}.py": "(" for n in range(9)}
    _, report, _ = conducted(main, backend, grow(tmp_path, {**GOOD, **many}))
    assert "9 files: syntax error" in report
    assert "... and 6 more" in report
    assert "bad2.py" in report
    assert "bad3.py" not in report


@pytest.mark.parametrize("files", [{}, {"notes.txt": "no"}, {".venv/x.py": "x = 1"}])
def test_an_empty_tree_is_refused(
    main: Any, backend: str, tmp_path: Path, files: dict[str, str]
) -> None:
    """A tree without Python files gives a reason and no report."""
    survey, report, _ = conducted(main, backend, grow(tmp_path, files))
    assert survey.problem == f"no Python files in {tmp_path}"
    assert report == ""


def test_a_tree_of_broken_files_is_refused(
    main: Any, backend: str, tmp_path: Path
) -> None:
    """The reason names the first one."""
    survey, report, _ = conducted(main, backend, grow(tmp_path, {"bad.py": "("}))
    assert "could be parsed: bad.py (line 1: '(' was never closed)" in survey.problem
    assert report == ""


def test_empty_files_are_accepted(main: Any, backend: str, tmp_path: Path) -> None:
    """Their report says that nothing is in them."""
    _, report, _ = conducted(main, backend, grow(tmp_path, {"a.py": "", "b.py": ""}))
    assert "2 files, 0 lines, 0 branches." in report
    assert "0 functions (0 async), 0 classes." in report


def test_it_stops_at_the_limit(main: Any, backend: str, tmp_path: Path) -> None:
    """Discovery stops after that many files."""
    survey, _, _ = conducted(main, backend, grow(tmp_path, GOOD), limit=2)
    assert len(survey.facts) == 2


def test_progress_follows_the_events(main: Any, backend: str, tmp_path: Path) -> None:
    """Without a terminal, progress is whole lines: the beginning and each stage."""
    _, _, progress = conducted(main, backend, grow(tmp_path, GOOD))
    assert "looking for Python files\n" in progress
    assert "4 files parsed, ranking hot spots\n" in progress
    assert "\r" not in progress


# -- the command line


def test_the_command_reports(backend: str, tmp_path: Path) -> None:
    """It writes the report to standard output and exits with 0."""
    done = command(grow(tmp_path, {**GOOD, **BROKEN}), "--backend", backend)
    assert done.returncode == 0
    assert done.stdout.startswith("Survey of ")
    assert "Left out" in done.stdout
    assert f"on {backend}." in done.stdout
    assert "Traceback" not in done.stderr


def test_the_command_refuses_a_wrong_directory(tmp_path: Path) -> None:
    """It gives the reason and exits with code 2."""
    grow(tmp_path, {"file.py": "", "empty/notes.txt": ""})
    cases = {
        "missing": "No such file or directory",
        "file.py": "Not a directory",
        "empty": "no Python files",
    }
    for name, reason in cases.items():
        done = command(tmp_path / name)
        assert (done.returncode, done.stdout) == (2, "")
        assert reason in done.stderr
        assert "Traceback" not in done.stderr


def test_the_command_refuses_a_wrong_limit(
    main: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit that is no positive number exits with code 2."""
    for limit in ("0", "-1", "many", "²"):
        with pytest.raises(SystemExit) as exit_:
            main.main([f"--limit={limit}"])
        assert exit_.value.code == 2
        assert "is not a number of files" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX here")
def test_ctrl_c_ends_it(backend: str) -> None:
    """The exit code is 130, without a traceback."""
    line = file(MAIN, "--backend", backend)
    with started(line) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=100)
    assert "looking for Python files" in first
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors


@pytest.mark.slow
def test_processes_find_the_same(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``SURVEY_PLACEMENT=process`` parses in processes, and the report is the same."""
    grow(tmp_path, {**GOOD, **BROKEN})
    said = []
    for placement in ("thread", "process"):
        monkeypatch.setenv("SURVEY_PLACEMENT", placement)
        done = command(tmp_path, "--backend", backend)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.rpartition("\n\n")[0])

    assert said[0] == said[1]
