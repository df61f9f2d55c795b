"""A web crawler that is polite, and goes on after it was killed.

    python main.py                              # the demo: a local site, and a kill -9
    python main.py --crawl http://127.0.0.1:8000 --journal crawl.db

The crawl is a durable run: pages that were read stay read when the process dies.  At
most two requests are under way at once, a pause lies between the starts of two requests,
and ``robots.txt`` is obeyed.  The demo kills the crawler with SIGKILL in the middle,
starts it again, and counts in the site's own log how often each page was asked for.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from urllib.parse import urljoin, urlsplit
from urllib.request import Request, urlopen
from urllib.robotparser import RobotFileParser

import anyio
import anyio.to_thread

from justpipe_actors import EventType, Pipe, Supervisor


AGENT = "polite-crawler"
PAUSE = 0.05
"""Seconds between the starts of two requests."""

LINK = re.compile(r'href="([^"#]+)"')
TITLE = re.compile(r"<title>(.*?)</title>")


@dataclass
class Page:
    address: str
    title: str
    links: list[str]


@dataclass
class Crawl:
    start: str
    most: int = 100
    waiting: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    fetched: list[Page] = field(default_factory=list)  # what the last lap brought
    titles: dict[str, str] = field(default_factory=dict)
    robots: str = ""


pipe = Pipe(Crawl, name="crawl")  # a durable pipe has a name of its own


class Turns:
    """Lets one request begin at a time, with a pause in between."""

    def __init__(self) -> None:
        self._lock = anyio.Lock()

    async def wait(self) -> None:
        async with self._lock:
            await anyio.sleep(PAUSE)


@pipe.resource
async def turns() -> AsyncIterator[Turns]:
    """All runs of the process share the pause."""
    yield Turns()


def get(address: str) -> str:
    request = Request(address, headers={"user-agent": AGENT})
    with urlopen(request, timeout=10) as answer:
        text: str = answer.read().decode("utf-8", errors="replace")
    return text


@pipe.step(to="choose", retries=2)
async def begin(crawl: Crawl) -> None:
    address = urljoin(crawl.start, "/robots.txt")
    crawl.robots = await anyio.to_thread.run_sync(get, address)
    crawl.waiting, crawl.seen = [crawl.start], {crawl.start}


@pipe.switch(to={"more": "batch", "done": "finish"})
async def choose(crawl: Crawl) -> str:
    is_done = not crawl.waiting or len(crawl.titles) >= crawl.most
    return "done" if is_done else "more"


@pipe.map(each="fetch", collect="fetched", to="add", max_concurrency=2)
def batch(crawl: Crawl) -> list[str]:
    """Take a lap's worth of addresses; each one that was read is stored by itself."""
    return crawl.waiting[:8]


@pipe.step(retries=2)
async def fetch(address: str, turns: Turns) -> Page:
    await turns.wait()
    text = await anyio.to_thread.run_sync(get, address)
    title = TITLE.search(text)
    links = [urljoin(address, link) for link in LINK.findall(text)]
    return Page(address, title[1] if title else "", links)


@pipe.step(to="choose")
async def add(crawl: Crawl) -> None:
    """Put the links of the pages that were read into the line."""
    robots = RobotFileParser()
    robots.parse(crawl.robots.splitlines())
    host = urlsplit(crawl.start).netloc
    crawl.waiting = crawl.waiting[8:]
    for page in crawl.fetched:
        crawl.titles[page.address] = page.title
        for link in page.links:
            is_ours = urlsplit(link).netloc == host and robots.can_fetch(AGENT, link)
            if is_ours and link not in crawl.seen:
                crawl.seen.add(link)
                crawl.waiting.append(link)


@pipe.step
async def finish(crawl: Crawl) -> AsyncIterator[str]:
    yield f"{len(crawl.titles)} pages, the last is {[*crawl.titles.values()][-1]!r}"


async def crawl_site(start: str, journal: Path) -> None:
    """Crawl a site; the same call goes on where a process before this one died."""
    async with Supervisor(pipe, journal=journal) as supervisor:
        run_id = "crawl-" + re.sub(r"\W+", "-", start)
        run = await supervisor.submit(pipe, Crawl(start), run_id=run_id)
        async for event in run:
            if event.type is EventType.RECOVERED:
                print("crawler: goes on", flush=True)
            if event.type is EventType.STEP_END and event.stage == "fetch":
                print("crawler: read a page", flush=True)
            if event.type is EventType.TOKEN:
                print(f"crawler: {event.payload}", flush=True)


@contextmanager
def started(name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a program of this folder, and kill it if it outlasts the block."""
    line = [sys.executable, str(Path(__file__).with_name(name)), *arguments]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    return (line.strip() for line in process.stdout)


def demo(folder: Path, backend: str) -> None:
    """Serve a site, crawl it, kill the crawler, and let another one go on."""
    log = folder / "site.log"
    with started("server.py", str(log)) as site:
        start = f"{next(lines_of(site))}/page/1"
        where = ("--crawl", start, "--journal", str(folder / "crawl.db"))
        crawler = ("main.py", *where, "--backend", backend)
        with started(*crawler) as first:
            for _ in islice(lines_of(first), 9):
                pass
            first.kill()
            print(f"killed after 9 pages, exit status {first.wait()}")
        with started(*crawler) as second:
            said = [line for line in lines_of(second) if "read a page" not in line]
    print(*said, sep="\n")
    report(log.read_text(encoding="utf-8"))


def report(log: str) -> None:
    """Print what the site's log says about the manners of both crawlers."""
    moments = [float(line.split()[0]) for line in log.splitlines()]
    asked = Counter(line.split()[1] for line in log.splitlines())
    again = [path for path, n in asked.items() if n > 1 and path != "/robots.txt"]
    private = [path for path in asked if path.startswith("/private/")]
    pauses = [b - a for a, b in pairwise(moments)]
    print(f"site: {len(asked) - 1} pages were asked for, {len(private)} private")
    print(f"site: at most two were asked for twice: {len(again) <= 2}")
    print(f"site: the median pause is {median(pauses) * 1000:.0f} ms")


async def main(backend: str = "asyncio") -> None:
    with tempfile.TemporaryDirectory() as folder:
        await anyio.to_thread.run_sync(demo, Path(folder), backend)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crawl", metavar="ADDRESS")
    parser.add_argument("--journal", type=Path, default=Path("crawl.db"))
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    options = parser.parse_args()
    if options.crawl:
        arguments = (options.crawl, options.journal)
        anyio.run(crawl_site, *arguments, backend=options.backend)
    else:
        anyio.run(main, options.backend, backend=options.backend)
