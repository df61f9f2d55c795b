"""Tokens to a reader that may leave.

The model is a fake: it says the same thing to everybody, one word at a time.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import anyio

from justpipe_actors import EventType, Pipe


ANSWER = """A stream is a promise that something useful arrives before everything has.
Whoever reads it may stop, and then nobody should go on talking."""


async def fake_model(prompt: str) -> AsyncIterator[str]:
    """Talk without listening."""
    for word in ANSWER.split(" "):
        await anyio.sleep(0.02)
        yield word + " "


@dataclass
class Chat:
    prompt: str
    heard: list[str] = field(default_factory=list)
    is_hung_up: bool = False


pipe = Pipe(Chat, name="chat")


@pipe.step(to="answer")
async def think(chat: Chat) -> None:
    chat.prompt = chat.prompt.strip()


@pipe.step
async def answer(chat: Chat) -> AsyncIterator[str]:
    try:
        async for word in fake_model(chat.prompt):
            chat.heard.append(word)
            yield word
    except anyio.get_cancelled_exc_class():
        chat.is_hung_up = True  # note it, and let the cancellation go on
        raise


async def talk(chat: Chat, most: int | None = None) -> None:
    """Read words until the end, or until it is enough."""
    words = 0
    async with pipe.run(chat) as run:
        async for event in run:
            if event.type is EventType.TOKEN:
                print(event.payload, end="", flush=True)
                words += 1
                if words == most:
                    break  # leaving the block ends the run, and waits until it has
    print()


async def main() -> None:
    print("Streaming Chatbot (the model is a fake)\n")
    chat = Chat("What is a stream?")
    await talk(chat)
    print(f"\nFull Response: {len(''.join(chat.heard))} characters\n")

    hasty = Chat("And in short?")
    await talk(hasty, most=5)
    print(f"\nThe model stopped, too: {hasty.is_hung_up}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    anyio.run(main, backend=options.parse_args().backend)
