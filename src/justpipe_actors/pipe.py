"""``Pipe``: the decorators and ``run()``; where the definition meets the engine."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic, Literal, Protocol, TypeVar, overload

from ._definition.names import label_of, name_of, names_of, resolve_name
from ._definition.registry import Registry
from ._definition.signature import analyze
from ._definition.steps import Options, StepDef
from ._plan import checks, graph
from ._plan.compile import Settings, compile_plan
from ._plan.fingerprint import fingerprint
from ._plan.nodes import Plan
from ._run.run import Order
from ._run.stream import RunStream
from .abc import EventHook, Middleware, ObserverProtocol, Placement
from .cancellation import CancellationToken
from .errors import DefinitionError, PipelineValidationWarning
from .events import NodeKind
from .failures import FailureClassificationConfig
from .middleware import tenacity_retry_middleware
from .placements import ThreadPlacement
from .shape import BarrierType, StepInfo
from .signals import Stop


StateT = TypeVar("StateT")
ContextT = TypeVar("ContextT")
FuncT = TypeVar("FuncT", bound=Callable[..., Any])

OnFailure = Literal["prune", "continue", "stop"]
Target = str | Callable[..., Any]
Targets = Target | Sequence[Target] | None

TRUTHY = ("1", "true", "yes", "on")
"""What an environment variable says to mean yes."""


class Renderer(Protocol):
    """Draws a pipeline."""

    def render(self, steps: Any, topology: Any, **hooks: Any) -> str:
        """Return the drawing as text."""
        ...


class Pipe(Generic[StateT, ContextT]):
    """A pipeline: decorate functions with it, then run it.

    Args:
        state_type: type of the state; parameters typed so, or as a base, receive it.
        context_type: the same for the context.
        name: names the pipe in hashes, observers and messages.
        strict: doubtful definitions are errors and not warnings.
        allow_multi_root: several steps without parents are meant.
        middleware: wraps every step's function; a list replaces the default (retries).
        queue_size: events that may wait for the consumer; 0 or less is unbounded.
        max_map_items: most items of one map; None is 100,000.
        cancellation_token: cancels every run of this pipe, cooperatively.
        failure_classification: how failures are attributed.
        metadata: readable through ``Meta.pipeline`` and ``describe()``.
        max_retries: most attempts of one invocation that ``Retry()`` can lead to.
        on_failure: what an unhandled failure does to the rest of the run: ``prune`` its
            successors, ``continue`` with them, or ``stop`` everything.
        log_state: whether error logs show the state; a function returns what to show.

    Raises:
        DefinitionError: ``on_failure`` is none of the three.
    """

    def __init__(  # noqa: PLR0913 - the reference's constructor, for drop-in use
        self,
        state_type: type[StateT] | Any = None,
        context_type: type[ContextT] | Any = None,
        *,
        name: str = "Pipe",
        strict: bool = True,
        allow_multi_root: bool = False,
        middleware: list[Middleware] | None = None,
        queue_size: int = 1000,
        max_map_items: int | None = None,
        debug: bool | None = None,
        cancellation_token: CancellationToken | None = None,
        failure_classification: FailureClassificationConfig | None = None,
        metadata: dict[str, Any] | None = None,
        persist: bool | None = None,
        flush_interval: int | None = None,
        max_retries: int = 100,
        on_failure: OnFailure = "prune",
        log_state: bool | Callable[[Any], str] = True,
    ) -> None:
        if on_failure not in ("prune", "continue", "stop"):
            msg = (
                f"on_failure must be 'prune', 'continue' or 'stop', not {on_failure!r}."
            )
            raise DefinitionError(msg)
        self.name = name
        self.strict = strict
        self.allow_multi_root = allow_multi_root
        self.queue_size = queue_size
        self.cancellation_token = cancellation_token or CancellationToken()
        self.state_type: Any = state_type or type(None)
        self.context_type: Any = context_type or type(None)
        wrapped = [tenacity_retry_middleware] if middleware is None else middleware
        self.registry = Registry(self.state_type, self.context_type, tuple(wrapped))
        self.debug = _flag(debug, "JUSTPIPE_ACTORS_DEBUG")
        self.persist = _flag(persist, "JUSTPIPE_ACTORS_PERSIST")
        self.flush_interval = flush_interval
        for asked, option in ((self.debug, "debug"), (self.persist, "persist")):
            if asked:
                _warn_unavailable(option)
        self._log_state = log_state
        self._settings = Settings(
            name=name,
            on_failure=on_failure,
            max_retries=max_retries,
            max_map_items=max_map_items or 100_000,
            metadata=MappingProxyType(dict(metadata or {})),
            classification=failure_classification or FailureClassificationConfig(),
            placements={"thread": ThreadPlacement()},
        )
        self._compiled: tuple[int, Plan] | None = None
        self._validated: set[tuple[int, str | None, bool, bool]] = set()

    @property
    def middleware(self) -> tuple[Middleware, ...]:
        """The middleware, first to last; a view."""
        return self.registry.middleware

    # -- nodes

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
                once), ``placement`` ("thread" moves a sync function off the loop); the
                rest goes to middleware as ``StepContext.kwargs``.

        Raises:
            DefinitionError: something about it cannot be.
        """
        join = (barrier_timeout, barrier_type, on_error)
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
        if not _is_count(max_concurrency or None):
            msg = (
                f"max_concurrency must be a positive integer, not {max_concurrency!r}."
            )
            raise DefinitionError(msg)
        worker = name_of(each, role="each=", step=str(name or "map"))
        return self._decorate(
            NodeKind.MAP,
            name,
            (barrier_timeout, barrier_type, on_error),
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
            (barrier_timeout, barrier_type, on_error),
            kwargs,
            routes=_routes(to, label),
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
        join = (barrier_timeout, barrier_type, on_error)
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
        join: tuple[float | None, BarrierType | None, Callable[..., Any] | None],
        kwargs: dict[str, Any],
        *,
        to: Any = None,
        **parts: Any,
    ) -> Callable[[FuncT], FuncT]:
        self.registry.check_open()
        targets = names_of(to, str(name or kind.value))

        def register(func: FuncT) -> FuncT:
            label = label_of(name, func)
            self.registry.check_free(label)
            injection = self._analyzed(func, label, 1)
            step = StepDef(
                name=label,
                kind=kind,
                func=func,
                injection=injection,
                options=self._options(func, label, join, dict(kwargs)),
                to=targets,
                **parts,
            )
            self.registry.add_step(step)
            return func

        return register

    def _analyzed(self, func: Callable[..., Any], label: str, unknown: int) -> Any:
        return analyze(
            func,
            self.state_type,
            self.context_type,
            unknown_allowed=unknown,
            step=label,
        )

    def _options(
        self,
        func: Callable[..., Any],
        label: str,
        join: tuple[float | None, BarrierType | None, Callable[..., Any] | None],
        extra: dict[str, Any],
    ) -> Options:
        timeout, barrier_type, on_error = join
        options = Options(
            barrier_timeout=timeout,
            barrier_type=barrier_type or BarrierType.ALL,
            on_error=self.registry.hook(on_error, f"{label}.on_error")
            if on_error
            else None,
            timeout=extra.pop("timeout", None),
            retries=extra.pop("retries", 0),
            concurrency=extra.pop("concurrency", None),
            placement=extra.pop("placement", None),
            extra=extra,
        )
        _check_options(func, label, options)
        return options

    # -- hooks

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

    # -- looking at it

    @property
    def topology(self) -> dict[str, list[str]]:
        """Static successors by step, for the steps that have some; a copy."""
        return {n: list(s.to) for n, s in self.registry.steps.items() if s.to}

    def steps(self) -> Iterator[StepInfo]:
        """Describe the steps in order of registration."""
        for step in self.registry.steps.values():
            options = step.options
            yield StepInfo(
                name=step.name,
                timeout=options.timeout,
                retries=options.retries,
                barrier_timeout=options.barrier_timeout,
                has_error_handler=options.on_error is not None,
                targets=sorted(step.targets),
                kind=step.kind.value,
                sub_pipeline_hash=_hash_of(step.child),
            )

    @property
    def pipeline_hash(self) -> str:
        """16 hex characters over name, steps and static edges."""
        return fingerprint(self.name, self.registry.steps)

    def describe(self) -> dict[str, Any]:
        """Return the definition as JSON-style data."""
        steps = list(self.steps())
        aimed_at = {target for targets in self.topology.values() for target in targets}
        return {
            "name": self.name,
            "pipeline_hash": self.pipeline_hash,
            "nodes": {info.name: _described(info) for info in steps},
            "topology": self.topology,
            "roots": [info.name for info in steps if info.name not in aimed_at],
            "metadata": dict(self._settings.metadata),
            "hooks": self._hooks(),
        }

    def _hooks(self) -> dict[str, Any]:
        registry = self.registry
        hooks: dict[str, Any] = {
            "startup": [resolve_name(hook.func) for hook in registry.startup_hooks],
            "shutdown": [resolve_name(hook.func) for hook in registry.shutdown_hooks],
            "on_error": resolve_name(registry.error_hook.func)
            if registry.error_hook
            else None,
        }
        return {role: names for role, names in hooks.items() if names}

    def graph(self, renderer: Renderer) -> str:
        """Return a drawing of the pipeline."""
        return renderer.render(
            self.registry.steps,
            self.topology,
            startup_hooks=[hook.func for hook in self.registry.startup_hooks],
            shutdown_hooks=[hook.func for hook in self.registry.shutdown_hooks],
        )

    def validate(
        self,
        start: Target | None = None,
        strict: bool | None = None,  # noqa: FBT001 - the reference's signature
        allow_multi_root: bool | None = None,  # noqa: FBT001
    ) -> None:
        """Check the definition; all problems are reported together.

        Raises:
            DefinitionError: there is one; a ``DefinitionErrorGroup`` for several.
        """
        steps = self.registry.steps
        edges = graph.edges_of(steps)
        question = checks.Question(
            steps=steps,
            state_type=self.state_type,
            start=None if start is None else _start_name(start),
            strict=self.strict if strict is None else strict,
            allow_multi_root=(
                self.allow_multi_root if allow_multi_root is None else allow_multi_root
            ),
            edges=edges,
            roots=graph.roots_of(edges),
        )
        checks.validate(question)

    def plan(self) -> Plan:
        """Return the compiled pipeline; compiled once per version of the definition.

        Raises:
            DefinitionError: it cannot be compiled.
        """
        version = self.registry.version
        if self._compiled is None or self._compiled[0] != version:
            self._compiled = (version, compile_plan(self.registry, self._settings))
        return self._compiled[1]

    # -- running it

    def run(
        self,
        state: StateT | Any,
        context: ContextT | Any = None,
        start: Target | None = None,
        queue_size: int | None = None,
        timeout: float | None = None,
    ) -> RunStream:
        """Return one run; it begins when it is entered, iterated or waited for.

        Args:
            state: passed by reference to every step.
            context: passed to every step that asks for it.
            start: where to begin, instead of at the roots.
            queue_size: events that may wait for the consumer; 0 is unbounded.
            timeout: seconds the steps may take; hooks are not counted.

        Raises:
            DefinitionError: when it begins, if the pipe is wired wrongly.
        """

        def prepare() -> Order:
            return self.order(state, context, start, queue_size, timeout)

        return RunStream(prepare)

    def order(
        self,
        state: Any,
        context: Any = None,
        start: Target | None = None,
        queue_size: int | None = None,
        timeout: float | None = None,
    ) -> Order:
        """Validate, compile and freeze the definition; return what a run needs to know.

        Raises:
            DefinitionError: the pipe is wired wrongly.
        """
        self._validate_once(start)
        plan = self.plan()
        self.registry.finalize()
        return Order(
            plan=plan,
            state=state,
            context=context,
            start=None if start is None else _start_name(start),
            capacity=self.queue_size if queue_size is None else queue_size,
            timeout=timeout,
            token=self.cancellation_token,
            hooks=self.registry.event_hooks,
            observers=self.registry.observers,
            log_state=self._log_state,
        )

    def _validate_once(self, start: Target | None) -> None:
        label = None if start is None else _start_name(start)
        key = (self.registry.version, label, self.strict, self.allow_multi_root)
        if key not in self._validated:
            self.validate(start=start)
            self._validated.add(key)

    def __repr__(self) -> str:
        return f"<Pipe {self.name!r} with {len(self.registry.steps)} steps>"


