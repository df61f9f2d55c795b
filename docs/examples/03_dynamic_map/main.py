"""A worker for every article, three at a time, and a report when all are done.

The model is a fake that needs no network and no key: it keeps the sentence whose words
are the most frequent ones of its article.  A real client would be entered and left in the
same two hooks.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import anyio

from justpipe_actors import EventType, Pipe


ARTICLES = {
    "Space": "The probe has left the solar system. The probe was built to last five "
    "years. After fifty years the probe still sends data.",
    "Food": "Bread prices rose again. Bakers blame the price of flour, and the price of "
    "flour follows the weather. It rained.",
    "Chess": "A teenager won the open. She sacrificed her queen on move nine. Nobody had "
    "seen the queen sacrificed so early in an open.",
    "Rivers": "Salmon are back. The dam was removed in spring, and the salmon swam up the "
    "river in autumn.",
}


class FakeModel:
    """Summarizes without a model."""

    async def summarize(self, text: str) -> str:
        await anyio.sleep(0.1)
        counts = Counter(re.findall(r"\w+", text.lower()))
        sentences = re.split(r"(?<=\.) ", text)
        return max(
            sentences, key=lambda one: sum(counts[w] for w in one.lower().split())
        )


@dataclass
class Tools:
    model: FakeModel | None = None


@dataclass
class News:
    articles: dict[str, str]
    summaries: dict[str, str] = field(default_factory=dict)


# Workers run at the same time; each of them writes under a key of its own.
pipe = Pipe[News, Tools](name="news")


@pipe.on_startup
async def connect(ctx: Tools) -> None:
    ctx.model = FakeModel()


@pipe.on_shutdown
async def disconnect(ctx: Tools) -> None:
    ctx.model = None


@pipe.map(each="summarize", to="report", max_concurrency=3)
def collect(state: News) -> Iterator[str]:
    """Whatever this returns or yields is the work; it is asked for as workers get free."""
    yield from state.articles


@pipe.step
async def summarize(title: str, state: News, ctx: Tools) -> None:
    """The parameter that is neither state nor context receives the item."""
    assert ctx.model is not None
    state.summaries[title] = await ctx.model.summarize(state.articles[title])


@pipe.step
async def report(state: News) -> AsyncIterator[str]:
    """Begins when the last worker has ended."""
    yield "\nFinal Report\n"
    for title in state.articles:
        yield f"  {title}: {state.summaries[title]}\n"


async def main() -> None:
    print("Running News Summarizer (the model is a fake)")
    async with pipe.run(News(ARTICLES), Tools()) as run:
        async for event in run:
            if event.type is EventType.MAP_WORKER:
                print(f"  worker {event.payload['index']} takes an article")
            elif event.type is EventType.TOKEN:
                print(event.payload, end="")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    anyio.run(main, backend=options.parse_args().backend)
