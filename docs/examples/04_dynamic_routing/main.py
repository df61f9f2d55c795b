"""A switch: the value that a step returns chooses the step that comes next."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from enum import Enum

import anyio

from justpipe_actors import EventType, Pipe, Stop


@dataclass
class Number:
    value: int


class Parity(Enum):
    EVEN = "even"
    ODD = "odd"
    ZERO = "zero"


pipe = Pipe(Number, name="routing")


@pipe.step(to="show")
async def double(number: Number) -> None:
    number.value *= 2


@pipe.step(to="show")
async def increment(number: Number) -> None:
    number.value += 1


@pipe.switch(
    to={
        Parity.EVEN: double,  # a function ...
        Parity.ODD: "increment",  # ... or a name ...
        Parity.ZERO: Stop,  # ... or the end of the run
    }
)
async def classify(number: Number) -> Parity:
    """Only one of the routes runs, and what follows them knows that."""
    if number.value == 0:
        return Parity.ZERO
    return Parity.EVEN if number.value % 2 == 0 else Parity.ODD


@pipe.step
async def show(number: Number) -> None:
    """Has two parents, of which one will never run, and does not wait for it."""
    print(f"  Final Value: {number.value}")


async def main() -> None:
    for value in (10, 7, 0):
        number = Number(value)
        async with pipe.run(number) as run:
            taken = [e.stage async for e in run if e.type is EventType.STEP_START]
            end = await run.wait()
        print(f"{value}: {' -> '.join(taken)}, {end.status.value}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    anyio.run(main, backend=options.parse_args().backend)
