"""Stop and wait for a person: a game in which the words yes and no are forbidden.

A step that returns ``Suspend(reason)`` ends the run, well.  What it has found out is in
the state, which is yours to keep; the next run begins where you say with ``start=``.
The answers are read from standard input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import anyio
import anyio.to_thread

from justpipe_actors import EventType, Pipe, Suspend


QUESTIONS = (
    "Is this a pipeline?",
    "Do you test your code?",
    "Would you play again?",
)
FORBIDDEN = ("yes", "no")


@dataclass
class Game:
    answers: list[str] = field(default_factory=list)
    loser: str | None = None


pipe = Pipe(Game, name="game")


@pipe.step(to="judge")
async def ask(game: Game) -> Suspend:
    return Suspend(QUESTIONS[len(game.answers)])


@pipe.step
async def judge(game: Game) -> str:
    """Return the name of the step to go to: that is how loops are written."""
    word = game.answers[-1].strip().lower()
    if word in FORBIDDEN:
        game.loser = word
    is_over = game.loser is not None or len(game.answers) == len(QUESTIONS)
    return "finish" if is_over else "ask"


@pipe.step
async def finish(game: Game) -> AsyncIterator[str]:
    yield "Game Over\n"
    yield f"Your answers: {', '.join(game.answers)}\n"
    if game.loser:
        yield f"Forbidden word '{game.loser}' used\n"
    else:
        yield "You won\n"


async def play(game: Game, start: str) -> str | None:
    """Run until the end, or until a person has to answer; return the question."""
    question = None
    async with pipe.run(game, start=start) as run:
        async for event in run:
            if event.type is EventType.SUSPEND:
                question = event.payload
            elif event.type is EventType.TOKEN:
                print(event.payload, end="")
    return question


async def main() -> None:
    game = Game()
    question = await play(game, start="ask")
    while question is not None:
        print(question, end=" ", flush=True)
        answer = (await anyio.to_thread.run_sync(sys.stdin.readline)).strip()
        print(answer)
        game.answers.append(answer or "no")
        question = await play(game, start="judge")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    anyio.run(main, backend=options.parse_args().backend)
