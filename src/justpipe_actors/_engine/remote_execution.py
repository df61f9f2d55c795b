"""The worker's side of a remote call: unpack, call the function, pack the outcome.

It runs in a worker of a placement, which only calls ``Call.run``.  The state is
unpacked twice: once for the function, once to compute the changes afterwards.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import pickle
import sys
import traceback
from collections.abc import Callable, Mapping
from contextvars import copy_context
from typing import Any

import anyio

from .._plan.merge_rules import root_rule
from .._plan.state_merge import difference
from .._util.portable_context import restore_trace, restore_variables
from .._util.portable_logs import Report, forwarded_logs
from .._util.text import safe_str
from .._util.user_objects import call_or
from ..abc import Call, Outcome, RemoteFailure
from ..errors import NotPicklable
from .remote_scope import enter_remote_scope


THIS_PROCESS = os.urandom(8).hex()
"""Random id of this process, unique across machines."""

RECORDS_KEPT = 1000
"""Maximum number of log records in one outcome."""


def execute(call: Call, report: Report | None) -> Outcome:
    """Execute a call in this process, and return its outcome."""
    if call.owner == THIS_PROCESS:  # a thread: its log records are here already
        return copy_context().run(_execute, call)
    records: list[Mapping[str, Any]] = []

    def keep(record: Mapping[str, Any]) -> None:
        if len(records) < RECORDS_KEPT:
            records.append(record)

    facts = {"run": call.run_id, "run_id": call.run_id, "step": call.step}
    with forwarded_logs(report or keep, call.log_level, facts):
        outcome: Outcome = copy_context().run(_execute, call)
    if not records:
        return outcome
    return Outcome(
        value=outcome.value,
        failure=outcome.failure,
        state=outcome.state,
        context=outcome.context,
        records=tuple(records),
    )


def _execute(call: Call) -> Outcome:
    enter_remote_scope(call.keys)
    _make_importable(call)
    restore_variables(call.variables)
    restore_trace(call.trace)
    try:
        outcome = _called(call)
    except BaseException as error:  # noqa: ASYNC103, BLE001 - raised in the run
        outcome = Outcome(failure=_failure_of(error, call.pickler))
    return outcome


def _make_importable(call: Call) -> None:
    """Add the owner's module folder to the path if the module is not importable."""
    package, root = call.module.partition(".")[0], call.module_root
    if root is None or package in sys.modules or root in sys.path:
        return
    if importlib.util.find_spec(package) is None:
        sys.path.append(root)


def _called(call: Call) -> Outcome:
    func = pickle.loads(call.function)
    arguments: dict[str, Any] = pickle.loads(call.arguments)
    if call.state is not None and call.state_parameter is not None:
        arguments[call.state_parameter] = pickle.loads(call.state)
    if call.context is not None and call.context_parameter is not None:
        arguments[call.context_parameter] = pickle.loads(call.context)
    value = _value_of(func, arguments, call.backend)
    return Outcome(
        value=_dumped(value, call, "result"),
        state=_changes(call, call.state, arguments.get(call.state_parameter or "")),
        context=_changes(
            call, call.context, arguments.get(call.context_parameter or "")
        ),
    )


def _value_of(
    func: Callable[..., object], arguments: Mapping[str, Any], backend: str
) -> object:
    value = func(**arguments)
    if not inspect.isawaitable(value):
        return value

    async def wait() -> object:
        return await value

    return anyio.run(wait, backend=backend)


def _changes(call: Call, before: bytes | None, after: object) -> bytes | None:
    if before is None:
        return None
    base = pickle.loads(before)
    change = difference(base, after, root_rule(type(base)))
    return None if change is None else _dumped(change, call, "changed state")


def _dumped(value: object, call: Call, what: str) -> bytes:
    try:
        return dumped(value, call.pickler)
    except Exception as error:
        raise NotPicklable(call.step, what, safe_str(error)) from error


def dumped(value: object, pickler: str) -> bytes:
    """Pickle a value with a module that has ``dumps``."""
    if pickler == "pickle":
        return pickle.dumps(value)
    content: bytes = importlib.import_module(pickler).dumps(value)
    return content


def _failure_of(error: BaseException, pickler: str) -> RemoteFailure:
    where = f"process {os.getpid()} of {sys.argv[0] or 'Python'}"
    lines = "".join(traceback.format_exception(error))
    return RemoteFailure(
        kind=type(error).__name__,
        text=safe_str(error),
        traceback=f"In {where}:\n{lines}",
        exception=_pickled_exception(error, pickler),
    )


def _pickled_exception(error: BaseException, pickler: str) -> bytes | None:
    """Pickle an exception; None if unpickling would not restore it."""
    if not isinstance(error, Exception | SystemExit | KeyboardInterrupt):
        return None  # a cancellation by a loop that ended with the call
    return call_or(None, _pickled_whole, error, pickler)


def _pickled_whole(error: BaseException, pickler: str) -> bytes | None:
    pickled = dumped(error, pickler)
    return pickled if type(pickle.loads(pickled)) is type(error) else None
