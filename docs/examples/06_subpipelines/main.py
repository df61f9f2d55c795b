"""A pipe within a pipe: an editor and a researcher.

The researcher is a pipe of its own, with a state of its own, and can run alone.
Its events come through the editor's stream, with the step that sent it in front.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import anyio

from justpipe_actors import EventType, Pipe


@dataclass
class Research:
    topic: str
    findings: list[str] = field(default_factory=list)


@dataclass
class Article:
    topic: str
    research: Research | None = None
    text: str = ""


researcher = Pipe(Research, name="researcher")


@researcher.step(to="read")
async def search(research: Research) -> AsyncIterator[str]:
    yield f"Researching topic: {research.topic}\n"
    await anyio.sleep(0.05)
    research.findings = ["qubits", "error correction", "cold"]


@researcher.step
async def read(research: Research) -> AsyncIterator[str]:
    for finding in research.findings:
        await anyio.sleep(0.02)
        yield f"  read about {finding}\n"


editor = Pipe(Article, name="editor")


@editor.sub(pipeline=researcher, to="draft")
async def research(article: Article) -> Research:
    """What a sub step returns is the state of the run it starts."""
    article.research = Research(article.topic)
    return article.research


@editor.step(to="compile_report")
async def draft(article: Article) -> AsyncIterator[str]:
    yield "Drafting content...\n"
    assert article.research is not None
    article.text = f"{article.topic} is {', '.join(article.research.findings)}."


@editor.step
async def compile_report(article: Article) -> AsyncIterator[str]:
    yield f"Report compiled: {article.text}\n"


pipe = editor


async def main() -> None:
    async with editor.run(Article("Quantum Computing")) as run:
        async for event in run:
            if event.type is EventType.TOKEN:
                print(f"{event.stage:17} | {event.payload}", end="")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    anyio.run(main, backend=options.parse_args().backend)
