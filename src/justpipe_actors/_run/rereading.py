"""Reading a kept run once more, from the oldest event that is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Self

from ..events import Event
from .tail import Tail, TailReader


class Rereading:
    """One reader of a kept run."""

    def __init__(self, tail: Tail, wait: Callable[[], Awaitable[object]]) -> None:
        self._reader = TailReader(tail)
        self._wait = wait

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await self._reader.get()
        if event is not None:
            return event
        await self._wait()
        raise StopAsyncIteration
