"""User objects that raise errors when they are shown."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from justpipe_actors import EventType, Pipe

from ..helpers import Unprintable, UnprintableError


async def test_a_switch_names_a_value_that_cannot_be_shown() -> None:
    """A value without a route fails the switch, also when its repr raises."""
    pipe: Pipe[Any, Any] = Pipe()
    pipe.switch("s", to={1: "a"})(Unprintable)
    pipe.step("a")(lambda: None)

    async with pipe.run(None) as run:
        (error,) = [e async for e in run if e.type is EventType.STEP_ERROR]

    assert "<Unprintable whose repr raised ZeroDivisionError>" in error.payload


async def test_an_error_that_cannot_be_shown_fails_its_step() -> None:
    """The step fails with this error, also when its text raises."""
    pipe: Pipe[Any, Any] = Pipe()

    @pipe.step
    def s() -> None:
        raise UnprintableError

    async with pipe.run(None) as run:
        end = await run.wait()

    assert (end.status.value, end.failed_step) == ("failed", "s")
    assert "UnprintableError" in str(end.error)


async def test_a_log_state_that_raises_shows_no_state(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The error is logged without the state."""

    def redact(state: Any) -> str:
        raise LookupError(state)

    pipe: Pipe[Any, Any] = Pipe(dict, log_state=redact)

    @pipe.step
    def s() -> None:
        raise ValueError("boom")

    with caplog.at_level(logging.ERROR):
        await pipe.run({"password": "secret"}).wait()

    assert "boom" in caplog.text
    assert "<redaction raised LookupError>" in caplog.text
    assert "secret" not in caplog.text


async def test_a_change_in_one_event_does_not_reach_the_next() -> None:
    """User code that writes into a frozen event changes only that event."""
    pipe: Pipe[Any, Any] = Pipe()
    pipe.map("m", each="w")(lambda: range(2))
    pipe.step("w")(lambda item: None)
    begun = (EventType.STEP_START, EventType.MAP_START)
    ids: list[tuple[str, str | None]] = []

    async with pipe.run(None) as run:
        async for event in run:
            ids.append((event.type.value, event.invocation_id))
            if event.type in begun:
                vars(event).update(invocation_id="mine", attempt=7)

    said = [one for one in ids if one[1] is not None]
    assert len(said) == 10
    assert {one.partition(":")[0] for _, one in said if one} == {run.run_id}
