"""What is not to be stored, without changing what is seen."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from ..abc import Redact
from ..codec import to_plain
from ..events import Event


REDACTED = "[redacted]"
"""Stands for what was not stored."""


def redact_keys(*names: str) -> Redact:
    """Return a ``persist_redact`` that hides the values under some keys.

    Keys of mappings and fields of objects count alike, at any depth of the payload and
    of the meta, whatever their case.
    """
    hidden = frozenset(name.casefold() for name in names)

    def redact(event: Event) -> Event:
        return replace(
            event,
            payload=_masked(to_plain(event.payload), hidden),
            meta=_masked(to_plain(event.meta), hidden),
        )

    return redact


def _masked(value: Any, hidden: Collection[str]) -> Any:
    if isinstance(value, dict):
        return {
            key: REDACTED if key.casefold() in hidden else _masked(inner, hidden)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_masked(inner, hidden) for inner in value]
    return value


def redacted(redact: Redact, event: Event) -> tuple[Event, BaseException | None]:
    """Return the event as it may be stored, and what went wrong.

    When anything does, its content is left out: what was to be hidden must not leak.
    An interrupt is no exception to that; whoever calls has to pass it on.
    """
    try:
        found: object = redact(event)
        if isinstance(found, Event) and found.seq == event.seq:
            return found, None
        problem: BaseException = TypeError("it must return the event, with its seq")
    except BaseException as error:  # noqa: BLE001, ASYNC103 - it is returned
        problem = error
    return replace(event, payload=REDACTED, meta=None), problem  # noqa: ASYNC104
