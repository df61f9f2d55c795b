"""Count the words of all text files of a folder: on the loop, in threads, processes, on Ray.

The pipe is the same each time; only the placement of one step changes.
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio

from justpipe_actors import Pipe, Supervisor


FILES = 16
WORDS_PER_FILE = 300_000

WORD = re.compile(r"[a-z]+")


@dataclass
class Folder:
    path: Path
    counts: list[Counter[str]] = field(default_factory=list)
    words: Counter[str] = field(default_factory=Counter)


def find_files(folder: Folder) -> list[Path]:
    return sorted(folder.path.glob("*.txt"))


def count_words(path: Path) -> Counter[str]:
    """Runs anywhere: it gets a path, and returns what it found."""
    return Counter(WORD.findall(path.read_text(encoding="utf-8").lower()))


def add_up(folder: Folder) -> None:
    for count in folder.counts:
        folder.words.update(count)


def word_count(placement: str) -> Pipe[Folder, None]:
    """Return a pipe whose workers run in a placement."""
    pipe: Pipe[Folder, None] = Pipe(Folder, name="word_count")
    pipe.map(each="count_words", collect="counts", to="add_up")(find_files)
    pipe.step(placement=placement)(count_words)
    pipe.step()(add_up)
    return pipe


async def compare(folder: Path, placements: Sequence[str]) -> None:
    totals = set()
    for placement in placements:
        pipe = word_count(placement)
        async with Supervisor(pipe):  # its processes are kept for the second run
            await pipe.run(Folder(folder)).wait()
            began = time.perf_counter()
            result = await pipe.run(Folder(folder)).result()
            seconds = time.perf_counter() - began
        totals.add(result.words.total())
        print(f"{placement:8} {seconds:6.2f} s  {result.words.total():,} words")
    print("all the same" if len(totals) == 1 else "different!")


@contextmanager
def sample_folder() -> Iterator[Path]:
    """Write some text files, for a run without any."""
    draw = random.Random(5)
    vocabulary = ["".join(draw.choices("aeinrst", k=5)) for _ in range(1000)]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(FILES):
            words = draw.choices(vocabulary, k=WORDS_PER_FILE // 10) * 10
            Path(folder, f"{number:02}.txt").write_text(" ".join(words), "utf-8")
        yield Path(folder)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", nargs="?", type=Path)
    options.add_argument("--placements", nargs="+", metavar="NAME")
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    chosen = options.parse_args()
    placements = chosen.placements or ["here", "thread", "process"]
    if chosen.folder:
        work = partial(compare, chosen.folder, placements)
        anyio.run(work, backend=chosen.backend)
        return
    with sample_folder() as folder:
        anyio.run(partial(compare, folder, placements), backend=chosen.backend)


if __name__ == "__main__":
    main()
