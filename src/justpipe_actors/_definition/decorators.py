"""The decorators that register steps: one for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, overload

from ..errors import DefinitionError
from ..events import NodeKind
from ..shape import BarrierType
from .names import label_of, name_of, names_of
from .options import Join, check_window, options_of, routes_of
from .registry import Registry
from .signature import hints_of
from .steps import StepDef


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
                lets another one in), ``placement`` ("thread" moves a sync function off
                the loop),
                ``breaks`` (errors that mean that a resource is broken, by parameter),
                ``routes`` (steps that its answers may lead to, for drawings); the rest
                goes to middleware as ``StepContext.kwargs`` (see ``middleware.reads``).

        Raises:
            DefinitionError: something about it cannot be.
        """
        join = Join(barrier_timeout, barrier_type, on_error)
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
            **kwargs: as for ``step``.

        Raises:
            DefinitionError: something about it cannot be.
        """
        self._refuse_bare("map", name)
        if each is None:
            msg = "@pipe.map needs each=, the step to run for every item."
            raise DefinitionError(msg)
        check_window(max_concurrency)
        worker = name_of(each, role="each=", step=str(name or "map"))
        return self._decorate(
            NodeKind.MAP,
            name,
            Join(barrier_timeout, barrier_type, on_error),
            kwargs,
            to=to,
            each=worker,
            max_concurrency=max_concurrency or None,
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
            Join(barrier_timeout, barrier_type, on_error),
            kwargs,
            routes=routes_of(to, label),
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
        join = Join(barrier_timeout, barrier_type, on_error)
        return self._decorate(NodeKind.SUB, name, join, kwargs, to=to, child=pipeline)

    def _refuse_bare(self, kind: str, name: object) -> None:
        self.registry.check_open()
        if name is not None and not isinstance(name, str):
            msg = f"@pipe.{kind} needs arguments: write @pipe.{kind}(...)."
            raise DefinitionError(msg)

    def _decorate(
        self,
        kind: NodeKind,
        name: str | None,
        join: Join,
        kwargs: dict[str, Any],
        *,
        to: Any = None,
        **parts: Any,
    ) -> Callable[[FuncT], FuncT]:
        registry = self.registry
        registry.check_open()
        targets = names_of(to, str(name or kind.value))

        def register(func: FuncT) -> FuncT:
            label = label_of(name, func)
            registry.check_free(label)
            injection = registry.injection_of(func, label)
            handler = registry.handler_of(join.on_error, label)
            options = options_of(func, label, join, kwargs, handler)
            registry.add_step(
                StepDef(
                    name=label,
                    kind=kind,
                    func=func,
                    injection=injection,
                    wants=hints_of(func, label),
                    options=options,
                    to=targets,
                    **parts,
                )
            )
            return func

        return register
