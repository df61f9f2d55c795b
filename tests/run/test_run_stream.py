"""A run is entered, iterated or waited for, and whoever awaits it is told so."""

from __future__ import annotations

from typing import Any

import pytest

from justpipe_actors import EventType, Pipe
from justpipe_actors.errors import RunAwaited


def idle() -> Pipe[Any, Any]:
    """Return a pipe of one step that does nothing."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.step("a")(lambda: None)
    return pipe


async def test_whoever_awaits_a_run_is_told_what_to_await() -> None:
    """The message has the three ways there are; it is a TypeError, as Python's own is."""
    with pytest.raises(TypeError) as caught:
        await idle().run({})

    assert isinstance(caught.value, RunAwaited)
    for way in (".wait()", "async for", "async with"):
        assert way in str(caught.value)


async def test_a_map_over_the_events_of_a_run() -> None:
    """A function may still return a run: it is mapped over, and not awaited."""
    seen: list[EventType] = []
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.map("m", each="w")(lambda: idle().run({}))
    pipe.step("w")(lambda item: seen.append(item.type))
    end = await pipe.run({}).wait()

    assert end.status.value == "success"
    assert seen[-1] is EventType.FINISH
