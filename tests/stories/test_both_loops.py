"""Both event loops give the same events."""

from __future__ import annotations

import threading

from justpipe_actors import Event, Pipe
from justpipe_actors.types import (
    CancellationToken,
)

from ..helpers import (
    CANCELLED,
    FAILED,
    AnyPipe,
    add_idle_steps,
    end_of,
    event_words,
    hosted_runs,
    run_pipe,
)


# -- both loops


async def test_a_token_is_cancelled_from_another_thread() -> None:
    """A token needs no event loop, neither to be made nor to be cancelled."""
    tokens: list[CancellationToken] = []
    thread = threading.Thread(target=lambda: tokens.append(CancellationToken()))
    thread.start()
    thread.join()
    pipe: AnyPipe = Pipe(dict, cancellation_token=tokens[0])

    @pipe.step
    async def wait(cancel: CancellationToken) -> None:
        other = threading.Thread(target=tokens[0].cancel, args=("from a thread",))
        other.start()
        other.join()
        await cancel.checkpoint()

    end = end_of(await run_pipe(pipe))
    assert (end.status, end.error) == (CANCELLED, "from a thread")


@hosted_runs
async def test_both_loops_give_the_same_events(hosted_runs: int) -> None:
    """No event of a run depends on its event loop."""
    pipe: AnyPipe = Pipe(dict, log_state=False)
    add_idle_steps(pipe, r=["m", "bad"])
    pipe.map("m", each="w", to="j", max_concurrency=1)(lambda: range(2))
    pipe.step("w")(lambda item: None)
    pipe.step("bad", to="j")(lambda: 1 / 0)
    add_idle_steps(pipe, j=[])
    events: list[Event] = await run_pipe(pipe, hosted_runs=hosted_runs)
    assert end_of(events).status is FAILED
    assert sorted(event_words(events)) == sorted(
        [
            "START system",
            "STEP_START r",
            "STEP_END r",
            "STEP_START m",
            "MAP_START m",
            *["MAP_WORKER w[0]", "MAP_WORKER w[1]"],
            *["STEP_START w", "STEP_END w"] * 2,
            "MAP_COMPLETE m",
            "STEP_END m",
            "STEP_START bad",
            "STEP_ERROR bad",
            "FINISH FAILED",
        ]
    )
