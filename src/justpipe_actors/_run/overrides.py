"""Who runs in place of a pipe; only tests ever put anybody here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TypeVar


PipeT = TypeVar("PipeT")

Override = Callable[[], Any]
"""Returns the pipe that is to run instead of another one, or None if none is any more."""

_NO_OVERRIDES: Mapping[Any, Override] = MappingProxyType({})

active_overrides: ContextVar[Mapping[Any, Override]] = ContextVar(
    "justpipe_actors_stand_ins", default=_NO_OVERRIDES
)
"""Who stands in for which pipe in this context."""


def override_of(pipe: PipeT) -> PipeT | None:
    """Return the pipe that is to run instead of this one, in this context."""
    found = active_overrides.get().get(pipe)
    override: PipeT | None = found() if found is not None else None
    return override
