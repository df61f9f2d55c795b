"""Messages whose processing fails in the engine: reported and not delivered again."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import anyio
import pytest
import sniffio

from justpipe_actors import Pipe, Supervisor
from justpipe_actors._engine import commit
from justpipe_actors._engine.dead_letters import (
    DEAD_LETTERS_KEPT,
    DeadLetter,
    DeadLetters,
)
from justpipe_actors.errors import DispatcherTaskKilled


only_asyncio = pytest.mark.parametrize(
    "anyio_backend", ["asyncio"], indirect=True, scope="module"
)
"""trio has no way to cancel one task from outside."""


def recent_dead_letters(supervisor: Supervisor) -> DeadLetters:
    """Return the dead letters of a supervisor's actor system."""
    return supervisor._require_open().system.dead_letters


def pausing() -> Pipe[Any, Any]:
    """Return a pipe of one step that waits for an event of its state."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="p")

    @pipe.step
    async def s(state: dict[str, Any]) -> None:
        if sniffio.current_async_library() == "asyncio":
            state["task"] = asyncio.current_task()
        await state["go"].wait()
        state["done"] = True

    return pipe


async def test_a_defect_of_the_engine_is_a_dead_letter(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends its own run and is kept with run, step and actor; other runs go on."""
    pipe = pausing()
    commit_result = commit.commit_result

    def commit_or_break(invocation: Any, answer: Any) -> None:
        if invocation.run_state.state.get("break"):
            raise ZeroDivisionError("defect")
        commit_result(invocation, answer)

    monkeypatch.setattr(commit, "commit_result", commit_or_break)
    go = anyio.Event()
    go.set()
    async with Supervisor() as supervisor:
        with pytest.raises(ZeroDivisionError):
            async with supervisor.run(pipe, {"go": go, "break": True}) as broken:
                await broken.wait()
        async with supervisor.run(pipe, {"go": go}) as run:
            end = await run.wait()
        (letter,) = recent_dead_letters(supervisor)

    assert end.status.value == "success"
    assert (letter.run_id, letter.step, letter.actor, letter.attempt) == (
        broken.run_id,
        "s",
        "p/s",
        1,
    )
    assert letter.error == "ZeroDivisionError: defect"
    (record,) = [r for r in caplog.records if "was not answered" in r.message]
    assert record.levelno == logging.ERROR
    assert (record.run, record.step, record.actor) == (broken.run_id, "s", "p/s")  # type: ignore[attr-defined]


@only_asyncio
async def test_a_natively_cancelled_dispatcher_task_fails_its_step_only() -> None:
    """The messages in the inbox are processed."""
    pipe = pausing()
    go = anyio.Event()
    states: list[dict[str, Any]] = [{"go": go} for _ in range(3)]
    async with Supervisor() as supervisor:
        runs = [supervisor.run(pipe, state) for state in states]
        for run in runs:
            await anext(run)
            await anext(run)
        await anyio.wait_all_tasks_blocked()
        states[0]["task"].cancel()
        await anyio.wait_all_tasks_blocked()
        go.set()
        ends = [await run.wait() for run in runs]
        async with supervisor.run(pipe, {"go": go}) as later:
            assert (await later.wait()).status.value == "success"
        (letter,) = recent_dead_letters(supervisor)

    assert [end.status.value for end in ends] == ["failed", "success", "success"]
    assert (ends[0].failed_step, letter.step) == ("s", "s")
    assert letter.run_id == runs[0].run_id
    assert "killed" in letter.reason


async def let_one_wait(
    supervisor: Supervisor, pipe: Pipe[Any, Any], go: anyio.Event
) -> Any:
    """Return a dispatcher task that has processed a run and waits for messages."""
    state: dict[str, Any] = {"go": go}
    async with supervisor.run(pipe, state) as run:
        await run.wait()
    return state["task"]


@only_asyncio
async def test_a_dispatcher_task_that_is_cancelled_while_it_waits_is_replaced() -> None:
    """No message is lost; another task processes the next one."""
    pipe = pausing()
    go = anyio.Event()
    go.set()
    async with Supervisor() as supervisor:
        waiting_task = await let_one_wait(supervisor, pipe, go)
        await anyio.wait_all_tasks_blocked()
        waiting_task.cancel()
        await anyio.wait_all_tasks_blocked()
        async with supervisor.run(pipe, {"go": go}) as run:
            end = await run.wait()
        restarts = supervisor._require_open().system.dispatcher.statistics().restarts
        assert not recent_dead_letters(supervisor)

    assert end.status.value == "success"
    assert restarts == 1


@only_asyncio
async def test_a_native_cancellation_outside_of_a_step_fails_its_run() -> None:
    """The dispatcher task was waiting for room in the event buffer."""
    pipe = pausing()
    go = anyio.Event()
    go.set()
    async with Supervisor() as supervisor:
        waiting_task = await let_one_wait(supervisor, pipe, go)
        # The dispatcher task that is idle now takes the next run, whose START fills its stream.
        blocked = supervisor.run(pipe, {"go": go}, queue_size=1)
        async with blocked:
            await anyio.wait_all_tasks_blocked()
            waiting_task.cancel()
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(DispatcherTaskKilled):
                await blocked.wait()
        (letter,) = recent_dead_letters(supervisor)

    assert letter.run_id == blocked.run_id


def test_dead_letters_are_bounded_and_counted() -> None:
    """A thousand are kept, all are counted, and a view does not change when more come."""
    letters = DeadLetters()
    for number in range(DEAD_LETTERS_KEPT + 5):
        letters.add(
            DeadLetter(
                run_id=str(number),
                step="s",
                actor="p/s",
                attempt=1,
                reason="why",
                error=None,
                at=0.0,
            )
        )

    assert (len(letters), letters.total) == (DEAD_LETTERS_KEPT, DEAD_LETTERS_KEPT + 5)
    assert (letters[0].run_id, letters[-1].run_id) == ("5", "1004")
    assert [one.run_id for one in letters[:2]] == ["5", "6"]
    assert repr(letters) == "<DeadLetters 1000 kept of 1005>"
