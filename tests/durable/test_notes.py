"""Notes in ``meta.run`` survive their process."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from justpipe_actors import Meta, Pipe, Supervisor

from .crash_model import CopyingJournal, journal_of, run_through


@dataclass
class Context:
    """A context with a field for notes."""

    meta: Meta = field(init=False)


def noting() -> Pipe[Any, Context]:
    """Return a pipe whose steps make notes of all kinds."""
    pipe: Pipe[Any, Context] = Pipe(dict, Context, name="noting")

    async def note(context: Context, number: int) -> None:
        run = context.meta.run
        run.set(f"step/{number}", {"number": number})
        run.add_tag(f"tag {number}")
        run.increment("steps")
        for sample in range(50):
            run.record_metric("a/metric", number * 100 + sample)

    @pipe.step("one", to="two")
    async def one(state: Any, context: Context) -> None:
        await note(context, 1)

    @pipe.step("two", to="three")
    async def two(state: Any, context: Context) -> None:
        await note(context, 2)

    @pipe.step("three")
    async def three(state: Any, context: Context) -> None:
        await note(context, 3)

    return pipe


async def finish_meta(
    pipe: Pipe[Any, Any], journal: CopyingJournal
) -> dict[str, Any] | None:
    """Run the pipe, or go on with its run, and return the notes of FINISH."""
    meta: dict[str, Any] | None = None
    with anyio.fail_after(30):
        async with Supervisor(pipe, journal=journal) as supervisor:
            run = await supervisor.submit(pipe, {}, Context(), run_id="run")
            async for event in run:
                meta = event.meta
    return meta


async def test_notes_of_a_run_survive_a_crash() -> None:
    """Values, tags, counters and samples are kept, after a crash at any commit."""
    pipe, journal = noting(), CopyingJournal()
    expected = await finish_meta(pipe, journal)
    assert expected is not None
    assert expected["counters"] == {"steps": 3}
    assert len(expected["metrics"]["a/metric"]) == 150

    for copy in journal.copies[:-1]:
        assert await finish_meta(pipe, journal_of(copy)) == expected


async def test_a_note_that_cannot_be_stored_fails_no_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is left out and logged once."""
    pipe: Pipe[Any, Context] = Pipe(dict, Context, name="noting")

    @pipe.step("one")
    async def one(state: Any, context: Context) -> None:
        context.meta.run.set("odd", object())
        context.meta.run.set("fine", 1)

    with caplog.at_level(logging.WARNING):
        ended = await run_through(pipe, CopyingJournal(), {}, [], context=Context())
    assert ended.end.status.value == "success"
    (record,) = caplog.records
    assert "meta.run 'odd'" in record.getMessage()
