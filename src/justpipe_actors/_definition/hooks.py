"""The decorators and calls that register what belongs to no step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..abc import EventHook, Middleware, ObserverProtocol
from .registry import Registry


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
        self.registry.add_startup(func)
        return func

    def on_shutdown(self, func: FuncT) -> FuncT:
        """Call this when a run ends, however it ends."""
        self.registry.add_shutdown(func)
        return func

    def on_error(self, func: FuncT) -> FuncT:
        """Ask this when a step fails and has no handler of its own, or that failed too."""
        self.registry.set_error_hook(func)
        return func

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
