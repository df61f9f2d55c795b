"""Results of map workers survive a crash until their map has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe
from justpipe_actors.abc import CommitMode

from .crash_model import CopyingJournal, journal_of, run_through


@dataclass
class Word:
    """A result."""

    text: str
    length: int


def collecting(executed: list[str], items: Any) -> Pipe[Any, Any]:
    """Return a pipe whose map collects results of a class."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="collecting")

    @pipe.map("fan", each="measure", to="end", collect="words", max_concurrency=2)
    async def fan(state: dict[str, Any]) -> Any:
        executed.append("fan")
        return items()

    @pipe.step("measure")
    async def measure(item: str) -> Word:
        executed.append(f"item {item}")
        await anyio.sleep(0.001 * len(item))
        return Word(item, len(item))

    @pipe.step("end")
    async def end(state: dict[str, Any]) -> None:
        executed.append("end")
        words: list[Word] = state.pop("words")
        state["texts"] = [f"{word.text}{word.length}" for word in words]

    return pipe


@pytest.mark.parametrize("mode", ["sync", "group"])
@pytest.mark.parametrize("kind", ["list", "generator"])
async def test_results_survive_a_crash_after_any_commit(
    mode: CommitMode, kind: str
) -> None:
    """The state has every result in item order, whichever commit was the last one."""

    def items() -> Any:
        words = ["ccc", "a", "bb", "dddd"]
        return words if kind == "list" else iter(words)

    executed: list[str] = []
    pipe = collecting(executed, items)
    journal = CopyingJournal(mode=mode)
    plain = await run_through(pipe, journal, {}, executed)
    assert "ccc3" in str(plain.summary)

    for number, copy in enumerate(journal.copies):
        again = await run_through(pipe, journal_of(copy, mode=mode), {}, executed)
        assert again.summary == plain.summary, number


async def test_a_result_that_cannot_be_stored_fails_its_worker() -> None:
    """The failure names the worker, and the other items go on."""
    executed: list[str] = []
    pipe: Pipe[Any, Any] = Pipe(dict, name="unstorable", log_state=False)
    pipe.map("fan", each="work", collect="found")(lambda state: [1, 2])
    pipe.step("work")(lambda item: object() if item == 1 else item)

    outcome = await run_through(pipe, CopyingJournal(), {}, executed)

    assert "result of 'work'" in str(outcome.summary)
