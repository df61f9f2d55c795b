"""The daemon of the examples as a process: files, signals and crashes, on both loops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..programs import file


MAIN = Path(__file__).resolve().parents[2] / "docs" / "examples" / "daemon" / "main.py"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="signals")]


class Daemon:
    """A running daemon and its directory."""

    def __init__(self, root: Path, backend: str) -> None:
        self.root = root
        self.backend = backend
        self.process = self.start()

    def start(self) -> subprocess.Popen[str]:
        """Start the process; ``said`` collects its output."""
        command = file(MAIN, str(self.root), "--backend", self.backend)
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.said = ""
        until((self.root / "status.json").exists, "the daemon is up")
        return self.process

    def drop(self, name: str, text: str | bytes) -> None:
        """Move a file into the inbox folder."""
        draft = self.root / name
        draft.write_bytes(text.encode() if isinstance(text, str) else text)
        draft.rename(self.root / "in" / name)

    def out(self, name: str) -> Path:
        """Return the path of a file's digest."""
        return self.root / "out" / f"{name}.json"

    def set(self, **settings: float) -> None:
        """Write the settings."""
        (self.root / "settings.json").write_text(json.dumps(settings))

    def signal(self, number: signal.Signals, answer: str) -> None:
        """Send a signal, and wait until the daemon says that it has come."""
        self.process.send_signal(number)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line
            if answer in line:
                return
        pytest.fail(f"the daemon ended: {self.said}")

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit status and the output."""
        assert self.process.stderr is not None
        with self.process.stderr as said:
            self.said += said.read()
        return self.process.wait(60), self.said


def until(condition: Callable[[], object], what: str) -> None:
    """Wait in real time for another process."""
    patience = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < patience, what
        time.sleep(0.02)


@pytest.fixture(params=["asyncio", "trio"])
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Daemon]:
    """Return a running daemon."""
    daemon = Daemon(tmp_path, request.param)
    yield daemon
    with daemon.process as process:
        process.kill()


def test_files_are_digested_until_it_is_stopped(daemon: Daemon) -> None:
    """Each file ends in one place, and SIGTERM ends the process with status 0."""
    for number in range(20):
        daemon.drop(f"{number}.txt", "to be or not to be")
    daemon.drop("broken.txt", b"\xff\xfe\xfd")
    until(lambda: len(list((daemon.root / "out").glob("*.json"))) == 20, "20 digests")
    until(
        lambda: (daemon.root / "bad" / "broken.txt").exists(),
        "the bad one is set aside",
    )
    daemon.process.send_signal(signal.SIGTERM)
    status, said = daemon.end()

    assert (status, "SIGTERM: draining" in said) == (0, True)
    assert json.loads(daemon.out("7.txt").read_text())["words"] == {"to": 2, "be": 2}
    assert list((daemon.root / "in").iterdir()) == []
    lines = (daemon.root / "digests.jsonl").read_text().splitlines()
    assert len({json.loads(line)["file"] for line in lines}) == len(lines) == 20


def test_a_reload_concerns_new_files(daemon: Daemon) -> None:
    """SIGHUP changes new runs only; SIGTERM lets the running one finish."""
    daemon.set(least=1, pause=2)
    daemon.signal(signal.SIGHUP, "settings as they are now")
    daemon.drop("new.txt", "one two two")
    until(lambda: _status(daemon)["snapshot"]["runs"], "the run is at work")
    daemon.process.send_signal(signal.SIGTERM)
    status, said = daemon.end()

    assert (status, "Finished 1, cancelled 0" in said) == (0, True)
    words = json.loads(daemon.out("new.txt").read_text())["words"]
    assert words == {"two": 2, "one": 1}


def test_a_second_signal_stops_and_the_next_start_goes_on(daemon: Daemon) -> None:
    """A file whose run the second SIGTERM cancelled is digested after the next start."""
    daemon.set(pause=600)
    daemon.signal(signal.SIGHUP, "settings as they are now")
    daemon.drop("late.txt", "to be or not to be")
    until(lambda: _status(daemon)["snapshot"]["runs"], "the run is at work")
    daemon.signal(signal.SIGTERM, "draining")
    daemon.process.send_signal(signal.SIGTERM)
    status, said = daemon.end()
    left = (daemon.root / "in" / "late.txt").exists()
    daemon.set(pause=0)
    (daemon.root / "status.json").unlink()
    daemon.start()
    until(daemon.out("late.txt").exists, "the digest")

    assert (status, "Finished 0, cancelled 1" in said, left) == (0, True, True)


def _status(daemon: Daemon) -> dict[str, dict[str, object]]:
    data: dict[str, dict[str, object]] = json.loads(
        (daemon.root / "status.json").read_text()
    )
    return data
