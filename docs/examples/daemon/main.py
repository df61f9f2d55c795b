"""A daemon that digests every file dropped into a directory.

    python main.py DIRECTORY [--backend trio] [--max-runs 4] [--grace 10]

``DIRECTORY/in`` is watched; each file in it becomes a run.  Digests go to
``DIRECTORY/out``, files that cannot be digested to ``DIRECTORY/bad``, and the log of
all digests is ``DIRECTORY/digests.jsonl``.  Try ``kill -TERM`` (finish), once more (stop),
``kill -HUP`` (read ``DIRECTORY/settings.json`` again), and ``cat DIRECTORY/status.json``.

A file moves by ``rename`` only, so whenever the daemon dies, each file is in one place,
and what was half done is done again: start it, and it begins with what is left.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TextIO

import anyio
import attrs
from anyio.abc import TaskStatus

from justpipe_actors import Pipe, Supervisor, serve
from justpipe_actors.codec import to_text
from justpipe_actors.errors import RunRejected


SCAN = 0.1
"""Seconds between two looks at the directory."""

logger = logging.getLogger("digest")


@attrs.frozen
class Folders:
    """The directories of one daemon; the context of its runs."""

    root: Path

    @property
    def incoming(self) -> Path:
        return self.root / "in"

    @property
    def outgoing(self) -> Path:
        return self.root / "out"

    @property
    def bad(self) -> Path:
        return self.root / "bad"

    def create(self) -> None:
        for folder in (self.incoming, self.outgoing, self.bad):
            folder.mkdir(parents=True, exist_ok=True)

    def set_aside(self, path: Path) -> None:
        path.rename(self.bad / path.name)

    def settings(self) -> dict[str, Any]:
        """Read the settings; there need not be any."""
        path = self.root / "settings.json"
        return json.loads(path.read_text()) if path.exists() else {}


@attrs.define
class Job:
    """One file on its way; the state of a run."""

    path: Path
    text: str = ""
    words: dict[str, int] = attrs.field(factory=dict)
    sha256: str = ""


class DigestLog:
    """One open file that all runs write to."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def note(self, **fields: object) -> None:
        print(json.dumps(fields), file=self._file, flush=True)


def build(folders: Folders) -> Pipe[Job, Folders]:
    """Return the pipe for the settings as they are now."""
    settings = folders.settings()
    least, pause = int(settings.get("least", 2)), float(settings.get("pause", 0))
    pipe: Pipe[Job, Folders] = Pipe(Job, Folders, name="digest", on_failure="stop")

    @pipe.resource
    async def digest_log() -> AsyncIterator[DigestLog]:
        # Opened for the first run that needs it, shared, and closed behind the last one.
        with (folders.root / "digests.jsonl").open("a", encoding="utf-8") as file:
            yield DigestLog(file)

    @pipe.step(to=["count", "fingerprint"], placement="thread")
    def read(job: Job) -> None:
        job.text = job.path.read_text(encoding="utf-8")

    @pipe.step(to="write")
    async def count(job: Job) -> None:
        await anyio.sleep(pause)
        words = Counter(job.text.lower().split())
        job.words = {word: n for word, n in words.most_common() if n >= least}

    @pipe.step(to="write", placement="thread")
    def fingerprint(job: Job) -> None:
        job.sha256 = hashlib.sha256(job.text.encode()).hexdigest()

    @pipe.step(placement="thread")
    def write(job: Job, folders: Folders, digest_log: DigestLog) -> None:
        digest = {"sha256": job.sha256, "words": job.words}
        target = folders.outgoing / f"{job.path.name}.json"
        draft = target.with_suffix(".draft")
        draft.write_text(json.dumps(digest), encoding="utf-8")
        draft.rename(target)
        job.path.unlink()
        digest_log.note(file=job.path.name, sha256=job.sha256)

    return pipe


def _id(path: Path) -> str:
    """Name a run so that a file begins one, however often it is seen meanwhile."""
    # A file's name may have characters that no run's id may have.
    name = f"{path.name}@{path.stat().st_mtime_ns}"
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:32]


@attrs.frozen
class Watcher:
    """The services: one begins the runs, one reports the state."""

    folders: Folders
    supervisor: Supervisor

    async def scan(self, *, task_status: TaskStatus[None]) -> None:
        """Begin a run for every new file; wait when there are enough of them."""
        task_status.started()
        while True:
            for path in sorted(self.folders.incoming.iterdir()):
                if not path.name.startswith("."):
                    await self._begin(path)
            await anyio.sleep(SCAN)

    async def _begin(self, path: Path) -> None:
        try:
            run = await self.supervisor.submit(
                "digest", Job(path), self.folders, run_id=_id(path)
            )
        except FileNotFoundError:  # Its run has just finished.
            return
        except RunRejected:  # Draining: what is left is for the next start.
            await anyio.sleep_forever()
        else:
            if run.end is not None and run.end.status.value == "failed":
                logger.warning("%s: %s", path.name, run.end.error)
                self.folders.set_aside(path)

    async def report(self) -> None:
        """Write the state of the supervisor to a file, for monitoring."""
        while True:
            health, snapshot = self.supervisor.health(), self.supervisor.snapshot()
            text = to_text({"health": health, "snapshot": snapshot})
            draft = self.folders.root / "status.draft"
            draft.write_text(text, encoding="utf-8")
            draft.rename(self.folders.root / "status.json")
            await anyio.sleep(0.2)

    async def reload(self, supervisor: Supervisor) -> None:
        """Let new runs have the new settings; runs at work keep the old ones."""
        supervisor.add_pipe(build(self.folders))
        logger.info("New runs have the settings as they are now")


async def main(root: Path, max_runs: int, grace: float) -> None:
    folders = Folders(root)
    folders.create()
    supervisor = Supervisor(
        build(folders), max_runs=max_runs, grace=grace, blocked_after=5
    )
    watcher = Watcher(folders, supervisor)
    supervisor.add_service("report", watcher.report)
    supervisor.add_service("scan", watcher.scan)
    report = await serve(supervisor, reload=watcher.reload)
    logger.info(
        "Finished %d, cancelled %d", len(report.completed), len(report.cancelled)
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, metavar="DIRECTORY")
    parser.add_argument("--backend", default="asyncio", choices=["asyncio", "trio"])
    parser.add_argument("--max-runs", type=int, default=4)
    parser.add_argument("--grace", type=float, default=10.0)
    options = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, format="%(levelname)s %(name)s: %(message)s"
    )
    anyio.run(
        main, options.root, options.max_runs, options.grace, backend=options.backend
    )
