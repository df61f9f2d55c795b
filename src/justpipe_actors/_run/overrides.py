"""Who runs in place of a pipe; only tests ever put anybody here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TypeVar


PipeT = TypeVar("PipeT")

StandIn = Callable[[], Any]
"""Returns the pipe that is to run instead of another one, or None if none is any more."""

_NOBODY: Mapping[Any, StandIn] = MappingProxyType({})

stand_ins: ContextVar[Mapping[Any, StandIn]] = ContextVar(
    "justpipe_actors_stand_ins", default=_NOBODY
)
"""Who stands in for which pipe in this context."""


def stand_in_of(pipe: PipeT) -> PipeT | None:
    """Return the pipe that is to run instead of this one, in this context."""
    found = stand_ins.get().get(pipe)
    instead: PipeT | None = found() if found is not None else None
    return instead
