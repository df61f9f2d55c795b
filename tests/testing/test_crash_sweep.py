"""``crash_everywhere``: tests of durable pipes that crash after each commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from justpipe_actors import Ask, Pipe, ask, once
from justpipe_actors.errors import CrashFailure, NotStorable
from justpipe_actors.testing import crash_everywhere


@dataclass
class Report:
    n: int = 0
    log: list[str] = field(default_factory=list)


def steady() -> Pipe[Report, Any]:
    """Return a pipe that recovers exactly."""
    pipe = Pipe[Report, Any](Report, name="steady")

    @pipe.step(to="draft")
    async def begin(report: Report) -> None:
        await once("plan", lambda: 1)
        report.log = [*report.log, "begun"]

    @pipe.step()
    async def draft(report: Report) -> Ask:
        report.n = await ask(int, key="n")
        return Ask(bool, to=publish, key="publish")

    @pipe.step()
    async def publish(report: Report, ok: bool) -> None:
        report.log = [*report.log, f"published {ok}"]

    return pipe


def torn() -> Pipe[Report, Any]:
    """Return a pipe with a step that adds to the state and then waits."""
    pipe = Pipe[Report, Any](Report)

    @pipe.step(to=["slow", "quick"])
    async def begin(report: Report) -> None:
        """Lead to both."""

    @pipe.step()
    async def slow(report: Report) -> None:
        report.n += 1
        await anyio.sleep(0.05)
        report.n += 1

    @pipe.step()
    async def quick(report: Report) -> None:
        report.log.append("quick")

    return pipe


@pytest.mark.parametrize("mode", ["sync", "group"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_pipe_that_recovers_exactly_passes(backend: Any, mode: Any) -> None:
    """Every commit is crashed after, also those of asks and of ``once``."""
    answers = {"n": 3, "publish": True}
    sweep = crash_everywhere(
        steady(), Report, answers=answers, backend=backend, mode=mode
    )
    assert sweep.status == "success"
    assert sweep.crashes >= 3


def test_each_run_gets_a_copy_of_the_state_that_is_given() -> None:
    """A state may be given instead of what makes one, and stays as it is."""
    given = Report(log=["given"])
    answers = {"n": 3, "publish": True}

    sweep = crash_everywhere(steady(), given, answers=answers)

    assert sweep.status == "success"
    assert given == Report(log=["given"])


def test_a_step_that_adds_before_it_waits_is_found() -> None:
    """The message names the field and the remedy."""
    with pytest.raises(CrashFailure, match="'n' of the state is 3 instead of 2"):
        crash_everywhere(torn(), Report)


def test_a_value_that_cannot_be_stored_is_found() -> None:
    """The message has its path before anything runs."""
    with pytest.raises(NotStorable, match=r"state\.log\[0\]"):
        crash_everywhere(steady(), lambda: Report(log=[object()]))  # type: ignore[list-item]
