"""An article is written, approved by a person, and published: over a restart.

The run is kept in a journal.  Its first process ends while the article waits for
approval; the answer comes while no process has the run; the second process goes on
behind the question.  Nothing that had succeeded is done again: the words are written
once, and the publisher would see the same idempotency key each time.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import anyio

from justpipe_actors import (
    Ask,
    EventType,
    Pipe,
    Supervisor,
    idempotency_key,
    once,
)
from justpipe_actors.journals import SQLiteJournal


@dataclass
class Decision:
    ok: bool
    words: str = ""


@dataclass
class Article:
    topic: str
    text: str = ""
    published_as: str = ""


pipe = Pipe(Article, name="article")  # a durable pipe has a name of its own


def make_words(topic: str) -> str:
    print("writing")  # a model that costs money would be called here
    return f"All about {topic}."


@pipe.step
async def write(article: Article) -> Ask:
    article.text = await once("words", make_words, article.topic)
    return Ask(Decision, f"Publish '{article.text}'?", to=decide, key="publish")


@pipe.step(routes=["publish", "reject"])
async def decide(article: Article, decision: Decision) -> str:
    return "publish" if decision.ok else "reject"


@pipe.step
async def publish(article: Article) -> None:
    article.published_as = idempotency_key("publish")
    print("published:", article.text)


@pipe.step
async def reject(article: Article) -> None:
    print("rejected:", article.text)


async def first_process(journal: Path) -> str:
    """Submit the run, and leave when it asks; return the question's id."""
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.submit(pipe, Article("rivers"), run_id="article-1")
        async for event in run:
            if event.type is EventType.ASK:
                print("asks:", event.payload["note"])
                return str(event.payload["ask"])
    raise AssertionError  # it always asks


def answer(journal: Path, question: str) -> None:
    """Answer as any other program may: the journal is enough."""
    store = SQLiteJournal(journal)
    store.answer(question, '{"ok": true}', by="ada")
    store.close()
    print("answered while no process ran it")


async def second_process(journal: Path) -> None:
    """Open a supervisor on the journal: the run goes on by itself."""
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.find("article-1")
        assert run is not None
        end = await run.wait()
        print("ended:", end.status.value)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "runs.db"
        question = await first_process(journal)
        answer(journal, question)
        await second_process(journal)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    anyio.run(main, backend=options.parse_args().backend)
