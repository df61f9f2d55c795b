"""Conversion of users' values in durable runs to JSON and back, by their types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import WeakSet

from .._plan.plan import Plan
from .._util.storable import Codec, Storable
from .._util.storable_values import Plain
from ..meta import Meta


class StorableValues:
    """Converts states, contexts, items and other values to JSON values and back.

    Every ``dump_`` method raises ``NotStorable`` with the path of the value;
    every ``load_`` method raises ``UnreadableDataError`` when the data do not fit.

    Args:
        types: classes of values that may be stored without an annotation.
    """

    def __init__(self, types: Iterable[type] = ()) -> None:
        self._storable = Storable(types, blanks=(Meta,))
        self._known_plans: WeakSet[Plan] = WeakSet()

    def state_codec(self, plan: Plan) -> Codec:
        """Return the codec for the states of a plan's runs."""
        self._allow_classes_of(plan)
        return self._storable.codec(plan.state_type, "state")

    def dump_state(self, plan: Plan, state: object) -> Plain:
        """Return a copy of a run's state as a JSON value, by the pipe's state type."""
        self._allow_classes_of(plan)
        return self.dump(state, plan.state_type, "state")

    def load_state(self, plan: Plan, value: Plain) -> Any:
        """Return the state from its JSON value."""
        self._allow_classes_of(plan)
        return self.load(value, plan.state_type, "state")

    def _allow_classes_of(self, plan: Plan) -> None:
        """Allow the classes of a plan's items and results where no type is declared.

        A state without declared fields may hold results of workers.
        """
        if plan in self._known_plans:
            return
        self._known_plans.add(plan)
        for worker, hint in (*plan.item_types.items(), *plan.result_types.items()):
            self._storable.codec(hint, f"value of '{worker}'")

    def dump_context(self, plan: Plan, context: object) -> Plain:
        """Return a context as a JSON value; an attribute typed ``Meta`` is left out."""
        return self.dump(context, self._context_type(plan, context), "context")

    def load_context(self, plan: Plan, value: Plain) -> Any:
        """Return the context from its JSON value, with a newly bound ``Meta``."""
        return self.load(value, self._context_type(plan, value), "context")

    def dump_item(self, plan: Plan, worker: str, item: object) -> Plain:
        """Return a map item as a JSON value, by its worker's free parameter."""
        return self.dump(item, plan.item_types.get(worker, Any), f"item of '{worker}'")

    def load_item(self, plan: Plan, worker: str, value: Plain) -> Any:
        """Return the item from its JSON value."""
        return self.load(value, plan.item_types.get(worker, Any), f"item of '{worker}'")

    def dump_value(self, value: object, where: str) -> Plain:
        """Return any other value as a JSON value; error paths start with ``where``."""
        return self.dump(value, Any, where)

    def load_value(self, value: Plain) -> Any:
        """Return the value from the result of ``dump_value``."""
        return self.load(value, Any, "value")

    def dump(self, value: object, hint: object, where: str) -> Plain:
        """Return a value as a JSON value, by its annotation ``hint``."""
        return self._storable.codec(hint, where).encode(value)

    def load(self, value: Plain, hint: object, where: str) -> Any:
        """Return the value from its JSON value, by its annotation ``hint``."""
        return self._storable.codec(hint, where).decode(value)

    def _context_type(self, plan: Plan, context: object) -> object:
        # A run without a context is legal on a pipe that declares one.
        return type(None) if context is None else plan.context_type
