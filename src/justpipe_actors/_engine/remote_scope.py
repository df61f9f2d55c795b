"""The functions ``ask``, ``once`` and the like, inside a remote call.

Questions, timers and recorded results belong to the run, which is in another process, so
they are refused with an error.  An idempotency key is only a text, so its prefix is sent
with the call.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn

from .._util.lazy_classes import frozen
from ..errors import RemoteUnavailable
from ..waiting import Duration, Waiting, current_waiting


@frozen
class RemoteWaiting(Waiting):
    """Refuses the waits of code in a worker; it only makes idempotency keys."""

    keys: str | None
    """Prefix of the invocation's idempotency keys; None if there is none."""

    async def ask(
        self, form: Any, note: str, key: str, seconds: Duration | None
    ) -> NoReturn:
        """Refuse to ask a question."""
        raise RemoteUnavailable(_ASK)

    async def sleep_until(self, moment: Duration | datetime, key: str) -> NoReturn:
        """Refuse to wait for a time."""
        raise RemoteUnavailable(_SLEEP_UNTIL)

    async def once(self, key: str, call: Callable[[], object], func: Any) -> NoReturn:
        """Refuse to record a result."""
        raise RemoteUnavailable(_ONCE)

    def idempotency_key(self, key: str) -> str:
        """Return the same key that the step would get in the run's process."""
        if self.keys is None:
            raise RemoteUnavailable(_IDEMPOTENCY_KEY)
        return f"{self.keys}{key}"


_ASK, _SLEEP_UNTIL, _ONCE = "ask()", "sleep_until()", "once()"
_IDEMPOTENCY_KEY = "idempotency_key()"


def capture_keys() -> str | None:
    """Return the prefix of the current invocation's idempotency keys."""
    find = current_waiting.get(None)
    return None if find is None else find().idempotency_key("")


def enter_remote_scope(keys: str | None) -> None:
    """Set the scope in which the code of a call makes its keys."""
    waiting = RemoteWaiting(keys)
    current_waiting.set(lambda: waiting)
