"""A daemon that writes a report every night, and finishes it when it is told to stop.

    python main.py                              # three nights in virtual time
    python main.py --serve FOLDER --at 02:00    # for real; stop it with SIGTERM

``FOLDER`` has the logs of some servers, one file for each server and day.  A service
sleeps until the next night and submits a run; the run reads the logs in threads, several
at once, and writes ``report-DATE.txt``.  The day is the id of its run, so a day has one
report, however often the timer asks.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import anyio

from justpipe_actors import Pipe, Supervisor, serve
from justpipe_actors.testing import virtual_time


logger = logging.getLogger("nightly")


@dataclass
class Log:
    """What one file says."""

    requests: int
    errors: int
    milliseconds: Counter[str]  # by path


@dataclass
class Report:
    day: date
    folder: Path
    logs: list[Log] = field(default_factory=list)
    text: str = ""


pipe = Pipe(Report, name="report")


@pipe.map(each="read_log", collect="logs", to="summarize", max_concurrency=4)
def files(report: Report) -> list[Path]:
    return sorted(report.folder.glob(f"*-{report.day}.log"))


@pipe.step(placement="thread", retries=2)
def read_log(path: Path) -> Log:
    """Read lines such as ``GET /search 200 350``, with a status and milliseconds."""
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    spent: Counter[str] = Counter()
    for _, address, _, took in rows:
        spent[address] += int(took)
    return Log(len(rows), sum(row[2] >= "500" for row in rows), spent)


@pipe.step(to="write")
async def summarize(report: Report) -> None:
    await anyio.sleep(2)  # a query that takes its time
    requests = sum(log.requests for log in report.logs)
    errors = sum(log.errors for log in report.logs)
    total: Counter[str] = sum((log.milliseconds for log in report.logs), Counter())
    most = ", ".join(f"{path} {ms / 1000:.0f} s" for path, ms in total.most_common(2))
    report.text = f"{requests} requests, {errors} errors; most time: {most}"


@pipe.step(placement="thread")
def write(report: Report) -> None:
    """Write the file under another name first, so that it is whole when it is there."""
    target = report.folder / f"report-{report.day}.txt"
    draft = target.with_suffix(".draft")
    draft.write_text(report.text + "\n", encoding="utf-8")
    draft.rename(target)
    logger.info("%s is written", target.name)


def next_night(now: datetime, at: time) -> datetime:
    """Return the next moment with this time of day."""
    tonight = datetime.combine(now.date(), at, now.tzinfo)
    return tonight if tonight > now else tonight + timedelta(days=1)


def build(folder: Path, at: time, clock: Callable[[], datetime]) -> Supervisor:
    """Return a supervisor with the timer as its service."""
    supervisor = Supervisor(pipe, grace=30)

    async def every_night() -> None:
        due = next_night(clock(), at)
        while True:
            await anyio.sleep((due - clock()).total_seconds())
            day = due.date() - timedelta(days=1)
            logger.info("%s: time for the report of %s", f"{due:%a %H:%M}", day)
            await supervisor.submit(pipe, Report(day, folder), run_id=f"report-{day}")
            due += timedelta(days=1)

    supervisor.add_service("every night", every_night)
    return supervisor


def write_logs(folder: Path, first: date, days: int) -> None:
    """Write the logs of two servers, a few hundred lines a day."""
    for n in range(days):
        for server in ("ada", "grace"):
            lines = [
                f"GET /{path} {503 if i % (40 - n) == 0 else 200} {weight * (1 + i % 7)}"
                for i in range(100 + 20 * n)
                for path, weight in (("home", 10), ("search", 200), ("cart", 50))
            ]
            name = f"{server}-{first + timedelta(days=n)}.log"
            (folder / name).write_text("\n".join(lines), encoding="utf-8")


async def main() -> None:
    """Let three nights pass, and stop the daemon while it is at work on the last one."""
    evening = datetime(2026, 11, 24, 18, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as name:
        folder, began = Path(name), anyio.current_time()
        write_logs(folder, evening.date(), days=3)

        def clock() -> datetime:
            return evening + timedelta(seconds=anyio.current_time() - began)

        async with build(folder, time(2), clock) as supervisor:
            last = datetime(2026, 11, 27, 2, tzinfo=UTC)
            await anyio.sleep((last - clock()).total_seconds() + 1)
            print("told to stop")  # serve() does the next line at SIGTERM
            ended = await supervisor.drain()
        print(f"finished while stopping: {len(ended.completed)}")
        print_reports(folder)


def print_reports(folder: Path) -> None:
    for path in sorted(folder.glob("report-*.txt")):
        print(f"{path.name}: {path.read_text(encoding='utf-8')}", end="")


async def serve_folder(folder: Path, at: time) -> None:
    await serve(build(folder, at, lambda: datetime.now().astimezone()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--serve", type=Path, metavar="FOLDER")
    parser.add_argument("--at", type=time.fromisoformat, default=time(2))
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if options.serve:
        anyio.run(serve_folder, options.serve, options.at, backend=options.backend)
    else:
        anyio.run(main, **virtual_time(options.backend))
