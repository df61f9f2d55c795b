"""What a replay buffer keeps, compared with a list that is searched."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from justpipe_actors._publishing.replay_buffer import ReplayBuffer, ReplayReader
from justpipe_actors.events import Event, EventType


TOKEN, OTHER = EventType.TOKEN, EventType.STEP_START


class Model:
    """A slow and obviously right replay buffer."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.kept: list[tuple[int, Event]] = []
        self.positions = [0, 0]

    def put(self, number: int, event: Event) -> None:
        """Keep an event; drop the oldest token, or else the oldest event."""
        self.kept.append((number, event))
        if 0 < self.capacity < len(self.kept):
            tokens = [one for one in self.kept if one[1].type is TOKEN]
            self.kept.remove((tokens or self.kept)[0])

    def get(self, reader: int) -> Event | None:
        """Return the first kept event after the last one that the reader has read."""
        for number, event in self.kept:
            if number > self.positions[reader]:
                self.positions[reader] = number
                return event
        return None


moves = st.lists(
    st.one_of(
        st.sampled_from([TOKEN, TOKEN, OTHER]),
        st.tuples(st.integers(0, 1), st.integers(1, 4)),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(capacity=st.integers(0, 8), moves=moves)
async def test_readers_see_the_kept_events_in_order(
    capacity: int, moves: list[EventType | tuple[int, int]]
) -> None:
    """Each of two readers gets the next kept event, in any order of puts and reads."""
    buffer, model = ReplayBuffer(capacity), Model(capacity)
    readers = ReplayReader(buffer), ReplayReader(buffer)
    said = 0
    for move in moves:
        if isinstance(move, EventType):
            said += 1
            event = Event(move, str(said))
            buffer.put(event)
            model.put(said, event)
        else:
            reader, times = move
            for _ in range(times):
                if (expected := model.get(reader)) is not None:
                    assert await readers[reader].get() is expected
    buffer.end()

    assert len(buffer) == buffer.peak_length == len(model.kept)
    assert buffer.dropped == said - len(model.kept)
    for number, late in enumerate(readers):
        while (left := await late.get()) is not None:
            assert left is model.get(number)
        assert model.get(number) is None


@pytest.mark.parametrize("kind", [TOKEN, OTHER])
async def test_dropped_events_take_no_memory(kind: EventType) -> None:
    """A replay buffer refers only to the events that it keeps."""
    buffer = ReplayBuffer(10)
    for number in range(1000):
        buffer.put(Event(kind, str(number)))

    queue = buffer.tokens if kind is TOKEN else buffer.others
    assert (queue.first, queue.end, len(buffer)) == (990, 1000, 10)
    assert queue.get(989) is None
    event = await ReplayReader(buffer).get()
    assert event is not None
    assert event.stage == "990"
