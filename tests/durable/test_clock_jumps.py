"""A jump of the wall clock moves due times, and takes no run from its process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor, ask, sleep_until
from justpipe_actors.abc.journal_records import Batch
from justpipe_actors.journals import MemoryJournal
from justpipe_actors.outcomes import PipelineEndData, PipelineTerminalStatus

from .crash_model import wait_until


HOUR = 3600.0


class JumpingJournal(MemoryJournal):
    """A journal with a clock that can be set."""

    offset = 0.0

    def now(self) -> float:
        """Return the time of the clock that was set."""
        return super().now() + self.offset


def waiting(kind: str) -> Pipe[Any, Any]:
    """Return a pipe that waits for an hour, in one of the possible ways."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="waiting", allow_multi_root=True)
    hour = timedelta(hours=1)
    never = anyio.Event()

    @pipe.step("first", to="late" if kind == "join" else None)
    async def first(state: dict[str, Any]) -> None:
        match kind:
            case "sleep":
                await sleep_until(hour, key="nap")
            case "ask":
                state["ask"] = "asked"
                await ask(bool, "Go on?", key="go", timeout=hour)
            case "deadline":
                await never.wait()
            case _:
                pass

    @pipe.step("beside", to="late" if kind == "join" else None)
    async def beside(state: dict[str, Any]) -> None:
        if kind == "join":
            await sleep_until(hour * 100, key="long")

    @pipe.step("late", barrier_timeout=HOUR if kind == "join" else None)
    async def late(state: dict[str, Any]) -> None:
        state["late"] = True

    return pipe


DUE = {
    "sleep": "first:nap",
    "ask": "first:go",
    "join": "t/1/late",
    "deadline": "deadline",
}
"""What the rows of a run have once they say until when it waits."""


def written(journal: MemoryJournal) -> str:
    """Return what the rows of the run say."""
    row = journal.find("run")
    return "" if row is None else "".join(one.delta for one in journal.commits(row.id))


@pytest.mark.parametrize("kind", DUE)
async def test_a_jump_forward_ends_due_waits(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """This is what happens after a computer was suspended."""
    journal = JumpingJournal()
    pipe = waiting(kind)
    options: dict[str, Any] = {"timeout": HOUR} if kind == "deadline" else {}
    with anyio.fail_after(60), caplog.at_level(logging.WARNING):
        async with Supervisor(pipe, journal=journal, grace=0.1) as supervisor:
            run = await supervisor.submit(pipe, {}, run_id="run", **options)
            await wait_until(lambda: DUE[kind] in written(journal))
            assert run.end is None
            journal.offset += 2 * HOUR
            end = await ended(run, kind)
    expected = {"sleep": "success", "deadline": "timeout"}.get(kind, "failed")
    assert end is None or end.status.value == expected
    assert "The clock has jumped" in caplog.text
    assert "declared dead" not in caplog.text


async def ended(run: Any, kind: str) -> PipelineEndData | None:
    """Wait for the end, or for the join's timeout where the run goes on."""
    if kind != "join":
        return await run.wait()  # type: ignore[no-any-return]
    async for event in run:
        if event.type.value == "step_error" and event.stage == "late":
            break
    return None


class LateJournal(JumpingJournal):
    """A journal with a clock that goes back when it stores until when a step sleeps."""

    has_jumped = False

    def append(self, batches: Sequence[Batch]) -> frozenset[int]:
        lost = super().append(batches)
        if not self.has_jumped and "nap:nap" in "".join(one.delta for one in batches):
            self.has_jumped = True
            self.offset -= HOUR
        return lost


async def test_a_jump_back_delays_a_run_as_the_clock_says() -> None:
    """No wait ends early."""
    journal = LateJournal()
    pipe: Pipe[Any, Any] = Pipe(dict, name="short")

    @pipe.step("nap")
    async def nap(state: dict[str, Any]) -> None:
        await sleep_until(timedelta(seconds=2), key="nap")

    with anyio.fail_after(60):
        async with Supervisor(pipe, journal=journal, grace=0.1) as supervisor:
            run = await supervisor.submit(pipe, {}, run_id="run")
            await wait_until(lambda: journal.offset < 0)
            with anyio.move_on_after(3.5):
                await run.wait()
            assert run.end is None
            journal.offset += HOUR
            assert (await run.wait()).status is PipelineTerminalStatus.SUCCESS
