"""Remote calls: running a step's function in a placement, seen from the engine.

``place_remotely`` returns an asynchronous function with the same parameters.  It packs
its arguments into a ``Call``, passes the call to a placement, merges the changes of the
state and of the context, and returns or raises the outcome.  Middleware wraps it, so each
attempt of ``retries=`` packs the current values again.

A placement is opened and closed as a resource of the supervisor, or of the event loop for
runs without a supervisor.
"""

from __future__ import annotations

import functools
import logging
import pickle
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import attrs
import sniffio

from .._definition.steps import StepDef
from .._plan.merge_rules import Rule, root_rule
from .._plan.plan import ResourceNode
from .._plan.state_merge import (
    Conflict,
    applied,
    assign,
    difference,
    merged,
    path_text,
)
from .._supervision.resource_calls import current_pool
from .._util.lazy_classes import define, frozen
from .._util.portable_context import capture_trace, capture_variables
from .._util.portable_logs import handle_record
from .._util.text import safe_str
from .._util.user_objects import call_or
from ..abc import Call, Outcome, Placement, PlacementOwner, RemoteFailure
from ..errors import DefinitionError, NotPicklable, RemoteError, StateConflict
from ..meta import current_run_notes, current_step_notes
from ..specs import InjectionSource
from .remote_execution import THIS_PROCESS, dumped, execute
from .remote_scope import capture_keys


START_TIMEOUT = 120.0
"""Seconds that a placement may take to open; connecting to a cluster is slow."""

SHUTDOWN_TIMEOUT = 10.0
"""Seconds that a placement may take to close."""


def place_remotely(
    step: StepDef, placement: Placement, rule: Rule | None
) -> Callable[..., object]:
    """Return a function that runs a step's function in a remote placement.

    Args:
        step: the step.
        placement: the placement that runs its function.
        rule: the merge rule of the state; None uses the rule of its class.
    """
    remote = RemoteFunction(step, placement, rule)
    if remote.pickler == "pickle":  # another pickler may be slow to import
        _ = remote.function  # report an unpicklable function before the run

    @functools.wraps(step.func)
    async def placed(**arguments: object) -> object:
        return await remote.call(arguments)

    return placed


def placement_node(placement: Placement) -> ResourceNode:
    """Return the resource that keeps a placement open."""
    return ResourceNode(
        name=f"placement {placement.name}",
        func=_Opener(placement),
        shutdown=SHUTDOWN_TIMEOUT,
        start_timeout=START_TIMEOUT,
    )


@frozen
class _Opener:
    """Opens a placement; equal for equal placements, so that steps share it."""

    placement: Placement = attrs.field(eq=id)

    def __call__(self) -> AbstractAsyncContextManager[Placement]:
        return self.placement.open(PlacementOwner(name="the supervisor or event loop"))


