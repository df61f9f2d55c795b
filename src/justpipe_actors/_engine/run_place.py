"""The place of one run among those that may be at work, given back while it only waits.

::

    at work ── only questions and timed waits are left ──> place given back
       ^                                                         |
       └── place granted, in its turn <── answer or due time ────┘

A run and its child runs share one place.  A callback of the event loop checks whether
they only wait, after each commit that may have changed it.  An answer to a run without
its place is held until the run has one again, so no step begins without a place.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from .._util.lazy_classes import define
from .run_state import RunState, waits_of


RequestPlace = Callable[[Callable[[], None]], Callable[[], None] | None]
"""Requests a place, and calls the given function when there is one.

Returns what withdraws the request; None if the place was granted at once.
"""


@define(eq=False, repr=False)
class RunPlace:
    """The place of one run and its children."""

    give_back: Callable[[], None]
    """Lets another run have the place."""
    request_again: RequestPlace
    """Requests a place again."""
    call_soon: Callable[[Callable[[], None]], None]
    """Calls a function in the event loop."""
    members: list[RunState]
    """The run, and its child runs at work."""
    is_given_back: bool = attrs.field(default=False, init=False)
    """Whether another run may have the place."""
    _held: list[Callable[[], None]] = attrs.field(factory=list, init=False)
    _withdraw: Callable[[], None] | None = attrs.field(default=None, init=False)
    _is_look_requested: bool = attrs.field(default=False, init=False)
    _has_ended: bool = attrs.field(default=False, init=False)

    def look_soon(self) -> None:
        """Give the place back soon, if only waits are left at that time."""
        if not self._is_look_requested and not self.is_given_back:
            self._is_look_requested = True
            self.call_soon(self._look)

    def _look(self) -> None:
        self._is_look_requested = False
        if self._has_ended or self.is_given_back:
            return
        for member in self.members:
            waits_of(member)  # creates the waits, which report each finished message
        if any(map(_has_wait, self.members)) and all(map(_only_waits, self.members)):
            self.is_given_back = True
            self.give_back()

    def resume(self, func: Callable[[], None]) -> None:
        """Call a function when the run has its place again; runs wait in turn."""
        self._held.append(func)
        if self._withdraw is None:
            self._withdraw = self.request_again(self._granted)

    def _granted(self) -> None:
        self._withdraw, self.is_given_back = None, False
        held, self._held = self._held, []
        for func in held:
            func()
        self.look_soon()

    def end(self) -> bool:
        """End with the run; return whether the run still has its place."""
        self._has_ended = True
        self._held.clear()
        if self._withdraw is not None:
            self._withdraw()
        has_place, self.is_given_back = not self.is_given_back, False
        return has_place


def _has_wait(run_state: RunState) -> bool:
    """Return whether a question or a timed wait of a run is open."""
    waits = run_state.waits
    return waits is not None and any(not wait.is_over for wait in waits.open_waits)


def _only_waits(run_state: RunState) -> bool:
    """Return whether nothing of a run is queued and no user code is at work."""
    if run_state.halted or not run_state.tokens:
        return False
    waits = run_state.waits
    between = 0 if waits is None else len(waits.between)
    at_work = run_state.active_invocations
    if run_state.tokens != between + len(at_work):
        return False
    return all(invocation.is_resting for invocation in at_work)
