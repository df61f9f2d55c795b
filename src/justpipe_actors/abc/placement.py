"""Protocols of placements, which run steps' functions: loop, thread or remote.

A *local* placement shares memory with the event loop.  It runs a call and returns what
the call returned, the object itself.

A *remote* placement does not.  The engine packs a call into a ``Call``: the function and
its arguments as bytes, and everything that has to go along.  The placement transports
it, lets ``call.run()`` do the work on the other side, and transports the ``Outcome``
back.  The engine unpacks it: changes of the state are merged, errors are raised.  So a
placement needs to know nothing about pipelines::

    engine             placement                        other side
    ------             ---------                        ----------
    Call  ----------->  transport  ------------------->  outcome = call.run()
    Outcome  <--------  transport  <-------------------  return outcome
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar, runtime_checkable

import attrs

from .._util.lazy_classes import frozen


T = TypeVar("T")

LogReport = Callable[[Mapping[str, Any]], None]
"""Takes one log record of a remote function as plain data."""


@frozen(kw_only=True)
class RemoteFailure:
    """An exception of a remote function; plain data."""

    kind: str
    """Name of the exception's class."""
    text: str
    """Message of the exception."""
    traceback: str
    """Its traceback on the other side."""
    exception: bytes | None
    """The exception as pickle writes it; None when it cannot be pickled."""


@frozen(kw_only=True)
class Outcome:
    """The result of a call; plain data that can be pickled."""

    value: bytes | None = None
    """The pickled return value; None if the function failed."""
    failure: RemoteFailure | None = None
    """The exception of the function; None if it returned."""
    state: bytes | None = None
    """The parts of the state that it changed; None when it changed none."""
    context: bytes | None = None
    """The same for the context."""
    records: tuple[Mapping[str, Any], ...] = ()
    """Its log records, when they were not reported while it ran."""


@frozen(kw_only=True)
class Call:
    """One call of a step's function; plain data that can be pickled."""

    execute: Callable[[Call, LogReport | None], Outcome]
    """What ``run`` calls: a function of the engine, found by its name."""
    owner: str
    """Tells the process that made the call from all others."""
    run_id: str
    """Id of the run."""
    pipe: str
    """Name of its pipe."""
    step: str
    """Name of the step."""
    invocation: str | None
    """Id of the invocation."""
    attempt: int
    """1 for the first attempt."""
    backend: str
    """The event loop that asynchronous functions run on: ``asyncio`` or ``trio``."""
    pickler: str
    """The module that pickles the arguments and the results."""
    function: bytes
    """The pickled function."""
    module: str
    """The module that it is defined in."""
    module_root: str | None = None
    """The folder from which that module can be imported on this machine."""
    arguments: bytes
    """Its arguments by name, without state and context."""
    state: bytes | None = None
    """The state, when the function asks for it."""
    state_parameter: str | None = None
    """The parameter that receives it."""
    context: bytes | None = None
    """The context, when the function asks for it."""
    context_parameter: str | None = None
    """The parameter that receives it."""
    variables: tuple[tuple[str, str, bytes], ...] = ()
    """Context variables: module, name in it, value."""
    keys: str | None = None
    """Prefix of the invocation's idempotency keys."""
    trace: Mapping[str, str] = attrs.field(factory=dict)
    """The OpenTelemetry context, as its propagators write it."""
    log_level: int = 0
    """Level of the root logger."""

    def run(self, report: LogReport | None = None) -> Outcome:
        """Call the function in this process and return what became of it.

        It raises nothing that the function raises.  Call it in a thread without a
        running event loop.

        Args:
            report: takes each log record at once; without it they are in the outcome.
        """
        return self.execute(self, report)


@frozen(kw_only=True)
class PlacementOwner:
    """Facts about the owner that a placement is opened for."""

    name: str
    """Name for messages."""


@runtime_checkable
class Placement(Protocol):
    """Runs functions of steps, locally or remotely.

    One that is remote may also have

    - ``pickler: str``: the module with the ``dumps`` that pickles functions and values
      for it; without it, ``pickle``.
    - ``check(func) -> str | None``: says why a function cannot run there, and what to
      do about it; asked when the pipe is validated.
    """

    name: str
    """Its name in ``@pipe.step(placement=...)``."""
    is_remote: bool
    """Whether functions get copies of their arguments there."""

    def open(self, owner: PlacementOwner, /) -> AbstractAsyncContextManager[Placement]:
        """Return a block in which calls can be made; what it started ends with it.

        The block is entered before the first call and left after the last one, in one
        task.  Calls go to the placement that it yields, or to this one if that is None.

        Args:
            owner: the run or supervisor that the calls belong to.
        """
        ...

    async def call(self, call: Call, /) -> Outcome:
        """Let a call run and return its outcome.

        When the awaiting task is cancelled, what runs there is stopped first.

        Raises:
            PlacementLost: what ran it is gone, and the outcome with it.
        """
        ...


@runtime_checkable
class LocalPlacement(Protocol):
    """Runs synchronous functions that share memory with the loop."""

    name: str
    """Its name in ``@pipe.step(placement=...)``."""

    async def run_sync(self, call: Callable[[], T], /) -> T:
        """Run a call to its end and return its result or raise its exception.

        The call already carries the run's context variables.
        When the awaiting task is cancelled the placement either waits for the call or
        makes sure that its result can no longer be seen.
        """
        ...


AnyPlacement = Placement | LocalPlacement
"""Values of ``@pipe.step(placement=...)`` besides a name."""


def is_remote(placement: AnyPlacement) -> bool:
    """Tell whether functions get copies of their arguments in a placement."""
    return bool(getattr(placement, "is_remote", False))
