"""Durable runs with isolated state recover exactly, whatever steps change and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import anyio
import pytest

from justpipe_actors import Merge, Pipe

from .crash_model import CopyingJournal, journal_of, run_through


@dataclass
class Book:
    done: Annotated[int, Merge.add] = 0
    visits: dict[str, int] = field(default_factory=dict)
    inner: dict[str, int] = field(default_factory=dict)


def book(executed: list[str], *, part: bool, alone: bool) -> Pipe[Any, Any]:  # noqa: C901 - one pipe
    """Return an isolated pipe with a map, a failing step and a child on its state.

    Args:
        executed: is told which steps have run.
        part: whether the child works on a part of the state, or on all of it.
        alone: whether nothing runs beside the child.
    """
    child: Pipe[Any, Any] = Pipe(
        dict if part else Book,
        name="child",
        state_mode="isolated",
        allow_multi_root=True,
    )

    async def visit(state: Any, name: str, seconds: float) -> None:
        executed.append(name)
        visits = state if isinstance(state, dict) else state.visits
        visits[name] = visits.get(name, 0) + 1  # before it waits
        await anyio.sleep(seconds)
        if isinstance(state, Book):
            state.done += 1

    for name, seconds in (("first", 0.001), ("second", 0.003)):

        @child.step(name, to="third")
        async def branch(
            state: Any, name: str = name, seconds: float = seconds
        ) -> None:
            await visit(state, name, seconds)

    @child.step("third")
    async def third(state: Any) -> None:
        await visit(state, "third", 0.001)

    pipe: Pipe[Any, Any] = Pipe(
        Book,
        name="book",
        state_mode="isolated",
        allow_multi_root=True,
        on_failure="continue",
    )

    @pipe.step("begin", to=["sub"] if alone else ["sub", "beside", "fails", "fan"])
    async def begin(state: Book) -> None:
        await visit(state, "begin", 0)

    @pipe.step("beside", to="later")
    async def beside(state: Book) -> None:
        await visit(state, "beside", 0.002)

    @pipe.step("later")
    async def later(state: Book) -> None:
        await visit(state, "later", 0.002)

    @pipe.step("fails")
    async def fails(state: Book) -> None:
        await visit(state, "fails", 0.001)
        raise ValueError("planned")

    @pipe.step("work")
    async def work(state: Book, item: int) -> None:
        await visit(state, f"item {item}", 0.001 * item)

    @pipe.map("fan", each="work", max_concurrency=2)
    async def fan(state: Book) -> list[int]:
        await visit(state, "fan", 0)
        return [1, 2, 3]

    @pipe.sub("sub", child, to="end")
    async def sub(state: Book) -> Any:
        await visit(state, "sub", 0)
        return state.inner if part else state

    @pipe.step("end")
    async def end(state: Book) -> None:
        await visit(state, "end", 0.001)

    return pipe


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("part", [True, False])
async def test_a_crash_after_any_commit_does_not_change_the_end(
    part: bool, alone: bool
) -> None:
    """Status, errors and state are those of an uninterrupted run."""
    executed: list[str] = []
    pipe = book(executed, part=part, alone=alone)
    start = "begin"
    journal = CopyingJournal()
    plain = await run_through(pipe, journal, Book(), executed, start=start)

    visits = {**plain.state.visits, **plain.state.inner}
    expected = {"begin", "sub", "first", "second", "third", "end"}
    if not alone:
        expected |= {"beside", "later", "fan", "item 1", "item 2", "item 3"}
    assert visits == dict.fromkeys(expected, 1)
    for number, copy in enumerate(journal.copies):
        again = await run_through(pipe, journal_of(copy), Book(), executed, start=start)
        assert again.summary == plain.summary, number
