"""What a run streams, as text: tokens to read, events as lines of JSON."""

from __future__ import annotations

import json
from dataclasses import replace

from ..codec import event_to_plain, to_text
from ..events import Event, EventType


HAVE_STATE = (EventType.START, EventType.STEP_END)
"""Events whose payload is the state."""


def token_text(payload: object) -> str:
    """Return a token to be written: text as it is, anything else as a line of JSON."""
    return payload if isinstance(payload, str) else f"{to_text(payload)}\n"


def event_line(event: Event, *, has_state: bool) -> str:
    """Return an event as a line of JSON, the state left out unless it is wanted.

    The state grows with the run and would be written again with every step.
    """
    if event.type in HAVE_STATE and not has_state:
        event = replace(event, payload=None)
    return f"{json.dumps(event_to_plain(event))}\n"
