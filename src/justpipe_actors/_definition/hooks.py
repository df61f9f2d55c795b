"""The decorators and calls that register what belongs to no step."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, overload

from ..abc import EventHook, Middleware, ObserverProtocol
from ..errors import PipelineValidationWarning
from ..shape import resolve_name
from .names import label_of
from .registry import Registry
from .resources import define_resource


FuncT = TypeVar("FuncT", bound=Callable[..., Any])


class HookDecorators:
    """The half of a ``Pipe`` that listens, prepares, cleans up and wraps."""

    registry: Registry
    """Where they are registered."""

    @property
    def middleware(self) -> tuple[Middleware, ...]:
        """The middleware, first to last; a view."""
        return self.registry.middleware

    def on_startup(self, func: FuncT) -> FuncT:
        """Call this before the first step of every run."""
        _doubt_generator(func)
        self.registry.add_startup(func)
        return func

    def on_shutdown(self, func: FuncT) -> FuncT:
        """Call this when a run ends, however it ends."""
        _doubt_generator(func)
        self.registry.add_shutdown(func)
        return func

    def on_error(self, func: FuncT) -> FuncT:
        """Ask this when a step fails and has no handler of its own, or that failed too."""
        self.registry.set_error_hook(func)
        return func

    @overload
    def resource(
        self,
        func: FuncT,
        *,
        name: str | None = None,
        eager: bool = False,
        shutdown: float = 5.0,
        start_timeout: float = 60.0,
    ) -> FuncT: ...
    @overload
    def resource(
        self,
        func: None = None,
        *,
        name: str | None = None,
        eager: bool = False,
        shutdown: float = 5.0,
        start_timeout: float = 60.0,
    ) -> Callable[[FuncT], FuncT]: ...
    def resource(
        self,
        func: Any = None,
        *,
        name: str | None = None,
        eager: bool = False,
        shutdown: float = 5.0,
        start_timeout: float = 60.0,
    ) -> Any:
        """Register something that is opened once and shared: a session, a pool, a model.

        The function returns an async context manager, or is an async generator function
        that yields once.  It is entered and left in one task, and its own parameters
        are other resources.  Steps, hooks and handlers receive its value by a parameter
        of its name, or else of the type it is declared to yield.  Define it above them.

        Inside a ``Supervisor`` all runs share it until the supervisor is closed; a run
        on its own opens and closes it for itself.

        Args:
            func: the function.
            name: the resource's name; the function's by default.
            eager: open it before the first run, and again as soon as it is broken.
            shutdown: seconds it may take to close.
            start_timeout: seconds it may take to open.

        Raises:
            DefinitionError: the name is taken, or no parameter can have it.
        """

        def register(func: Any) -> Any:
            label = label_of(name, func)
            times = {"shutdown": shutdown, "start_timeout": start_timeout}
            resource = define_resource(label, func, eager=eager, **times)
            self.registry.add_resource(resource)
            return func

        return register if func is None else register(func)

    def add_middleware(self, middleware: Middleware) -> None:
        """Wrap every step's function in one more layer, the outermost."""
        self.registry.add_middleware(middleware)

    def add_event_hook(self, hook: EventHook) -> None:
        """Let a function rewrite every event before it is seen."""
        self.registry.add_event_hook(hook)

    def add_observer(self, observer: ObserverProtocol) -> None:
        """Let an object hear everything.

        Raises:
            TypeError: it lacks a hook, or one is not ``async def``.
        """
        self.registry.add_observer(observer)


def _doubt_generator(func: Callable[..., Any]) -> None:
    """Warn of a hook that yields: calling it makes a generator, and runs nothing."""
    if inspect.isasyncgenfunction(func) or inspect.isgeneratorfunction(func):
        warnings.warn(
            f"Hook '{resolve_name(func)}' yields, so nothing in it would ever run. "
            "Remove the yield, or make it a @pipe.resource, which is opened and closed.",
            PipelineValidationWarning,
            stacklevel=3,
        )
