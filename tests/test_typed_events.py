"""Typed events: type checkers narrow the payload, and nothing changes at run time.

The assertions of ``assert_type`` are part of the tests: mypy refuses one that is wrong.
"""

from __future__ import annotations

from typing import Any, assert_type

import pytest

from justpipe_actors import Event, EventType, Pipe, typed_events
from justpipe_actors.outcomes import PipelineEndData
from justpipe_actors.typed_events import (
    ByType,
    FinishEvent,
    MapStarted,
    MapStartEvent,
    StepErrorEvent,
    StepStartEvent,
    TokenEvent,
)


def told(event: Event) -> str:
    """Return the payload of an event, by class patterns."""
    match event:
        case FinishEvent(payload=end):
            assert_type(end, PipelineEndData)
            return f"{end.status.value} after {event.stage}"
        case StepErrorEvent(payload=text):
            assert_type(text, str)
            return text.upper()
        case MapStartEvent(payload=start):
            assert_type(start, MapStarted)
            return f"{start['target']} {start['item_count']}"
        case TokenEvent(payload=item):
            assert_type(item, Any)
            return f"token {item}"
        case StepStartEvent():
            assert_type(event.payload, None)
            return f"begins {event.stage}"
        case _:
            return ""


async def test_class_patterns_match_events_of_their_type() -> None:
    """The events are those of a real run."""
    pipe: Pipe[dict[str, Any]] = Pipe()

    @pipe.map("spread", each="work")
    async def spread() -> list[int]:
        return [1, 2]

    @pipe.step("work")
    async def work(item: int) -> Any:
        if item == 2:
            msg = "no two"
            raise ValueError(msg)
        yield item

    async with pipe.run({}) as run:
        said = [text async for event in run if (text := told(event))]

    assert said[:2] == ["begins spread", "work 2"]
    assert said[-1] == "failed after system"
    assert sorted(said[2:-1]) == ["NO TWO", "begins work", "begins work", "token 1"]


def test_there_is_a_class_for_each_type() -> None:
    """One class describes each type, and no other."""
    made = [getattr(typed_events, name) for name in typed_events.__all__]

    assert all(type(one) is ByType for one in made)
    assert sorted(one.event_type.value for one in made) == sorted(
        kind.value for kind in EventType
    )


@pytest.mark.parametrize("kind", EventType)
def test_an_event_belongs_to_the_class_of_its_type(kind: EventType) -> None:
    """``isinstance`` compares the type, and other objects belong to none."""
    event = Event(kind, "step")
    classes = [getattr(typed_events, name) for name in typed_events.__all__]

    assert [one.event_type for one in classes if isinstance(event, one)] == [kind]
    assert not any(isinstance(kind, one) for one in classes)
