"""The state of one invocation: when its copy is made, committed and discarded."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING

import attrs

from .._plan.plan import MapNode, Node
from .._plan.state_copies import Copier, is_fixed
from .._plan.state_merge import difference
from .._plan.state_parts import ATOMS
from .._plan.step_results import FailStep, StepResult
from .._util.lazy_classes import define
from .._util.user_objects import call_or, warn_or_log
from ..cancellation import CancellationToken
from ..errors import ChangedItemWarning
from .isolation import IsolatedState, StateCopy


if TYPE_CHECKING:
    from .run_state import RunState


class ItemCheck:
    """Detects that a map worker changes its item: such changes are not merged."""

    def __init__(self, item: object, before: object) -> None:
        self._item = item
        self._before = before

    @classmethod
    def of(cls, item: object) -> ItemCheck | None:
        """Return a check of an item; None for one that cannot change or be copied."""
        if type(item) in ATOMS:
            return None
        before = call_or(item, Copier().copy, item)
        return None if before is item else cls(item, before)

    def warn_if_changed(self, step: str) -> None:
        """Warn, if the item has changed."""
        if difference(self._before, self._item) is None:
            return
        changed = ChangedItemWarning(step)
        warn_or_log(str(changed), warnings.warn, changed)


@define(eq=False, repr=False)
class InvocationState:
    """The state of one invocation, as its function and its handlers see it."""

    run_state: RunState
    isolation: IsolatedState
    """The state of the run."""
    node: Node
    has_conflicted: bool = attrs.field(default=False, init=False)
    """Whether its commit has conflicted with another step's; a second one is final."""
    is_source_open: bool = attrs.field(default=False, init=False)
    """Whether it is a map and its function still produces items, on this copy."""
    item_check: ItemCheck | None = attrs.field(default=None, init=False)
    """Checks whether a worker changes its item; None if that is not checked."""
    _copy: StateCopy | None = attrs.field(default=None, init=False)
    _tries: int = attrs.field(default=0, init=False)

    @property
    def state(self) -> object:
        """The state that the invocation works on, copied at the first access."""
        if self._copy is None:
            self._copy = self.isolation.open(is_alone=self._is_alone)
        return self._copy.value

    @property
    def _is_alone(self) -> bool:
        """Whether it may change the state in place.

        What a map's function returns may be parts of the state, given to workers.  A
        journal may store the state at any time.
        """
        run_state = self.run_state
        is_only = run_state.tokens == 1 and run_state.journal is None
        return is_only and not isinstance(self.node, MapNode)

    @property
    def copied(self) -> object:
        """The copy that the invocation has, None when it has none."""
        return None if self._copy is None else self._copy.value

    def adopt(self, copied: object, base: object) -> None:
        """Continue with a copy that was made before the process crashed.

        Args:
            copied: what the invocation works on.
            base: the state that the copy was made from.
        """
        self._copy = self.isolation.adopt(copied, base)

    @property
    def context(self) -> object:
        """The run's context."""
        return self.run_state.context

    @property
    def token(self) -> CancellationToken:
        """The run's cancellation token."""
        return self.run_state.token

    def start_try(self, given: object) -> object:
        """Return the state for one more call of the same function, by ``retries=``.

        Args:
            given: what the function was first called with.
        """
        self._tries += 1
        if self._tries == 1:
            return given
        self.close()
        return self.state

    def commit(self, result: StepResult) -> StepResult:
        """Commit the changes, or discard them if the invocation failed.

        Returns:
            The result; the failure instead when the changes cannot be merged.
        """
        if isinstance(result, FailStep):
            self.close()
            return result
        if self.item_check is not None:
            self.item_check.warn_if_changed(self.node.name)
        copy, self._copy = self._copy, None
        try:
            if copy is not None:
                self.isolation.commit(copy, self.node.name)
        except Exception as error:  # noqa: BLE001 - a merge function may raise anything
            return FailStep(error)
        return result

    def commit_function(self) -> None:
        """Commit the changes of a switch's function, before the route is chosen.

        Raises:
            Exception: the changes cannot be merged.
        """
        copy, self._copy = self._copy, None
        try:
            if copy is not None:
                self.isolation.commit(copy, self.node.name)
        except BaseException:
            self.has_conflicted = True
            raise

    def commit_before(self, items: object) -> None:
        """Commit the changes of a function, before workers or a child run begin.

        Args:
            items: what is mapped over; None for a child run.

        Raises:
            Exception: the changes cannot be merged.
        """
        copy = self._copy
        if copy is None:
            return
        is_map = items is not None
        if copy.is_original and is_map:
            self._copy = None
            if not is_fixed(items):
                self.isolation.detach()
            return
        try:
            self.isolation.commit_and_keep(copy, self.node.name)
        except BaseException:
            self.has_conflicted = True
            self.close()
            raise
        self.is_source_open = inspect.isgenerator(items) or inspect.isasyncgen(items)
        if is_map and not self.is_source_open:
            self.close()  # workers may change the items, which are parts of it

    def item_for_worker(self, item: object) -> object:
        """Return a copy of a map's item, because the source may still change it.

        A worker gets an item that cannot be copied itself.
        """
        return call_or(item, Copier().copy, item)

    def close(self) -> None:
        """Discard the changes since the last commit."""
        copy, self._copy = self._copy, None
        if copy is not None:
            self.isolation.discard(copy)
