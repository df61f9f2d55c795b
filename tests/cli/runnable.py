"""Pipes that the command line is tested with."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import anyio

from justpipe_actors import Pipe, Suspend


@dataclass(frozen=True)
class Words:
    """The state of all these pipes."""

    words: list[str] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)


@dataclass
class Needy:
    """A state without defaults."""

    name: str


counting: Pipe[Words, None] = Pipe(Words, name="[red]counting")


@counting.map(each="count", to="report")
async def split(state: Words) -> list[str]:
    """Return the words as items."""
    return state.words


@counting.step
async def count(word: str) -> None:
    """Count a word."""
    print("counted", word)


@counting.step
async def report(state: Words) -> AsyncIterator[object]:
    """Stream text in pieces, and an object that is no text."""
    state.lengths.extend(map(len, state.words))
    yield "in all "
    yield f"{sum(state.lengths)}\n"
    yield {"words": state.words}


failing: Pipe[Words, None] = Pipe(Words, name="failing")


@failing.map(each="refuse")
async def offer(state: Words) -> list[int]:
    """Return numbers as items."""
    return [1, 2]


@failing.step
async def refuse(number: int) -> None:
    """Fail at every item, with a text of two lines and control characters."""
    raise ValueError(f"no {number}\n\x1b[31mat all")


needy: Pipe[Needy, None] = Pipe(Needy, name="needy")


@needy.step
async def greet(state: Needy) -> AsyncIterator[str]:
    """Stream the name."""
    yield f"hello {state.name}"


waiting: Pipe[Words, None] = Pipe(Words, name="waiting")


@waiting.step(to="never")
async def forever(state: Words) -> AsyncIterator[str]:
    """Stream a token and wait until the run is stopped."""
    yield "begun\n"
    try:
        await anyio.sleep_forever()
    finally:
        print("cleaned up")


@waiting.step
async def never(state: Words) -> None:
    """Do nothing; this step is not reached."""


holding: Pipe[Words, None] = Pipe(Words, name="holding")


@holding.step
def hold(state: Words) -> None:
    """Block the event loop."""
    print("begun", flush=True)
    time.sleep(30)


asking: Pipe[Words, None] = Pipe(Words, name="asking")


@asking.step
async def ask(state: Words) -> Suspend:
    """Suspend the run."""
    return Suspend("somebody's answer")


miswired: Pipe[Words, None] = Pipe(Words, name="miswired")


@miswired.step(to="nowhere")
async def lost(state: Words) -> None:
    """Return the name of an unknown step."""


leaving: Pipe[Words, None] = Pipe(Words, name="leaving")


@leaving.step
async def leave(state: Words) -> None:
    """Raise SystemExit."""
    raise SystemExit(7)


shouting: Pipe[Words, None] = Pipe(Words, name="shouting")


@shouting.step
async def shout(state: Words) -> AsyncIterator[str]:
    """Stream colours, control sequences and letters of other alphabets."""
    yield "\x1b[31mred\x1b[0m \x1b[2J\x9b2Jnaïve\n"
