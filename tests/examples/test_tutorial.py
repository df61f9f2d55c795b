"""The tutorial's programs as a reader runs them: as files, in processes, on both loops."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..programs import code, file


TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial"

PROGRAM = re.compile(r"```python\n# (\w+\.py)\n(.*?)```", re.DOTALL)
"""A block that begins with the name of its file."""

PRINTED = {
    "01-three-lines.md": "Dear Ada, thank you for your letter.",
    "02-a-join.md": "We look after A2 (urgent).",
    "03-a-map-with-results.md": "A3 is lost, A1 is delivered.",
    "04-an-agent-with-tools.md": "A2 arrives tomorrow; A3 is refunded.",
    "05-failures-and-retries.md": "A4 is late, and the carrier does not answer.",
    "06-streaming.md": "[track] [refund] A2 arrives tomorrow; A3 is refunded.",
    "10-a-question.md": "A2 arrives tomorrow; A3 is refunded.",
}
"""What ``python desk.py`` prints in each chapter that changes it."""

pytestmark = pytest.mark.slow


def write_programs(folder: Path, *pages: str) -> None:
    """Write the files of these chapters; a later chapter replaces those of earlier ones."""
    for page in pages:
        text = (TUTORIAL / page).read_text(encoding="utf-8")
        for name, program in PROGRAM.findall(text):
            (folder / name).write_text(program, encoding="utf-8")


def until(condition: Callable[[], object], what: str) -> None:
    """Wait in real time for another process."""
    patience = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < patience, what
        time.sleep(0.05)


@contextmanager
def daemon(folder: Path, backend: str) -> Iterator[subprocess.Popen[str]]:
    """Start ``daemon.py`` in its folder on one of the loops."""
    (folder / "in").mkdir(exist_ok=True)
    text = (folder / "daemon.py").read_text(encoding="utf-8")
    text = text.replace("anyio.run(main)", f"anyio.run(main, backend={backend!r})")
    (folder / "daemon.py").write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    line = file(folder / "daemon.py")
    with subprocess.Popen(
        line,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def sent(folder: Path) -> list[str]:
    """Return the replies that were sent."""
    outbox = folder / "outbox.txt"
    return outbox.read_text(encoding="utf-8").splitlines() if outbox.exists() else []


def is_listening(port: int) -> bool:
    """Tell whether a server accepts connections."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def read(address: str) -> str:
    """Read all of an answer."""
    with urllib.request.urlopen(address, timeout=100) as answer:
        text: str = answer.read().decode()
    return text


