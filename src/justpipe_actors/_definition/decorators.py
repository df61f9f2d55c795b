"""The decorators and calls that register what belongs to no step."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, overload

from ..abc import EventHook, Middleware, ObserverProtocol
from ..errors import DefinitionError, PipelineValidationWarning
from ..events import NodeKind
from ..specs import BarrierType, resolve_name
from .injection import parameter_types_of
from .names import name_of, step_name_of, target_names
from .placed_steps import check_placement
from .registry import Registry
from .resources import define_resource
from .steps import (
    JoinSettings,
    StepDef,
    build_options,
    build_routes,
    check_collect,
    check_window,
)


FuncT = TypeVar("FuncT", bound=Callable[..., Any])

Target = str | Callable[..., Any]
"""What names a step: its name, or its function."""

Targets = Target | Sequence[Target] | None
"""What may follow a step."""


class StepDecorators:
    """The half of a ``Pipe`` that turns functions into steps."""

    registry: Registry
    """Where they are registered."""

    @overload
    def step(self, name: FuncT, **kwargs: Any) -> FuncT: ...
    @overload
    def step(
        self,
        name: str | None = None,
        to: Targets = None,
        barrier_timeout: float | None = None,
        barrier_type: BarrierType | None = None,
        on_error: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> Callable[[FuncT], FuncT]: ...
    def step(
        self,
        name: Any = None,
        to: Any = None,
        barrier_timeout: float | None = None,
        barrier_type: BarrierType | None = None,
        on_error: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Register a function as a step.

        Args:
            name: the step's name; the function's by default.
            to: the step or steps that follow it, by name or function.
            barrier_timeout: seconds to wait for all parents, from the first one on.
            barrier_type: wait for ALL parents (default) or ANY of them.
            on_error: called when the step fails; its result counts as the step's.
            **kwargs: ``timeout`` (seconds), ``retries``, ``concurrency`` (activations at
                once; 1 is no lock, as one that waits at a ``yield`` for a slow consumer
                lets another one in), ``placement`` (where the function runs: "thread",
                "process", "ray", or a ``Placement``),
                ``breaks`` (errors that mean that a resource is broken, by parameter),
                ``routes`` (steps that its answers may lead to, for drawings); the rest
                goes to middleware as ``StepContext.kwargs`` (see ``middleware.reads``).

        Raises:
            DefinitionError: something about it cannot be.
        """
        join = JoinSettings(barrier_timeout, barrier_type, on_error)
        if callable(name) and not isinstance(name, str):
            self._decorate(NodeKind.STEP, None, join, kwargs, to=to)(name)
            return name
        return self._decorate(NodeKind.STEP, name, join, kwargs, to=to)

    def map(  # noqa: PLR0913 - the reference's decorator
        self,
        name: str | None = None,
        each: Target | None = None,
        to: Targets = None,
        barrier_timeout: float | None = None,
        barrier_type: BarrierType | None = None,
        on_error: Callable[..., Any] | None = None,
        max_concurrency: int | None = None,
        collect: str | None = None,
        **kwargs: Any,
    ) -> Callable[[FuncT], FuncT]:
        """Register a step whose result is mapped over by the step ``each``.

        Args:
            name: as for ``step``.
            each: the worker, started once per item.
            to: runs when all workers have finished.
            barrier_timeout: as for ``step``.
            barrier_type: as for ``step``.
            on_error: as for ``step``.
            max_concurrency: most workers at once; 1,024 by default.
            collect: field or key of the state that receives what the workers returned,
                in item order, when the map completes.  Items that failed or were
                skipped are left out.  A text that a worker returns is a value then, and
                names no step.
            **kwargs: as for ``step``.

        Raises:
            DefinitionError: something about it cannot be.
        """
        self._refuse_bare("map", name)
        if each is None:
            msg = "@pipe.map needs each=, the step to run for every item."
            raise DefinitionError(msg)
        check_window(max_concurrency)
        check_collect(collect)
        worker = name_of(each, role="each=", step=str(name or "map"))
        return self._decorate(
            NodeKind.MAP,
            name,
            JoinSettings(barrier_timeout, barrier_type, on_error),
            kwargs,
            to=to,
            each=worker,
            max_concurrency=max_concurrency or None,
            collect=collect,
        )

    def switch(
        self,
        name: str | None = None,
        to: Mapping[Any, Any] | Callable[..., Any] | None = None,
        default: Target | None = None,
        barrier_timeout: float | None = None,
        barrier_type: BarrierType | None = None,
        on_error: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> Callable[[FuncT], FuncT]:
        """Register a step whose result chooses the next one.

        Args:
            name: as for ``step``.
            to: a dict from results to steps (or ``Stop``), or a function doing the same.
            default: where to go when nothing matches.
            barrier_timeout: as for ``step``.
            barrier_type: as for ``step``.
            on_error: as for ``step``.
            **kwargs: as for ``step``.

        Raises:
            DefinitionError: something about it cannot be.
        """
        self._refuse_bare("switch", name)
        label = str(name or "switch")
        return self._decorate(
            NodeKind.SWITCH,
            name,
            JoinSettings(barrier_timeout, barrier_type, on_error),
            kwargs,
            routes=build_routes(to, label),
            default=name_of(default, role="default=", step=label) if default else None,
        )

    def sub(
        self,
        name: str | None = None,
        pipeline: Any = None,
        to: Targets = None,
        barrier_timeout: float | None = None,
        barrier_type: BarrierType | None = None,
        on_error: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> Callable[[FuncT], FuncT]:
        """Register a step whose result is the state of a run of another pipe.

        Args:
            name: as for ``step``.
            pipeline: the child pipe; its events are forwarded.
            to: runs when the child has ended well.
            barrier_timeout: as for ``step``.
            barrier_type: as for ``step``.
            on_error: as for ``step``; it is asked when the child fails, too.
            **kwargs: as for ``step``; ``timeout`` bounds the child, too.

        Raises:
            DefinitionError: something about it cannot be.
        """
        self._refuse_bare("sub", name)
        if pipeline is None:
            msg = "@pipe.sub needs pipeline=, the pipe to run."
            raise DefinitionError(msg)
        join = JoinSettings(barrier_timeout, barrier_type, on_error)
        return self._decorate(NodeKind.SUB, name, join, kwargs, to=to, child=pipeline)

    def _refuse_bare(self, kind: str, name: object) -> None:
        self.registry.check_not_frozen()
        if name is not None and not isinstance(name, str):
            msg = f"@pipe.{kind} needs arguments: write @pipe.{kind}(...)."
            raise DefinitionError(msg)

    def _decorate(
        self,
        kind: NodeKind,
        name: str | None,
        join: JoinSettings,
        kwargs: dict[str, Any],
        *,
        to: Any = None,
        **parts: Any,
    ) -> Callable[[FuncT], FuncT]:
        registry = self.registry
        registry.check_not_frozen()
        targets = target_names(to, str(name or kind.value))

        def register(func: FuncT) -> FuncT:
            label = step_name_of(name, func)
            registry.check_name_is_free(label)
            injection = registry.analyze_step(func, label)
            handler = registry.analyze_handler(join.on_error, label)
            options = build_options(label, join, kwargs, handler)
            parameter_types = parameter_types_of(func, label)
            placement = registry.placement_of(options.placement)
            check_placement(func, label, placement, injection, parameter_types)
            registry.add_step(
                StepDef(
                    name=label,
                    kind=kind,
                    func=func,
                    injection=injection,
                    parameter_types=parameter_types,
                    options=options,
                    to=targets,
                    **parts,
                )
            )
            return func

        return register


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
        _warn_about_generator(func)
        self.registry.add_startup(func)
        return func

    def on_shutdown(self, func: FuncT) -> FuncT:
        """Call this when a run ends, however it ends."""
        _warn_about_generator(func)
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
            label = step_name_of(name, func)
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


def _warn_about_generator(func: Callable[..., Any]) -> None:
    """Warn of a hook that yields: calling it makes a generator, and runs nothing."""
    if inspect.isasyncgenfunction(func) or inspect.isgeneratorfunction(func):
        warnings.warn(
            f"Hook '{resolve_name(func)}' yields, so nothing in it would ever run. "
            "Remove the yield, or make it a @pipe.resource, which is opened and closed.",
            PipelineValidationWarning,
            stacklevel=3,
        )
