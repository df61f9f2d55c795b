"""The end of a durable run is known when it is stored, and not before."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import anyio
import pytest

from justpipe_actors import Event, EventType, Pipe, Supervisor
from justpipe_actors._run import durable_run
from justpipe_actors.abc.journal_records import Batch
from justpipe_actors.errors import RunReleased
from justpipe_actors.journals import MemoryJournal
from justpipe_actors.outcomes import PipelineTerminalStatus

from .crash_model import wait_until


class SlowJournal(MemoryJournal):
    """A journal that stores the end of a run when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked, self.may_store = threading.Event(), threading.Event()

    def append(self, batches: Any) -> Any:
        found: list[Batch] = list(batches)
        if any(one.kind == "end" for one in found):
            self.is_asked.set()
            assert self.may_store.wait(60)
        return super().append(found)


@pytest.mark.parametrize("is_failing", [True, False])
async def test_a_run_that_was_waited_for_has_ended_for_all(is_failing: bool) -> None:
    """So it can be retried at once, and a request to cancel it comes too late."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="short")

    @pipe.step
    async def only(state: dict[str, Any]) -> None:
        if is_failing:
            raise ValueError("broken")

    journal = SlowJournal()
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="run")
        await wait_until(journal.is_asked.is_set)
        before = run.end
        run.cancel("too late")
        journal.may_store.set()
        end = await run.wait()
        row = journal.find("run")

    expected = "failed" if is_failing else "success"
    assert before is None
    assert end.status is PipelineTerminalStatus(expected)
    assert row is not None
    assert row.status == expected


async def test_no_caller_waits_for_an_end_that_was_not_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The run is as of a process that died, so the next process goes on with it."""

    def fail(*_arguments: object) -> None:
        raise LookupError

    pipe: Pipe[Any, Any] = Pipe(dict, name="short")
    pipe.step("only")(lambda: None)
    journal = MemoryJournal()
    with anyio.fail_after(60):
        async with Supervisor(pipe, journal=journal) as supervisor:
            with monkeypatch.context() as patched:
                patched.setattr(durable_run, "dump_outcome", fail)
                run = await supervisor.submit(pipe, {}, run_id="run")
                with pytest.raises(RunReleased, match="while its end was being stored"):
                    await run.wait()
        async with Supervisor(pipe, journal=journal) as supervisor:
            run = await supervisor.submit(pipe, {}, run_id="run")
            assert (await run.wait()).status is PipelineTerminalStatus.SUCCESS


class Rounded(float):
    """A number like those of numpy, which prints as code."""

    def __repr__(self) -> str:
        return f"Rounded({float(self)})"


@pytest.mark.parametrize("seconds", [Rounded(0.5), True, float("inf")])
async def test_durations_that_a_hook_has_rewritten_are_stored(seconds: Any) -> None:
    """The step's figures are in the end that is read back, whatever their class."""

    def rewrite(event: Event) -> Event:
        if event.type is not EventType.STEP_END or event.meta is None:
            return event
        figures = {**event.meta["framework"], "duration_s": seconds}
        return replace(event, meta={**event.meta, "framework": figures})

    child: Pipe[Any, Any] = Pipe(dict, name="child")
    child.step("inner")(lambda: None)
    child.add_event_hook(rewrite)
    pipe: Pipe[Any, Any] = Pipe(dict, name="parent")
    pipe.sub("outer", pipeline=child)(lambda: {"n": 1})
    journal = MemoryJournal()

    with anyio.fail_after(60):
        async with Supervisor(pipe, journal=journal) as supervisor:
            run = await supervisor.submit(pipe, {}, run_id="run")
            await run.wait()
        async with Supervisor(pipe, journal=journal) as supervisor:
            end = await (await supervisor.submit(pipe, {}, run_id="run")).wait()

    assert end.metrics is not None
    assert end.metrics.step_latency["outer:inner"].max_s == float(seconds)
