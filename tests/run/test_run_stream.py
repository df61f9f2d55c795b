"""A run is entered, iterated or waited for; ``await run`` is refused."""

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


async def test_awaiting_a_run_is_refused() -> None:
    """The message lists the three ways to use a run; it is a TypeError, as Python's own is."""
    with pytest.raises(TypeError) as caught:
        await idle().run({})

    assert isinstance(caught.value, RunAwaited)
    for way in (".wait()", "async for", "async with"):
        assert way in str(caught.value)


async def test_a_map_over_the_events_of_a_run() -> None:
    """A map's function may return a run: the map iterates it and does not await it."""
    seen: list[EventType] = []
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.map("m", each="w")(lambda: idle().run({}))
    pipe.step("w")(lambda item: seen.append(item.type))
    end = await pipe.run({}).wait()

    assert end.status.value == "success"
    assert seen[-1] is EventType.FINISH
