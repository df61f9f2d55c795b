"""Two steps, and a stream of tokens: the smallest pipe that does something."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio

from justpipe_actors import EventType, Pipe


@dataclass
class Greeting:
    name: str
    text: str = ""


pipe = Pipe(Greeting, name="quick start")


@pipe.step
async def speak(greeting: Greeting) -> AsyncIterator[str]:
    """Whatever a step yields, the reader of the run gets as a TOKEN, at once."""
    for word in greeting.text.split(" "):
        yield word + " "


@pipe.step(to=speak)  # a function or its name, whichever is at hand
async def compose(greeting: Greeting) -> None:
    """A step changes the state; everybody sees the same one."""
    greeting.text = f"Hello, {greeting.name}!"


async def main() -> None:
    async with pipe.run(Greeting("World")) as run:
        async for event in run:
            if event.type is EventType.TOKEN:
                print(event.payload, end="", flush=True)
        end = await run.wait()
    print(f"\n{end.status.value}, {end.reason or 'nothing to complain about'}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    anyio.run(main, backend=options.parse_args().backend)
