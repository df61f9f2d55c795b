"""The children of one supervisor: started in order, watched, stopped in reverse.

A child's exception is data until it has happened too often.  Then supervision gives up
and the owner raises ``RestartIntensityExceeded`` into *its* owner, with the cause: what
was decided here is visible as data, and what could not be decided here goes up as every
exception does.  Nesting needs nothing else, because an inner supervisor that raises is
a child of the outer one that has ended.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import anyio
import attrs

from ..errors import DefinitionError, SupervisionError
from .child import Child, ChildSpec, ChildStatistics
from .restarts import Policy, recent
from .watch import Owner, Watch


@attrs.define(eq=False, repr=False)
class Children:
    """The children of one supervisor, in start order."""

    policy: Policy
    """How ends are judged."""
    draw: Callable[[], float] = random.random
    """A number from 0 to 1 for every wait."""
    _specs: list[ChildSpec] = attrs.field(factory=list, init=False)
    _watch: Watch | None = attrs.field(default=None, init=False)

    @property
    def failure(self) -> SupervisionError | None:
        """Why supervision gave up."""
        return self._watch.failure if self._watch is not None else None

    def __iter__(self) -> Iterator[Child]:
        family = self._watch.family if self._watch is not None else {}
        return iter(tuple(family.values()))

    def add(self, spec: ChildSpec) -> None:
        """Add a child behind the others; while open, it is started soon.

        Raises:
            DefinitionError: the name is taken.
        """
        if any(one.name == spec.name for one in (*self, *self._specs)):
            msg = (
                f"There is a service '{spec.name}' already; give this one another name."
            )
            raise DefinitionError(msg)
        if self._watch is None:
            self._specs.append(spec)
        else:
            self._watch.adopt(spec)

    async def open(self, owner: Owner) -> None:
        """Start all children in order, each when the one before is ready; then watch.

        Raises:
            ChildStartFailed: one did not get ready; those before it are stopped again.
        """
        watch = self._watch = Watch(self.policy, self.draw, owner)
        for spec in self._specs:
            watch.adopt(spec)
        self._specs.clear()
        try:
            await self._start_all(owner)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._stop_all()
            raise
        watch.begin()

    async def _start_all(self, owner: Owner) -> None:
        for child in self:
            failure = await child.start(owner.spawn)
            if failure is not None:
                raise failure

    async def aclose(self) -> None:
        """Stop watching, then stop all children in reverse; the caller shields this."""
        if self._watch is not None:
            await self._watch.end()
        await self._stop_all()

    async def _stop_all(self) -> None:
        for child in reversed(tuple(self)):
            await child.stop()

    def wind_down(self) -> None:
        """Restart nobody any more who failed because no new runs are taken.

        A poller would fail again when it is restarted, and while a supervisor drains
        that is no reason to give up.  Who fails of something else is needed until the
        last run has ended, and judged as ever.
        """
        if self._watch is not None:
            self._watch.is_winding_down = True

    def statistics(self) -> tuple[ChildStatistics, ...]:
        """Return how every child is doing, in start order."""
        if self._watch is None:
            return ()
        now = self._watch.owner.now()
        counted = recent(self._watch.restarts, self.policy.period, now)
        names = [name for _, name in counted]
        return tuple(child.statistics(names.count(child.name)) for child in self)
