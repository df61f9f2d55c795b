"""What a function that runs elsewhere can ask for by ``ask``, ``once`` and the like.

Questions, timers and kept results are the run's, and the run is in another process: they
are refused with a sentence.  An idempotency key is only a text, so its beginning goes
along with the call.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn

import attrs

from ..errors import RemoteUnavailable
from ..waiting import Duration, current_waiting


@attrs.frozen
class RemoteWaiting:
    """How code of a call waits in a worker: not at all."""

    keys: str | None
    """What the invocation's idempotency keys begin with."""

    async def ask(
        self, form: Any, note: str, key: str, seconds: Duration | None
    ) -> NoReturn:
        """Refuse to ask a question."""
        raise RemoteUnavailable(_ASK)

    async def sleep_until(self, moment: Duration | datetime, key: str) -> NoReturn:
        """Refuse to wait for a moment."""
        raise RemoteUnavailable(_SLEEP_UNTIL)

    async def once(self, key: str, call: Callable[[], object], func: Any) -> NoReturn:
        """Refuse to keep a result."""
        raise RemoteUnavailable(_ONCE)

    def idempotency_key(self, key: str) -> str:
        """Return the text that the step would get where the run is."""
        if self.keys is None:
            raise RemoteUnavailable(_IDEMPOTENCY_KEY)
        return f"{self.keys}{key}"


_ASK, _SLEEP_UNTIL, _ONCE = "ask()", "sleep_until()", "once()"
_IDEMPOTENCY_KEY = "idempotency_key()"


def capture_keys() -> str | None:
    """Return what the idempotency keys of the current invocation begin with."""
    find = current_waiting.get(None)
    return None if find is None else find().idempotency_key("")


def enter_remote_scope(keys: str | None) -> None:
    """Let the code of a call ask for what it can have in a worker."""
    waiting = RemoteWaiting(keys)
    current_waiting.set(lambda: waiting)
