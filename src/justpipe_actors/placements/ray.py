"""The placement on a Ray cluster, on one machine or many.

Ray is imported when the first step runs there.  Without an address a cluster that is
running on this machine is used, else one is started and stopped with the last owner.
Ray has one connection per process, so all placements share it.

A call is one Ray task without Ray's own retries, because ``retries=`` of the step sets
them.  A big state is put into the object store once and not once per call.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import threading
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import attrs

from .._backends import current_loop
from ..abc import Call, Outcome, Placement, PlacementOwner, RemoteFailure
from ..errors import MissingExtraError, PlacementLost


BIG = 100_000
"""Bytes of a state from which on it goes through the object store."""

KEPT_STATES = 8
"""Big states that stay in the object store for the next call."""

CANCEL_GRACE = 5.0
"""Seconds that a cancelled function gets before its worker is killed."""

KILL_TIMEOUT = 5.0
"""Seconds to wait for the end of a worker that is killed."""


class RayPlacement:
    """Run functions as tasks of a Ray cluster.

    Functions, states and items are pickled by Ray, so functions of ``__main__``,
    lambdas and closures can go there; modules have to be importable there.

    Args:
        address: of the cluster, as for ``ray.init``; None is a running one of this
            machine, else one that is started here.
        num_cpus: cores that a call needs.
        num_gpus: GPUs that a call needs.
        resources: other resources of the cluster that a call needs, by name.
        runtime_env: what a call needs installed there, as for ``ray.remote``.
    """

    name = "ray"
    is_remote = True
    pickler = "ray.cloudpickle"
    """Pickles functions by value if they cannot be imported."""

    def __init__(
        self,
        address: str | None = None,
        num_cpus: float = 1,
        num_gpus: float = 0,
        resources: Mapping[str, float] | None = None,
        runtime_env: Mapping[str, Any] | None = None,
    ) -> None:
        self.address = address
        self._options: dict[str, Any] = {
            "num_cpus": num_cpus,
            "num_gpus": num_gpus,
            "max_retries": 0,
        }
        if resources:
            self._options["resources"] = dict(resources)
        if runtime_env:
            self._options["runtime_env"] = dict(runtime_env)
        self._states = _StoredStates()
        self._task: Any = None

    def why_unavailable(self) -> str | None:
        """Return the remedy if Ray is missing; None if it is available."""
        if importlib.util.find_spec("ray") is None:
            return str(_missing())
        return None

    @asynccontextmanager
    async def open(self, _owner: PlacementOwner, /) -> AsyncGenerator[Placement]:
        """Return a block in which the process is connected to the cluster.

        Raises:
            MissingExtraError: Ray is not installed.
        """
        await anyio.to_thread.run_sync(_connection.open, self.address)
        try:
            task = _ray().remote(**self._options)(_run_call)
            self._task = task
            yield self
        finally:
            self._states.clear()
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_connection.close)

    async def call(self, call: Call, /) -> Outcome:
        """Run a call as a Ray task and return its outcome.

        When the awaiting task is cancelled the Ray task is cancelled: the function is
        interrupted, and its worker killed when that does not end it.

        Raises:
            PlacementLost: the worker or its machine is gone.
        """
        state = call.state
        if state is not None and len(state) >= BIG:
            call = attrs.evolve(call, state=None)
            stored: Any = self._states.put(state)
        else:
            stored = None
        reference = self._task.remote(call, stored)
        future = reference.future()
        try:
            await _wait_done(future)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await _stop(reference, future)
            raise
        return _outcome_of(future, call.step)

    def __repr__(self) -> str:
        return f"RayPlacement(address={self.address!r})"


def _run_call(call: Call, state: bytes | None) -> Outcome:
    """Run a call in a worker of Ray, with its state from the object store."""
    return (call if state is None else attrs.evolve(call, state=state)).run()


async def _wait_done(future: Any) -> None:
    loop, done = current_loop(), anyio.Event()
    future.add_done_callback(lambda _: loop.call_soon(done.set))
    await done.wait()


async def _stop(reference: Any, future: Any) -> None:
    """Interrupt a task, and kill its worker if the task does not end."""
    for force, seconds in ((False, CANCEL_GRACE), (True, KILL_TIMEOUT)):
        cancel = partial(_ray().cancel, reference, force=force)
        await anyio.to_thread.run_sync(cancel)
        with anyio.move_on_after(seconds):
            await _wait_done(future)
            return


def _outcome_of(future: Any, step: str) -> Outcome:
    errors = _ray().exceptions
    try:
        outcome: Outcome = future.result()
    except errors.RayTaskError as error:  # before or after the function itself
        cause = getattr(error, "cause", None)
        cause = error if cause is None else cause
        failure = RemoteFailure(
            kind=type(cause).__name__,
            text=str(cause),
            traceback=str(error),
            exception=None,
        )
        return Outcome(failure=failure)
    except errors.RayError as error:
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        raise PlacementLost(step, "ray", reason) from error
    return outcome


def _ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise _missing() from None


def _missing() -> MissingExtraError:
    return MissingExtraError("ray", "ray")


class _StoredStates:
    """Big states that were put into the object store, by content."""

    def __init__(self) -> None:
        self._references: OrderedDict[bytes, Any] = OrderedDict()

    def put(self, state: bytes) -> Any:
        """Return the reference of a state; the same for the same content."""
        key = hashlib.blake2b(state, digest_size=16).digest()
        reference = self._references.get(key)
        if reference is None:
            reference = self._references[key] = _ray().put(state)
            if len(self._references) > KEPT_STATES:
                self._references.popitem(last=False)
        self._references.move_to_end(key)
        return reference

    def clear(self) -> None:
        """Release all states in the object store."""
        self._references.clear()


class _Connection:
    """The connection of this process to a cluster; Ray has one per process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._is_ours = False

    def open(self, address: str | None) -> None:
        """Connect, unless the process is connected; blocks for seconds."""
        with self._lock:
            ray = _ray()
            if not ray.is_initialized():
                self._connect(ray, address)
                self._is_ours = True
            self._users += 1

    def _connect(self, ray: Any, address: str | None) -> None:
        options: dict[str, Any] = {"configure_logging": False, "log_to_driver": True}
        if address is not None:
            options["address"] = address
        else:
            options["include_dashboard"] = False
        ray.init(**options)

    def close(self) -> None:
        """Disconnect when the last user closes, if this class made the connection."""
        with self._lock:
            self._users -= 1
            if not self._users and self._is_ours:
                self._is_ours = False
                _ray().shutdown()


_connection = _Connection()
