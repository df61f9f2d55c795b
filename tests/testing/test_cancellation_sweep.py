"""``cancel_everywhere``: it passes where cleanup is complete at every step, and else fails."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, TestResult
from justpipe_actors.errors import CleanupFailure
from justpipe_actors.testing import cancel_everywhere
from justpipe_actors.testing.virtual_clock import Backend


State = dict[str, Any]
BACKENDS = ["asyncio", "trio"]


def borrowing(*, safely: bool) -> Pipe[State, Any]:
    """Return a pipe that takes something, waits, and gives it back."""
    pipe: Pipe[State, Any] = Pipe(dict, log_state=False)

    @pipe.on_shutdown
    async def count(state: State) -> None:
        state["shutdowns"] = state.get("shutdowns", 0) + 1

    @pipe.step(to="after")
    async def borrow(state: State) -> None:
        state["out"] = 1
        if safely:
            try:
                await anyio.sleep(1)
            finally:
                state["out"] = 0
        else:
            await anyio.sleep(1)
            state["out"] = 0

    @pipe.step
    async def after(state: State) -> None:
        await anyio.sleep(1)

    return pipe


def returned(result: TestResult[State]) -> None:
    """Check that it was given back."""
    assert not result.final_state.get("out"), "it was not given back"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_pipeline_that_cleans_up_passes_at_every_step(backend: Backend) -> None:
    """However it is stopped, it ends once and leaves nothing."""
    sweep = cancel_everywhere(borrowing(safely=True), dict, returned, backend=backend)

    assert sweep.runs == 3 * sweep.steps
    assert sweep.steps > 15
    assert sweep.statuses["cancelled"] > 10
    assert sweep.statuses["client_closed"] > 5


@pytest.mark.parametrize("backend", BACKENDS)
def test_missing_cleanup_is_found_with_its_step(backend: Backend) -> None:
    """The failure names the kind of stop and the step, which alone repeats it."""
    pipe = borrowing(safely=False)
    with pytest.raises(CleanupFailure, match="it was not given back") as caught:
        cancel_everywhere(pipe, dict, returned, backend=backend)

    found = caught.value
    assert pickle.loads(pickle.dumps(found)).step == found.step
    with pytest.raises(CleanupFailure):
        cancel_everywhere(
            pipe,
            dict,
            returned,
            how=[found.how],  # type: ignore[list-item]
            steps=[found.step],
            backend=backend,
        )


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_task_that_outlives_its_run_is_found(backend: Backend) -> None:
    """The message names the task."""
    import asyncio

    import trio

    async def forever() -> None:
        await anyio.sleep(1000)

    pipe: Pipe[State, Any] = Pipe(dict)

    @pipe.step
    async def leak(state: State) -> None:
        if backend == "trio":
            trio.lowlevel.spawn_system_task(forever, name="left over")
        else:
            state["task"] = asyncio.create_task(forever(), name="left over")
        await anyio.sleep(1)

    with pytest.raises(CleanupFailure, match="tasks are left: left over"):
        cancel_everywhere(pipe, dict, backend=backend)


def test_a_check_may_return_false() -> None:
    """This is a failure; its step is 0 if the run was not stopped."""
    with pytest.raises(CleanupFailure, match="the check returned False"):
        cancel_everywhere(borrowing(safely=True), dict, lambda result: False)


def test_of_many_steps_some_are_picked_evenly() -> None:
    """``most`` limits the work for long runs."""
    sweep = cancel_everywhere(borrowing(safely=True), dict, how=["cancel"], most=5)

    assert 3 <= sweep.runs <= 5
    assert Counter(sweep.statuses).total() == sweep.runs
