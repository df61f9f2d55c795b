"""How different ends of a run can be told apart, and which observers see them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from justpipe_actors import (
    EventType,
    Pipe,
    Stop,
    Suspend,
)

from ..helpers import (
    SUCCESS,
    AnyPipe,
    HookRecorder,
    add_idle_steps,
    empty_state,
    end_of,
    event_words,
    hosted_runs,
    idle_chain,
    run_pipe,
)


# -- why it ended well


@hosted_runs
@pytest.mark.parametrize("answer", [Suspend("later"), Stop, None])
async def test_a_suspended_run_can_be_told_from_a_finished_one(
    answer: Any, hosted_runs: int
) -> None:
    """Both are SUCCESS; the figures of FINISH name the suspended step."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a")(lambda: answer)
    end = end_of(await run_pipe(pipe, hosted_runs=hosted_runs))

    assert end.status is SUCCESS
    assert end.metrics is not None
    assert end.metrics.suspends == (1 if isinstance(answer, Suspend) else 0)


# -- who hears the end


async def leave_at(pipe: AnyPipe, last: EventType) -> None:
    """Stop reading at the first event of a type."""
    async with pipe.run({}) as run:
        async for event in run:
            if event.type is last:
                return


@pytest.mark.parametrize("last", [EventType.FINISH, EventType.STEP_START])
@pytest.mark.parametrize("ending", ["good", "bad", "endless"])
async def test_observers_see_the_end_before_the_consumer_goes_on(
    last: EventType, ending: str
) -> None:
    """They have handled FINISH and the last callback, however early the consumer leaves."""
    if ending == "endless" and last is EventType.FINISH:
        pytest.skip("an endless run has no FINISH to leave at")
    recorder = HookRecorder()
    pipe: AnyPipe = Pipe(dict)
    ways: dict[str, Callable[[], Any]] = {
        "good": lambda: None,
        "bad": lambda: 1 / 0,
        "endless": anyio.sleep_forever,
    }
    pipe.step("a")(ways[ending])
    pipe.add_observer(recorder)
    await leave_at(pipe, last)

    assert recorder.heard[-2] == "finish"
    if last is EventType.FINISH and ending == "bad":
        assert recorder.heard[-1].startswith("on_pipeline_error ZeroDivisionError")
    elif last is EventType.FINISH or ending == "endless":
        assert recorder.heard[-1] == "on_pipeline_end"


# -- Stop as an instance


@hosted_runs
@pytest.mark.parametrize("answer", [Stop, Stop()])
@pytest.mark.parametrize("place", ["callable switch", "step", "handler", "worker"])
async def test_stop_counts_as_class_and_as_instance(
    answer: Any, place: str, hosted_runs: int
) -> None:
    """Both end the run with success, wherever they are returned."""
    pipe: AnyPipe = Pipe(dict)
    if place == "callable switch":
        pipe.switch("a", to=lambda value: answer)(lambda: 1)
    elif place == "step":
        pipe.step("a", to="b")(lambda: answer)
    elif place == "handler":
        pipe.step("a", to="b", on_error=lambda error: answer)(lambda: 1 / 0)
    else:
        pipe.map("a", each="w", to="b")(lambda: range(3))
        pipe.step("w")(lambda item: answer)
    if place != "callable switch":
        add_idle_steps(pipe, b=[])
    events = await run_pipe(pipe, hosted_runs=hosted_runs)
    assert end_of(events).status is SUCCESS
    assert "STEP_START b" not in event_words(events)


# -- whose FINISH


@hosted_runs
async def test_the_end_of_the_stream_is_the_runs_own(hosted_runs: int) -> None:
    """``run.end`` is set by the run's own FINISH, not by a child's."""
    child = idle_chain("x")
    pipe: AnyPipe = Pipe(dict)
    pipe.sub("s", pipeline=child, to="t")(empty_state)
    pipe.sub("t", pipeline=child)(empty_state)
    ends: list[bool] = []
    async with pipe.run({}) as run:
        async for event in run:
            if event.type is EventType.FINISH:
                ends.append(event.stage == "system")
                assert (run.end is event.payload) == (event.stage == "system")
    assert ends == [False, False, True]
    assert end_of(await run_pipe(pipe, hosted_runs=hosted_runs)).status is SUCCESS
