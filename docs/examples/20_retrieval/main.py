"""Find the passages of a folder that answer a question, with real embeddings.

    python main.py [HANDBOOK] [--ask QUESTION]

The files are read and embedded in threads, several at a time, and then every question is
compared with every passage.  The embeddings are those of the package ``wordllama``: its
model of 16 MB is inside the package, so nothing is downloaded.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from textwrap import fill, indent
from typing import Any

import anyio

from justpipe_actors import Pipe


HANDBOOK = Path(__file__).with_name("handbook")

QUESTIONS = [
    "What happens when my notebook disappears?",
    "May I bring a pet?",
    "How much may I spend on dinner during a trip?",
    "We are expecting a baby",
    "Can I work at night?",
]


@dataclass
class Passage:
    file: str
    heading: str
    text: str


@dataclass
class Page:
    """One file, and a vector for each of its passages."""

    passages: list[Passage]
    vectors: Any


@dataclass
class Hit:
    question: str
    passage: Passage
    score: float


@dataclass
class Search:
    folder: Path
    questions: list[str]
    pages: list[Page] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)


pipe = Pipe(Search, name="retrieval")


@pipe.resource
async def model() -> AsyncIterator[Any]:
    """Load the model once, in a thread, for all steps and all runs."""
    yield await anyio.to_thread.run_sync(load_model)


def load_model() -> Any:
    import wordllama  # noqa: PLC0415 - needed for a run, not for a drawing

    inside = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=inside, disable_download=True)


@pipe.map(each="embed", collect="pages", to="questions", max_concurrency=2)
def files(search: Search) -> Iterator[Path]:
    """Yield the files; a worker takes the next one as soon as it is free."""
    yield from sorted(search.folder.rglob("*.txt"))


@pipe.step(placement="thread")
def embed(path: Path, model: Any) -> Page:
    passages = split(path.name, path.read_text(encoding="utf-8"))
    texts = [f"{passage.heading}. {passage.text}" for passage in passages]
    return Page(passages, model.embed(texts, norm=True))


def split(file: str, text: str) -> list[Passage]:
    """Return the paragraphs of a file below its first line, which is the heading."""
    heading, *paragraphs = text.strip().split("\n\n")
    return [Passage(file, heading, paragraph) for paragraph in paragraphs]


@pipe.map(each="answer", collect="hits", to="show")
def questions(search: Search) -> list[str]:
    return search.questions


@pipe.step(placement="thread")
def answer(question: str, search: Search, model: Any) -> Hit:
    """Return the passage whose vector has the smallest angle to the question's."""
    asked = model.embed([question], norm=True)[0]
    scored = (
        Hit(question, passage, float(vector @ asked))
        for page in search.pages
        for passage, vector in zip(page.passages, page.vectors, strict=True)
    )
    return max(scored, key=lambda hit: hit.score)


@pipe.step
async def show(search: Search) -> AsyncIterator[str]:
    count = sum(len(page.passages) for page in search.pages)
    yield f"{count} passages of {len(search.pages)} files\n"
    for hit in search.hits:
        yield f"\n{hit.question}\n"
        yield f"  {hit.score:.2f}  {hit.passage.file}: {hit.passage.heading}\n"
        yield indent(fill(hit.passage.text, 72), " " * 8) + "\n"


async def find(folder: Path, asked: list[str]) -> Search:
    search = Search(folder, asked)
    async with pipe.run(search) as run:
        async for event in run:
            if event.type.value == "token":
                print(event.payload, end="")
        await run.result()
    return search


async def main() -> None:
    await find(HANDBOOK, QUESTIONS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=HANDBOOK)
    parser.add_argument("--ask", action="append", metavar="QUESTION")
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    options = parser.parse_args()
    if find_spec("wordllama") is None:
        sys.exit("This example needs embeddings: pip install wordllama")
    anyio.run(find, options.folder, options.ask or QUESTIONS, backend=options.backend)