def command(folder: Path, *words: str) -> str:
    """Run the command line on the folder's journal; return its output."""
    line = [sys.executable, "-m", "justpipe_actors", *words]
    done = subprocess.run(
        [*line, "--journal", "runs.db"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


ON_A_LOOP = """
import functools, runpy, sys
import anyio
from justpipe_actors import Pipe
path, backend = sys.argv[1:]
anyio.run = functools.partial(anyio.run, backend=backend)
Pipe.run_sync = functools.partialmethod(Pipe.run_sync, backend=backend)
runpy.run_path(path, run_name="__main__")
"""
"""Runs a program on the named loop, whichever it would take itself."""


@pytest.mark.parametrize("page", PRINTED)
def test_the_program_of_a_chapter_prints_what_the_page_shows(
    page: str, tmp_path: Path, anyio_backend: tuple[str, dict[str, Any]]
) -> None:
    """It runs as a file without changes, with warnings as errors."""
    write_programs(tmp_path, page)
    line = code(ON_A_LOOP, str(tmp_path / "desk.py"), anyio_backend[0])
    done = subprocess.run(
        [line[0], "-W", "error", *line[1:]],
        input="yes\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr
    assert PRINTED[page] in done.stdout


def test_the_tests_of_the_desk_pass_under_pytest(tmp_path: Path) -> None:
    """The file of chapter 7 is collected and runs on both loops."""
    write_programs(tmp_path, "06-streaming.md", "07-tests.md")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "test_desk.py",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout


def test_a_browser_reads_the_reply_word_by_word(tmp_path: Path) -> None:
    """The application of chapter 6 sends each word as an event, then the end."""
    pytest.importorskip("anycorn", reason="needs the extra [dashboard]")
    write_programs(tmp_path, "06-streaming.md")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    program = "from anycorn.__main__ import main; main()"
    # Without workers of its own the server is one process, and none outlives the test.
    options = ("--bind", address, "--worker-class", "trio", "--workers", "0")
    line = code(program, "web:app", *options)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(line, cwd=tmp_path, env=environment) as process:
        try:
            until(lambda: is_listening(port), "the server listens")
            query = urllib.parse.urlencode({"text": "Where is A3?"})
            lines = read(f"http://{address}/events?{query}").splitlines()
            page = read(f"http://{address}/")
        finally:
            process.kill()

    assert [line for line in lines if line.startswith("event:")] == [
        "event: token",
        "event: token",
        "event: token",
        "event: finish",
    ]
    assert "<title>Desk</title>" in page


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_the_daemon_answers_files_until_it_is_stopped(
    tmp_path: Path, anyio_backend: tuple[str, dict[str, Any]]
) -> None:
    """Chapter 8: a file becomes a reply, and SIGTERM ends the process with status 0."""
    write_programs(tmp_path, "06-streaming.md", "08-a-daemon.md")
    with daemon(tmp_path, anyio_backend[0]) as process:
        (tmp_path / "in" / "letter-1.txt").write_text("Where is A3?")
        until(lambda: sent(tmp_path), "a reply")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=100)

    assert process.returncode == 0, errors
    assert sent(tmp_path) == ["A3 is refunded."]


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_killed_daemon_continues_its_letter(tmp_path: Path) -> None:
    """Chapter 9: after SIGKILL during a run nothing is lost, and no reply is sent twice."""
    write_programs(tmp_path, "06-streaming.md", "09-a-crash.md")
    done = subprocess.run(
        file(tmp_path / "crash.py"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "killed, exit status -9"
    reply = "A2 arrives tomorrow; A4 is late, and the carrier does not answer."
    assert f"sent once: [{reply!r}]" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_an_ask_is_answered_from_another_process(
    tmp_path: Path, anyio_backend: tuple[str, dict[str, Any]]
) -> None:
    """Chapter 10: the command line lists the open ask and answers it."""
    pytest.importorskip("click", reason="needs the extra [cli]")
    write_programs(tmp_path, "09-a-crash.md", "10-a-question.md")
    with daemon(tmp_path, anyio_backend[0]) as process:
        (tmp_path / "in" / "letter-2.txt").write_text("Where is A3?")
        until((tmp_path / "runs.db").exists, "a journal")
        until(lambda: "letter-2" in command(tmp_path, "asks"), "a question")
        listed = command(tmp_path, "asks")
        command(tmp_path, "answer", "letter-2", "yes")
        until(lambda: sent(tmp_path), "a reply")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=100)

    assert "Refund A3?" in listed
    assert sent(tmp_path) == ["A3 is refunded."]


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_the_daemon_serves_its_dashboard(tmp_path: Path) -> None:
    """Chapter 11: the daemon that answers letters serves the dashboard as well."""
    pytest.importorskip("starlette", reason="needs the extra [dashboard]")
    write_programs(tmp_path, "10-a-question.md", "11-the-dashboard.md")
    text = (tmp_path / "daemon.py").read_text(encoding="utf-8")
    (tmp_path / "daemon.py").write_text(text.replace("port=8741", "port=0"))
    with daemon(tmp_path, "trio") as process:
        assert process.stderr is not None
        said = ""
        while "The dashboard is at " not in said:
            said = process.stderr.readline()
            assert said, "the daemon ended"
        address = said.rpartition(" ")[2].strip().rstrip("/")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{address}/api/v1/runs", timeout=100)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=100)

    assert process.returncode == 0
