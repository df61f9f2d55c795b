"""Stream from a model, with a deadline, a fallback, and a test.

No key is needed: the model here is a fake.  To use a real one, write a class with the
same ``stream`` method around its client and hand it in with the context:

    async def stream(self, prompt: str) -> AsyncIterator[str]:
        chunks = await self.client.chat.completions.create(..., stream=True)
        async for chunk in chunks:
            yield chunk.choices[0].delta.content or ""
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

import anyio

from justpipe_actors import EventType, Pipe, TestPipe


class Model(Protocol):
    def stream(self, prompt: str) -> AsyncIterator[str]:
        """Yield the answer in pieces."""
        ...


@dataclass
class FakeModel:
    """Repeats after you, at the speed it is given."""

    pause: float

    async def stream(self, prompt: str) -> AsyncIterator[str]:
        for word in f"You asked: {prompt}".split(" "):
            await anyio.sleep(self.pause)
            yield word + " "


@dataclass
class Models:
    good: Model
    quick: Model


@dataclass
class Question:
    text: str
    answer: str = ""


def use_quick(error: Exception) -> str:
    """Go to another step when this one fails: a handler may answer with its name."""
    return "ask_quick"


# ask_quick is reached by its name only, so the run is told where to begin.
pipe = Pipe(Question, Models, name="assistant", log_state=False)


@pipe.step(timeout=1.0, on_error=use_quick)
async def ask(question: Question, models: Models) -> AsyncIterator[str]:
    """May take one second in all, whatever it has said by then."""
    question.answer = ""
    async for piece in models.good.stream(question.text):
        question.answer += piece
        yield piece


@pipe.step
async def ask_quick(question: Question, models: Models) -> AsyncIterator[str]:
    question.answer = ""
    yield "\n[the good model is too slow] "
    async for piece in models.quick.stream(question.text):
        question.answer += piece
        yield piece


async def chat(question: Question, models: Models) -> None:
    print("Streaming response: ", end="")
    async with pipe.run(question, models, start="ask") as run:
        async for event in run:
            if event.type is EventType.TOKEN:
                print(event.payload, end="", flush=True)
    print()


async def test_what_is_heard() -> None:
    """No model at all: a mock streams instead of the step."""

    async def pieces(**arguments: object) -> AsyncIterator[str]:
        yield "forty"
        yield "-two"

    with TestPipe(pipe) as harness:
        harness.mock("ask", side_effect=pieces)
        result = await harness.run(Question("?"), start="ask")
    assert result.tokens == ["forty", "-two"]
    assert result.order == ["ask"]


async def main() -> None:
    await chat(
        Question("why is the sky blue?"), Models(FakeModel(0.02), FakeModel(0.01))
    )
    await chat(Question("why is it slow?"), Models(FakeModel(0.45), FakeModel(0.01)))
    await test_what_is_heard()
    print("Test passed!")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    anyio.run(main, backend=options.parse_args().backend)
