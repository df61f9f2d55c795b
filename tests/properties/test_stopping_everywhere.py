"""A run that is stopped at any step of the scheduler ends correctly."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, example, given, settings

from justpipe_actors import Pipe
from justpipe_actors.testing import cancel_everywhere, explore
from justpipe_actors.testing.virtual_clock import Backend

from .strategies import Sketch, build, sketches


pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

patient = settings(
    max_examples=25, suppress_health_check=list(HealthCheck), deadline=None
)

EVERY_BEHAVIOUR = Sketch(
    edges=((1, 2, 3), (4,), (4,), (4, 5), (6,), (6,), ()),
    behaviours=("none", "map", "sub", "switch", "stream", "retry", "handled"),
    joins=(False, False, False, False, True, False, False),
    on_failure="prune",
    queue_size=1,
    timeouts=(False, False, False, False, True, True, True),
)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Silence the log of thousands of failing steps."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@patient
@example(sketch=EVERY_BEHAVIOUR)
@given(sketch=sketches())
def test_any_run_can_be_stopped_at_any_step(sketch: Sketch, backend: Backend) -> None:
    """Cancelled, abandoned, or with a cancelled owner: it has one end and leaves nothing."""
    pipe = build(sketch, iter([]))
    cancel_everywhere(pipe, dict, backend=backend, most=25)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_one_run_with_all_kinds_of_steps_is_stopped_at_every_step(
    backend: Backend,
) -> None:
    """For this run no step of the scheduler is left out."""
    pipe = build(EVERY_BEHAVIOUR, iter([]))
    sweep = cancel_everywhere(pipe, dict, backend=backend, most=10_000)

    assert sweep.runs == 3 * sweep.steps > 200


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@patient
@given(sketch=sketches())
def test_the_status_of_a_run_does_not_depend_on_its_schedule(
    sketch: Sketch, backend: Backend
) -> None:
    """This holds for graphs without races."""
    racing = {"stop", "suspend", "jump"} & set(sketch.behaviours)
    if racing or any(sketch.joins) or sketch.on_failure == "stop":
        return
    statuses = set()

    def check(result: Any) -> None:
        statuses.add((result.status, tuple(sorted(result.step_starts))))
        assert len(statuses) == 1

    explore(build(sketch, iter([])), dict, check, schedules=20, backend=backend, seed=1)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_shielded_cleanup_is_waited_for(backend: Backend) -> None:
    """A step with a shielded cleanup completes it, wherever it is stopped."""
    pipe: Pipe[dict[str, int], Any] = Pipe(dict)

    @pipe.step
    async def careful(state: dict[str, int]) -> None:
        state["open"] = 1
        try:
            await anyio.sleep(1)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1)
                state["open"] = 0

    cancel_everywhere(
        pipe, dict, lambda result: not result.final_state.get("open"), backend=backend
    )
