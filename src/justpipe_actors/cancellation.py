"""A flag that asks a run to stop, set from anywhere and read by the steps."""

from __future__ import annotations

import threading

from .errors import PipelineCancelled


class CancellationToken:
    """Cancel a run cooperatively: steps stop at their next ``checkpoint()``.

    It needs no event loop: build it anywhere, cancel it from any thread.
    A token derived with ``child()`` is cancelled with its parent, not the other way
    round, so one run can be cancelled without the others of its pipe.

    Examples:
        >>> token = CancellationToken()
        >>> child = token.child()
        >>> token.cancel("the user left")
        >>> child.reason
        'the user left'
    """

    __slots__ = ("_lock", "_parents", "_reason")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parents: tuple[CancellationToken, ...] = ()
        self._reason: str | None = None

    def child(self, *others: CancellationToken) -> CancellationToken:
        """Return a token that is cancelled when this one, or one of the others, is."""
        token = CancellationToken()
        token._parents = (self, *others)
        return token

    def cancel(self, reason: str = "Cancelled") -> None:
        """Request cancellation; the first reason is kept, later calls do nothing."""
        with self._lock:
            if self._reason is None:
                self._reason = reason

    def is_cancelled(self) -> bool:
        """Tell whether this token or one that it derives from was cancelled."""
        return self.reason is not None

    @property
    def reason(self) -> str | None:
        """The reason of the cancellation; None while the token is not cancelled."""
        if self._reason is not None:
            return self._reason
        for parent in self._parents:
            if (reason := parent.reason) is not None:
                return reason
        return None

    async def checkpoint(self) -> None:
        """Raise ``PipelineCancelled`` when cancelled, else return without yielding."""
        if (reason := self.reason) is not None:
            raise PipelineCancelled(reason)

    def __repr__(self) -> str:
        return f"<CancellationToken {self.reason or 'not cancelled'!r}>"