@define(eq=False, repr=False)
class RemoteFunction:
    """Packs and unpacks the remote calls of one step's function."""

    step: StepDef
    placement: Placement
    """The placement that runs the function."""
    rule: Rule | None = None
    """Merge rule of the state; None uses the rule of its class."""
    _node: ResourceNode = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda self: placement_node(self.placement), takes_self=True
        ),
    )

    def _parameter(self, source: InjectionSource) -> str | None:
        found = [name for name, one in self.step.injection.items() if one is source]
        return found[0] if found else None

    @cached_property
    def state_parameter(self) -> str | None:
        """The parameter that receives the state."""
        return self._parameter(InjectionSource.STATE)

    @cached_property
    def context_parameter(self) -> str | None:
        """The parameter that receives the context."""
        return self._parameter(InjectionSource.CONTEXT)

    @cached_property
    def pickler(self) -> str:
        """Name of the module that pickles for the placement."""
        return getattr(self.placement, "pickler", "pickle")

    @cached_property
    def module(self) -> str:
        """The name of the module that the function is defined in."""
        func: Any = self.step.func
        return str(getattr(getattr(func, "func", func), "__module__", ""))

    @cached_property
    def module_root(self) -> str | None:
        """The folder from which a worker on this machine can import that module.

        A test runner may have loaded the module by its path, without ``sys.path``.
        """
        file = getattr(sys.modules.get(self.module), "__file__", None)
        parts = tuple(self.module.split("."))
        path = Path(file or "").with_suffix("")
        if file is None or path.parts[-len(parts) :] != parts:
            return None
        return str(path.parents[len(parts) - 1])

    @cached_property
    def function(self) -> bytes:
        """The function, pickled once."""
        try:
            return dumped(self.step.func, self.pickler)
        except Exception as error:
            msg = (
                f"Step '{self.step.name}' cannot run in placement "
                f"'{self.placement.name}': its function cannot be pickled: "
                f"{safe_str(error)}. Define it at the top level of a module."
            )
            raise DefinitionError(msg, step_name=self.step.name) from error

    async def call(self, arguments: dict[str, object]) -> object:
        """Run the function in the placement, and return its result."""
        lease = await current_pool.get().acquire_shared(self._node)
        try:
            opened = self.placement if lease.value is None else lease.value
            return await self.call_in(cast("Placement", opened), arguments)
        finally:
            lease.release()

    async def call_in(self, opened: Placement, arguments: dict[str, object]) -> object:
        """Run the function in an open placement, and return its result."""
        state = arguments.pop(self.state_parameter or "", None)
        context = arguments.pop(self.context_parameter or "", None)
        call = self._packed(arguments, state, context)
        outcome = await opened.call(call)
        return self._unpacked(call, outcome, state, context)

    def _packed(
        self, arguments: Mapping[str, object], state: object, context: object
    ) -> Call:
        run, notes = current_run_notes.get(None), current_step_notes.get(None)
        run_id, pipe = (run.about if run else None) or ("", "")
        _, invocation_id, attempt = (notes.about if notes else None) or ("", None, 1)
        return Call(
            execute=execute,
            owner=THIS_PROCESS,
            run_id=run_id,
            pipe=pipe,
            step=self.step.name,
            invocation=invocation_id,
            attempt=attempt,
            backend=sniffio.current_async_library(),
            pickler=self.pickler,
            function=self.function,
            module=self.module,
            module_root=self.module_root,
            arguments=self._dumped(arguments, "item"),
            state=self._dumped(state, "state") if self.state_parameter else None,
            state_parameter=self.state_parameter,
            context=self._dumped(context, "context")
            if self.context_parameter
            else None,
            context_parameter=self.context_parameter,
            variables=capture_variables(),
            keys=capture_keys(),
            trace=capture_trace(),
            log_level=logging.root.level,
        )

    def _dumped(self, value: object, what: str) -> bytes:
        try:
            return dumped(value, self.pickler)
        except Exception as error:
            raise NotPicklable(self.step.name, what, safe_str(error)) from error

    def _unpacked(
        self, call: Call, outcome: Outcome, state: object, context: object
    ) -> object:
        for record in outcome.records:
            handle_record(record)
        if outcome.failure is not None:
            raise exception_of(outcome.failure)
        self._merge(state, call.state, outcome.state, self.rule)
        self._merge(context, call.context, outcome.context, None)
        return None if outcome.value is None else pickle.loads(outcome.value)

    def _merge(
        self,
        current: object,
        before: bytes | None,
        pickled: bytes | None,
        rule: Rule | None,
    ) -> None:
        """Merge the function's changes into the current value, changed meanwhile."""
        if before is None or pickled is None:
            return
        base, change = pickle.loads(before), pickle.loads(pickled)
        if rule is not None:  # the worker used the rule of the class
            change = difference(base, applied(base, change), rule)
        if change is None:
            return
        try:
            result = merged(base, current, change, rule or root_rule(type(current)))
        except Conflict as conflict:
            part = path_text(conflict.path)
            other = "another step"
            raise StateConflict(
                part, self.step.name, other, conflict.problem
            ) from conflict
        assign(current, result)


def exception_of(failure: RemoteFailure) -> BaseException:
    """Return the exception of a remote function, with its traceback as a note."""
    error: BaseException | None = None
    if failure.exception is not None:
        error = call_or(None, pickle.loads, failure.exception)
    if not isinstance(error, BaseException):
        error = RemoteError(failure.kind, failure.text, failure.traceback)
    error.add_note(f"Remote traceback\n{failure.traceback}")
    return error
