"""The one converter: anything becomes JSON-safe plain data, and known types come back.

Writing is ``plain``'s work, never fails, and is said there.  Reading is cattrs' work:
``from_plain`` builds any of this package's records again, and any attrs class or
dataclass whose fields have types.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar

import cattrs

from .errors import UnreadableDataError
from .events import Event, EventType
from .outcomes import PipelineTerminalStatus
from .plain import CUT, CYCLE, LIMITS, Limits, to_plain
from .records import OpenStatus, RunStatus


__all__ = [
    "CUT",
    "CYCLE",
    "EVENT_KEYS",
    "LIMITS",
    "Limits",
    "converter",
    "event_to_plain",
    "from_plain",
    "from_text",
    "to_plain",
    "to_text",
]

T = TypeVar("T")


def to_text(value: object, limits: Limits = LIMITS) -> str:
    """Return a value as JSON text, ASCII only."""
    return json.dumps(to_plain(value, limits))


def from_plain(data: object, kind: type[T]) -> T:
    """Build a value of a known type from what ``to_plain`` made of one.

    Raises:
        UnreadableDataError: the data do not fit the type.
    """
    try:
        return converter.structure(data, kind)
    except Exception as error:
        raise UnreadableDataError(kind.__name__, str(error)) from error


def from_text(text: str, kind: type[T]) -> T:
    """Build a value of a known type from JSON text.

    Raises:
        UnreadableDataError: it is no JSON, or does not fit the type.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UnreadableDataError(kind.__name__, str(error)) from error
    return from_plain(data, kind)


EVENT_KEYS = (
    "type",
    "stage",
    "timestamp",
    "run_id",
    "origin_run_id",
    "parent_run_id",
    "seq",
    "node_kind",
    "invocation_id",
    "parent_invocation_id",
    "owner_invocation_id",
    "attempt",
    "scope",
    "meta",
    "payload",
)
"""The keys of an event's JSON object, in their order."""


def event_to_plain(event: Event) -> dict[str, Any]:
    """Return an event as a JSON object with its keys in the order of ``EVENT_KEYS``."""
    return {key: to_plain(getattr(event, key)) for key in EVENT_KEYS}


def _converter() -> cattrs.Converter:
    made = cattrs.Converter()
    made.register_unstructure_hook_func(lambda _: True, to_plain)
    made.register_structure_hook_func(lambda kind: kind is object, lambda data, _: data)
    made.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
    made.register_structure_hook(timedelta, lambda s, _: timedelta(seconds=s))
    made.register_structure_hook(
        RunStatus, lambda word, _: _first(word, OpenStatus, PipelineTerminalStatus)
    )
    made.register_structure_hook(
        EventType | str, lambda word, _: _first(word, EventType, str)
    )
    return made


def _first(data: object, *kinds: Callable[[Any], Any]) -> Any:
    """Build the first of some types that takes the data."""
    for kind in kinds[:-1]:
        with suppress(ValueError):
            return kind(data)
    return kinds[-1](data)


converter = _converter()
"""The cattrs converter behind this page, for types that need a hook of their own."""
