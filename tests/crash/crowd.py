"""One of several processes that work on one journal; see ``test_crowd``.

Arguments: the journal, the file of executed steps, this process's name, its number of
runs, and the loop.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import anyio

from justpipe_actors import Pipe, Supervisor


SHARED = 5
"""Runs that every process submits."""


def build(log: str) -> Pipe[Any, Any]:
    """Return a pipe of steps and a map that each append a line to a file."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="crowd")
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(state: dict[str, Any], step: str) -> None:
        state[step] = state.get(step, 0) + 1
        os.write(file, f"{state['id']} {step}\n".encode())

    @pipe.step("first", to="fan")
    async def first(state: dict[str, Any]) -> None:
        note(state, "first")

    @pipe.map("fan", each="item", to="last")
    async def fan(state: dict[str, Any]) -> list[int]:
        note(state, "fan")
        return [0, 1, 2]

    @pipe.step("item")
    async def item(state: dict[str, Any], number: int) -> None:
        await anyio.sleep(0.001)
        note(state, f"item{number}")

    @pipe.step("last")
    async def last(state: dict[str, Any]) -> None:
        note(state, "last")

    return pipe


async def main(journal: str, log: str, name: str, count: str) -> None:
    """Submit runs, some of which other processes submit too, and wait for all."""
    pipe = build(log)
    ids = [f"{name}-{number}" for number in range(int(count))]
    ids += [f"shared-{number}" for number in range(SHARED)]
    async with Supervisor(pipe, journal=journal, max_runs=4) as supervisor:
        runs = [await supervisor.submit(pipe, {"id": one}, run_id=one) for one in ids]
        for run in runs:
            end = await run.wait()
            assert end.status.value == "success", end


if __name__ == "__main__":
    where, lines, own_name, runs, loop = sys.argv[1:]
    anyio.run(main, where, lines, own_name, runs, backend=loop)
