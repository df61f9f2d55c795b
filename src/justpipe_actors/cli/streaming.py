"""What a run streams, as text: tokens to read, events as lines of JSON."""

from __future__ import annotations

import json
from dataclasses import replace

from ..codec import event_to_plain, to_text
from ..events import Event, EventType


HAVE_STATE = (EventType.START, EventType.STEP_END)
"""Events whose payload is the state."""


class TokenTexts:
    """Tokens one after the other: text as it is, anything else as a line of JSON."""

    def __init__(self) -> None:
        self.is_open = False
        """Whether the last line still lacks its end."""

    def of(self, payload: object) -> str:
        """Return what is to be written next."""
        if isinstance(payload, str):
            text = payload
        else:
            text = "\n" * self.is_open + to_text(payload) + "\n"
        self.is_open = not text.endswith("\n") if text else self.is_open
        return text


def event_line(event: Event, *, has_state: bool) -> str:
    """Return an event as a line of JSON, the state left out unless it is wanted.

    The state grows with the run and would be written again with every step.
    """
    if event.type in HAVE_STATE and not has_state:
        event = replace(event, payload=None)
    return f"{json.dumps(event_to_plain(event))}\n"