def _flag(value: object, variable: str) -> bool:
    if value is not None:
        return bool(value)
    return os.environ.get(variable, "").strip().lower() in TRUTHY


def _warn_unavailable(option: str) -> None:
    """Say that an option is accepted and does nothing: silence would be a lie."""
    text = (
        f"Pipe({option}=True) has no effect in this version; "
        "add an observer with pipe.add_observer() instead."
    )
    warnings.warn(text, PipelineValidationWarning, stacklevel=4)


def _start_name(start: Target) -> str:
    try:
        return resolve_name(start)
    except ValueError as error:
        msg = f"run(start=...) must be a step's name or function, not {start!r}."
        raise DefinitionError(msg) from error


def _routes(to: Any, label: str) -> Any:
    if isinstance(to, Mapping):
        routes = {
            value: Stop
            if target is Stop
            else name_of(target, role="a route", step=label)
            for value, target in to.items()
        }
        return MappingProxyType(routes)
    if callable(to):
        return to
    msg = f"Switch '{label}' needs to=, a dict of routes or a function."
    raise DefinitionError(msg, step_name=label)


def _check_options(func: Callable[..., Any], label: str, options: Options) -> None:
    if not _is_count(options.concurrency):
        msg = f"Step '{label}': concurrency must be an integer of at least 1."
        raise DefinitionError(msg, step_name=label)
    placement: object = options.placement
    if not (placement is None or isinstance(placement, (str, Placement))):
        msg = (
            f"Step '{label}': placement must be a name or a Placement, "
            f"not {type(placement).__name__}."
        )
        raise DefinitionError(msg, step_name=label)
    if placement not in (None, "here") and _is_async(func):
        msg = (
            f"Step '{label}': placement={placement!r} is for synchronous "
            "functions; an async one already shares the loop."
        )
        raise DefinitionError(msg, step_name=label)


def _is_count(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_async(func: Any) -> bool:
    inner = getattr(func, "func", func)
    faces = (func, inner, getattr(inner, "__call__", None))  # noqa: B004 - its code
    return any(
        inspect.iscoroutinefunction(face) or inspect.isasyncgenfunction(face)
        for face in faces
    )


def _hash_of(child: Any) -> str | None:
    return child.pipeline_hash if isinstance(child, Pipe) else None


def _described(info: StepInfo) -> dict[str, Any]:
    node: dict[str, Any] = {"kind": info.kind, "targets": info.targets}
    if info.timeout is not None:
        node["timeout"] = info.timeout
    if info.retries:
        node["retries"] = info.retries
    if info.barrier_timeout is not None:
        node["barrier_timeout"] = info.barrier_timeout
    if info.has_error_handler:
        node["has_error_handler"] = True
    if info.sub_pipeline_hash:
        node["sub_pipeline_hash"] = info.sub_pipeline_hash
    return node
