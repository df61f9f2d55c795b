"""Calls with resources: leased before a function is called, and released after it.

A stream or a generator uses its resources after the call, so they are released when it
has ended or was dropped.  An exception that means that a resource is broken takes that
instance out of use.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Generator, Mapping
from contextvars import ContextVar
from types import GeneratorType
from typing import TYPE_CHECKING, Any, cast

import attrs

from .._plan.plan import ResourceNode
from .._plan.resource_injection import Breaks, Function
from .._util.async_generators import OnStreamEnd, Stream, stream_through, wrap_stream
from .._util.callables import is_async_generator_function
from .._util.lazy_classes import define


if TYPE_CHECKING:
    from .resource import Lease
    from .resource_pool import ResourcePool


current_pool: ContextVar[ResourcePool] = ContextVar("justpipe_actors_resource_pool")
"""The pool that the running code leases resources from; set for every run."""


awaited_resource: ContextVar[str | None] = ContextVar(
    "justpipe_actors_awaited_resource", default=None
)
"""The resource that the running code waits for, so that a snapshot can tell."""


def with_resources(
    func: Function, dependencies: Mapping[str, ResourceNode], breaks: Breaks
) -> Function:
    """Return a function that leases its resources for each call."""
    if is_async_generator_function(func):

        async def start(arguments: dict[str, Any]) -> tuple[Stream, OnStreamEnd]:
            leases = await _acquire_all(dependencies, breaks)
            return func(**arguments, **leases.values()), leases.release

        return wrap_stream(func, start)

    @functools.wraps(func)
    async def with_leases(**arguments: Any) -> Any:
        leases = await _acquire_all(dependencies, breaks)
        try:
            result = func(**arguments, **leases.values())
            if inspect.isawaitable(result):
                result = await result
        except BaseException as error:
            leases.release(error)
            raise
        return _release_after(result, leases)

    return with_leases


async def _acquire_all(
    dependencies: Mapping[str, ResourceNode], breaks: Breaks
) -> _Leases:
    """Acquire all resources in order; release those already acquired if one fails."""
    pool = current_pool.get()
    leases = _Leases(breaks)
    try:
        for parameter, node in dependencies.items():
            awaited_resource.set(node.name)
            leases.open_leases[parameter] = await pool.acquire(node)
    except BaseException:
        leases.release()
        raise
    finally:
        awaited_resource.set(None)
    return leases


@define(eq=False, repr=False)
class _Leases:
    """The leases of one call."""

    breaks: Breaks
    open_leases: dict[str, Lease] = attrs.field(factory=dict, init=False)

    def values(self) -> dict[str, object]:
        """Return the arguments."""
        return {parameter: lease.value for parameter, lease in self.open_leases.items()}

    def release(self, error: BaseException | None = None) -> None:
        """Release all leases, once; report those that the error breaks as broken."""
        open_leases, self.open_leases = self.open_leases, {}
        for parameter, lease in open_leases.items():
            kinds = self.breaks.get(parameter, ())
            if isinstance(error, Exception) and _matches(error, kinds):
                lease.report_broken(error)
            lease.release()


def _matches(error: Exception, kinds: tuple[type[Exception], ...]) -> bool:
    if isinstance(error, kinds):
        return True
    return isinstance(error, ExceptionGroup) and error.subgroup(kinds) is not None


# -- streams and generators use resources after the call


def _release_after(result: object, leases: _Leases) -> object:
    """Release the leases now, or when the returned stream or generator has ended."""
    if isinstance(result, GeneratorType):
        wrapped: object = _release_when_exhausted(result, leases)
    elif inspect.isasyncgen(result):
        items = cast("Stream", result)

        async def start(_arguments: dict[str, Any]) -> tuple[Stream, OnStreamEnd]:
            return items, leases.release

        wrapped = stream_through(start)
    else:
        leases.release()
        return result
    # A generator that never began runs none of its own cleanup.
    weakref.finalize(wrapped, leases.release).atexit = False
    return wrapped


def _release_when_exhausted(items: Generator[Any], leases: _Leases) -> Generator[Any]:
    failure: BaseException | None = None
    try:
        yield from items
    except BaseException as error:
        failure = error
        raise
    finally:
        leases.release(failure)
