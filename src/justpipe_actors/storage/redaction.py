"""Redact events before they are stored; observers see the original events."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import attrs

from ..abc import Redact
from ..codec import to_plain
from ..events import Event


_logger = logging.getLogger("justpipe_actors.persistence")

REDACTED = "[redacted]"
"""Replacement for redacted values."""


def redact_keys(*names: str) -> Redact:
    """Return a ``persist_redact`` that hides the values under some keys.

    Keys of mappings and fields of objects are both hidden, at any depth of the payload and
    of the meta, whatever their case.

    Args:
        names: the keys.

    Examples:
        >>> from justpipe_actors import Event, EventType
        >>> redact = redact_keys("password")
        >>> redact(Event(EventType.TOKEN, "login", {"user": "ada", "password": "x"})).payload
        {'user': 'ada', 'password': '[redacted]'}
    """
    hidden_names = frozenset(name.casefold() for name in names)

    def redact(event: Event) -> Event:
        return replace(
            event,
            payload=_mask_values(to_plain(event.payload), hidden_names),
            meta=_mask_values(to_plain(event.meta), hidden_names),
        )

    return redact


def _mask_values(value: Any, hidden_names: Collection[str]) -> Any:
    if isinstance(value, dict):
        return {
            key: REDACTED
            if key.casefold() in hidden_names
            else _mask_values(inner, hidden_names)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_mask_values(inner, hidden_names) for inner in value]
    return value


@attrs.define(eq=False)
class Redaction:
    """Applies the user's redaction hook to the events of one run."""

    redact: Redact
    """Rewrites events before they are stored."""
    run_id: str
    _is_warned: bool = attrs.field(default=False, init=False)

    def apply(self, event: Event) -> tuple[Event, BaseException | None]:
        """Return the event to store, and an interrupt to raise later.

        If the hook raises, the stored event has no content, because the content might
        include the data to be redacted.  This applies to interrupts as well.
        """
        try:
            redacted: object = self.redact(event)
            if isinstance(redacted, Event) and redacted.seq == event.seq:
                return redacted, None
            problem: BaseException = TypeError("it must return the event, with its seq")
        except BaseException as error:  # noqa: BLE001, ASYNC103 - it is returned
            problem = error
        self._warn(problem)
        interrupt = None if isinstance(problem, Exception) else problem
        return replace(event, payload=REDACTED, meta=None), interrupt

    def _warn(self, problem: BaseException) -> None:
        if not self._is_warned:
            self._is_warned = True
            # Log only the exception type: its message may contain data to be redacted.
            _logger.warning(
                "persist_redact failed, so events of run %s are stored empty: %s",
                self.run_id,
                type(problem).__name__,
            )
