"""``Pipe``: the public class to define a pipeline and run it.

Each decorator is a method with its full signature, for editors and type checkers; what it
does is a function of ``_definition.decorators``.  A definition is validated and compiled
by ``_plan``, and run by ``_run``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Self, Unpack, overload

import anyio
import attrs

from . import (
    _engine,
    _plan,
    _run,
    _supervision,
    observability as observability,
    storage as storage_package,
    visualization as visualization,
)
from ._backends.base import has_running_loop
from ._definition.decorators import (
    FuncT,
    define_map,
    define_shared_resource,
    define_step,
    define_sub,
    define_switch,
    is_decorated,
    on_instance,
    warn_about_generator,
)
from ._definition.injection import check_is_type
from ._definition.middleware_checks import checked_middleware
from ._definition.names import start_name
from ._definition.registry import Registry
from ._definition.steps import (
    JoinSettings,
    OnFailure,
    StateMode,
    check_failure_policy,
    check_state_mode,
    is_enabled,
)
from ._util.arguments import check_count
from ._util.environment import main_import
from ._util.notebooks import is_notebook
from ._util.text import count_text, safe_repr
from ._util.user_errors import drop_engine_frames
from .abc import AnyPlacement, EventHook, Middleware, ObserverProtocol, Redact
from .cancellation import CancellationToken
from .errors import DefinitionError, RunningLoopError
from .events import PERSIST_LIMIT
from .failures import FailureClassificationConfig
from .middleware import tenacity_retry_middleware
from .options import StepOptions
from .placements.defaults import PlacementsByName
from .specs import BarrierType, StepInfo, Target, Targets


if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import TypeVar

    from ._definition.steps import StepDef
    from ._plan.merge_rules import Rule
    from ._plan.plan import Plan, ResourceNode
    from ._plan.resource_injection import Breaks, Function
    from ._run import Overflow, RunRequest, RunStream
    from .abc import Placement, RunRecorder, StorageBackend
    from .merge import Merge, MergeFunction
    from .storage.chunk_encoder import StatePolicy
    from .storage.persistence import Persistence, Storage
    from .visualization import GraphRenderer

    _PersistenceOptions = tuple[
        str, Storage, int | None, StatePolicy, int, Redact | None
    ]
    StateT = TypeVar("StateT", default=Any)
    ContextT = TypeVar("ContextT", default=Any)
else:  # Python 3.11 knows no defaults; __class_getitem__ has this one
    from typing import TypeVar

    StateT, ContextT = TypeVar("StateT"), TypeVar("ContextT")


class Pipe(Generic[StateT, ContextT]):
    """A pipeline: decorate functions with it, then run it.

    Args:
        state_type: type of the state; parameters typed so, or as a base, receive it.
        context_type: the same for the context.
        name: names the pipe in hashes, observers and messages.
        strict: report doubtful definitions as errors instead of warnings.
        allow_multi_root: allow several steps without parents.
        middleware: wraps every step's function; a list replaces the default (retries).
        queue_size: events that may wait for the consumer; 0 or less is unbounded.
        max_map_items: maximum number of items of one map; None is 100,000.
        debug: log every run to standard error; None reads the environment variable
            ``JUSTPIPE_ACTORS_DEBUG``.
        cancellation_token: cancels every run of this pipe, cooperatively.
        failure_classification: how failures are attributed.
        metadata: readable through ``Meta.pipeline`` and ``describe()``.
        persist: store every run; None is True if ``storage`` is given, and otherwise
            reads the environment variable ``JUSTPIPE_ACTORS_PERSIST``.
        flush_interval: number of events after which they are stored at the latest; None
            or 0 stores shortly after the first, or when many are queued.
        storage: a store for this pipe alone, or a storage root; None is the default root.
        persist_state: store the state whole (``full``), what changed in it (``diff``), or
            not (``none``).
        persist_limit: characters of one payload beyond which only its beginning is stored.
        persist_redact: rewrites events before they are stored.
        max_retries: maximum number of attempts of one invocation by ``Retry()``.
        on_failure: what an unhandled failure does to the rest of the run: ``prune`` its
            successors, ``continue`` with them, or ``stop`` everything.
        log_state: whether logs show the state; a function returns what error logs show.
        state_mode: ``shared`` passes the one state object to every step; ``isolated``
            gives each invocation a copy, and merges what it changed when it succeeds.
        merge: how parts of the state are merged, by name, in addition to the ``Merge``
            annotations of its class.
        placements: placements by the names that ``@pipe.step(placement=...)`` uses, in
            addition to ``thread``, ``process`` and ``ray``.
        migrate: called with the state as plain data, and with the version of the pipe
            that stored it, when this version takes up the durable run; returns the
            state as plain data in the form of this version.

    Raises:
        DefinitionError: the value of an option is not allowed.

    Examples:
        >>> from justpipe_actors import Pipe
        >>> pipe = Pipe(dict, name="Greeting")
        >>> @pipe.step
        ... async def greet(state):
        ...     state["text"] = f"Hello {state['name']}"
        >>> pipe.run_sync({"name": "Ada"})
        {'name': 'Ada', 'text': 'Hello Ada'}
    """

    def __init__(
        self,
        state_type: type[StateT] | None = None,
        context_type: type[ContextT] | None = None,
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
        storage: Storage = None,
        persist_state: StatePolicy = "full",
        persist_limit: int = PERSIST_LIMIT,
        persist_redact: Redact | None = None,
        max_retries: int = 100,
        on_failure: OnFailure = "prune",
        log_state: bool | Callable[[Any], str] = True,
        state_mode: StateMode = "shared",
        merge: Mapping[Any, Merge | MergeFunction] | None = None,
        placements: Mapping[str, AnyPlacement] | None = None,
        migrate: Callable[[Any, str], Any] | None = None,
    ) -> None:
        check_is_type(context_type, "context")
        check_failure_policy(on_failure)
        _check_counts(
            queue_size=queue_size, max_map_items=max_map_items, max_retries=max_retries
        )
        _check_state_options(state_type, state_mode, merge)
        self.name = name
        self.strict = strict
        self.allow_multi_root = allow_multi_root
        self.queue_size = queue_size
        self.cancellation_token: CancellationToken = (
            CancellationToken() if cancellation_token is None else cancellation_token
        )
        self.state_type: Any = type(None) if state_type is None else state_type
        self.context_type: Any = type(None) if context_type is None else context_type
        layers: list[Middleware] = [tenacity_retry_middleware]
        if middleware is not None:
            layers = checked_middleware(middleware)
        places = PlacementsByName(placements or {})
        self.registry: Registry = Registry(
            self.state_type, self.context_type, tuple(layers), places
        )
        self.debug: bool = is_enabled(debug, "JUSTPIPE_ACTORS_DEBUG")
        if persist is None and storage is not None:
            persist = True
        self.persist: bool = is_enabled(persist, "JUSTPIPE_ACTORS_PERSIST")
        self.flush_interval = flush_interval
        self._persistence_options: _PersistenceOptions = (
            name,
            storage,
            flush_interval,
            persist_state,
            persist_limit,
            persist_redact,
        )
        self._check_persistence_options()
        self._log_state = log_state
        if self.debug:
            self._log_to_stderr()
        self._settings = _plan.PipeSettings(
            name=name,
            on_failure=on_failure,
            max_retries=max_retries,
            max_map_items=max_map_items or 100_000,
            metadata=MappingProxyType(dict(metadata or {})),
            classification=failure_classification or FailureClassificationConfig(),
            state_type=state_type,
            merge=merge,
            is_isolated=state_mode == "isolated",
            migrate=migrate,
            is_debug=self.debug,
            placements=places,
            place_remotely=_place_remotely,
            lease_resources=_lease_resources,
        )
        self._plans = _plan.PlanCache(self._settings)

    if not TYPE_CHECKING:

        def __class_getitem__(cls, types: Any) -> Any:
            """Let ``Pipe[State]`` leave the context's type open."""
            both = types if isinstance(types, tuple) else (types, Any)
            return super().__class_getitem__(both)

    # -- steps

    @overload
    def step(
        self,
        name: FuncT,
        to: Targets = None,
        barrier_timeout: float | None = None,
        barrier_type: BarrierType | None = None,
        on_error: Callable[..., Any] | None = None,
        **options: Unpack[StepOptions],
    ) -> FuncT: ...
    @overload
    def step(
        self,
        name: str | None = None,
        to: Targets = None,
        barrier_timeout: float | None = None,
        barrier_type: BarrierType | None = None,
        on_error: Callable[..., Any] | None = None,
        **options: Unpack[StepOptions],
    ) -> Callable[[FuncT], FuncT]: ...
    @on_instance
    def step(
        self,
        name: Any = None,
        to: Targets = None,
        barrier_timeout: float | None = None,
        barrier_type: BarrierType | None = None,
        on_error: Callable[..., Any] | None = None,
        **options: Unpack[StepOptions],
    ) -> Any:
        """Register a function as a step.

        Args:
            name: the step's name; the function's by default.
            to: the step or steps that follow it, by name or function.
            barrier_timeout: seconds to wait for all parents, from the first one on.
            barrier_type: wait for ALL parents (default) or ANY of them.
            on_error: called when the step fails; its result counts as the step's.
            **options: see ``StepOptions``: ``timeout``, ``retries``, ``concurrency`` ...

        Returns:
            The function itself, or a decorator for it.

        Raises:
            DefinitionError: an argument is invalid.
        """
        join = JoinSettings(barrier_timeout, barrier_type, on_error)
        if is_decorated(name):
            return define_step(self.registry, None, to, join, options)(name)
        return define_step(self.registry, name, to, join, options)

    @on_instance
    def map(  # noqa: PLR0917 - the reference's decorator
        self,
        name: str | None = None,
        each: Target | None = None,
        to: Targets = None,
        barrier_timeout: float | None = None,
        barrier_type: BarrierType | None = None,
        on_error: Callable[..., Any] | None = None,
        max_concurrency: int | None = None,
        collect: str | None = None,
        **options: Unpack[StepOptions],
    ) -> Callable[[FuncT], FuncT]:
        """Register a map step: the step ``each`` runs once per item of its result.

        Args:
            each: the worker, started once per item.
            to: runs when all workers have finished.
            max_concurrency: maximum number of workers at once; 1,024 by default.
            collect: field or key of the state that receives the results of the workers,
                in item order, when the map completes.  Items that failed or were
                skipped are left out.  With ``collect``, a string that a worker returns
                is a result and not the name of a step.
            name: as for ``step``.
            barrier_timeout: as for ``step``.
            barrier_type: as for ``step``.
            on_error: as for ``step``.
            **options: as for ``step``.
        """
        join = JoinSettings(barrier_timeout, barrier_type, on_error)
        return define_map(
            self.registry,
            *(name, each, to, join, options),
            max_concurrency=max_concurrency,
            collect=collect,
        )

    @on_instance
    def switch(
        self,
        name: str | None = None,
        to: Mapping[Any, Any] | Callable[..., Any] | None = None,
        default: Target | None = None,
        barrier_timeout: float | None = None,
        barrier_type: BarrierType | None = None,
        on_error: Callable[..., Any] | None = None,
        **options: Unpack[StepOptions],
    ) -> Callable[[FuncT], FuncT]:
        """Register a switch step: its result selects the next step.

        Args:
            to: a dict from results to steps (or ``Stop``), or a function doing the same.
            default: the step to go to when nothing matches.
            name: as for ``step``.
            barrier_timeout: as for ``step``.
            barrier_type: as for ``step``.
            on_error: as for ``step``.
            **options: as for ``step``.

        Returns:
            A decorator that registers the function and returns it.
        """
        join = JoinSettings(barrier_timeout, barrier_type, on_error)
        return define_switch(self.registry, name, to, default, join, options)

    @on_instance
    def sub(
        self,
        name: str | None = None,
        pipeline: Any = None,
        to: Targets = None,
        barrier_timeout: float | None = None,
        barrier_type: BarrierType | None = None,
        on_error: Callable[..., Any] | None = None,
        **options: Unpack[StepOptions],
    ) -> Callable[[FuncT], FuncT]:
        """Register a sub step: its result is the state of a run of another pipe.

        ``timeout`` also limits the child run, and ``on_error`` is also called when the
        child run fails.

        Args:
            pipeline: the child pipe; its events are forwarded.
            to: runs when the child run has succeeded.
            name: as for ``step``.
            barrier_timeout: as for ``step``.
            barrier_type: as for ``step``.
            **options: as for ``step``.

        Returns:
            A decorator that registers the function and returns it.
        """
        join = JoinSettings(barrier_timeout, barrier_type, on_error)
        return define_sub(self.registry, name, pipeline, to, join, options)

    # -- hooks, resources, middleware, observers

    @on_instance
    def on_startup(self, func: FuncT) -> FuncT:
        """Call this before the first step of every run.

        Args:
            func: the function; its parameters are injected as a step's.

        Returns:
            The function itself.
        """
        warn_about_generator(func)
        self.registry.add_startup(func)
        return func

    @on_instance
    def on_shutdown(self, func: FuncT) -> FuncT:
        """Call this when a run ends, however it ends.

        Args:
            func: the function; its parameters are injected as a step's.

        Returns:
            The function itself.
        """
        warn_about_generator(func)
        self.registry.add_shutdown(func)
        return func

    @on_instance
    def on_error(self, func: FuncT) -> FuncT:
        """Call this when a step fails and has no handler, or its handler failed too.

        Args:
            func: the function; its parameters are injected as a step's.

        Returns:
            The function itself.
        """
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
    @on_instance
    def resource(
        self,
        func: Any = None,
        *,
        name: str | None = None,
        eager: bool = False,
        shutdown: float = 5.0,
        start_timeout: float = 60.0,
    ) -> Any:
        """Register a resource, opened once and shared: a session, a pool, a model.

        The function returns an async context manager, or is an async generator function
        that yields once.  It is entered and left in one task, and its own parameters
        are other resources.  Steps, hooks and handlers receive its value by a parameter
        of its name, or else of its declared type.  Define it before them.

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
        times = {"shutdown": shutdown, "start_timeout": start_timeout}
        register = define_shared_resource(self.registry, name, eager=eager, **times)
        return register if func is None else register(func)

    @on_instance
    def add_middleware(self, mw: Middleware) -> None:
        """Wrap every step's function in one more middleware, the outermost.

        Args:
            mw: the middleware.
        """
        self.registry.add_middleware(mw)

    @on_instance
    def add_event_hook(self, hook: EventHook) -> None:
        """Add a function that rewrites each event before it is observed or consumed.

        Args:
            hook: takes an event and returns one.
        """
        self.registry.add_event_hook(hook)

    @on_instance
    def add_observer(self, observer: ObserverProtocol) -> None:
        """Add an observer, which receives every event of every run.

        Raises:
            TypeError: it lacks a hook, or one is not ``async def``.
        """
        self.registry.add_observer(observer)

    # -- the definition

    @property
    def middleware(self) -> tuple[Middleware, ...]:
        """The middleware, first to last; a view."""
        return self.registry.middleware

    @property
    def topology(self) -> dict[str, list[str]]:
        """Static successors by step, for the steps that have some; a copy."""
        return _plan.topology_of(self.registry.steps)

    @property
    def pipeline_hash(self) -> str:
        """16 hex characters over name, steps and static edges."""
        return _plan.fingerprint(self.name, self.registry.steps)

    def steps(self) -> Iterator[StepInfo]:
        """Describe the steps in order of registration.

        Returns:
            One description for each step.
        """
        return _plan.step_infos(self.registry.steps)

    def validate(
        self,
        start: Target | None = None,
        strict: bool | None = None,  # noqa: FBT001 - the reference's signature
        allow_multi_root: bool | None = None,  # noqa: FBT001
    ) -> None:
        """Check the definition; all problems are reported together.

        Args:
            start: where a run would begin, instead of at the roots.
            strict: report doubtful definitions as errors; None is the pipe's setting.
            allow_multi_root: allow several steps without parents; None is the pipe's
                setting.

        Raises:
            DefinitionError: there is a problem; for several, it is a
                ``DefinitionErrorGroup``.
        """
        if strict is None:
            strict = self.strict
        if allow_multi_root is None:
            allow_multi_root = self.allow_multi_root
        _plan.validate(
            _plan.context_of(
                self.registry,
                start_name(start),
                strict=strict,
                allow_multi_root=allow_multi_root,
                is_isolated=self._settings.is_isolated,
                placements=self._settings.placements,
            )
        )

    def plan(self) -> Plan:
        """Return the compiled pipeline; compiled once per version of the definition.

        Raises:
            DefinitionError: it cannot be compiled.
        """
        return self._plans.plan(self.registry)

    def describe(self) -> dict[str, Any]:
        """Return the definition as JSON-style data."""
        about = _plan.describe(self.name, self.registry, self._settings.metadata)
        drawing = visualization.build_ast(
            self.registry.steps, self.topology, **self.registry.hooks
        )
        return about | {"visual_ast": drawing.to_dict()}

    def graph(self, renderer: GraphRenderer | None = None) -> str:
        """Return a drawing of the pipeline: Mermaid text by default.

        Args:
            renderer: draws it; None is ``MermaidRenderer()``.

        Raises:
            TypeError: it is no renderer.
        """
        drawn = renderer or visualization.MermaidRenderer()
        if not hasattr(drawn, "render"):
            msg = (
                "graph() takes a renderer, such as SvgRenderer(), and returns the text of "
                f"the drawing; it cannot use {safe_repr(drawn, limit=80)}. Write the text "
                "to a file with Path.write_text."
            )
            raise TypeError(msg)
        return drawn.render(self.registry.steps, self.topology, **self.registry.hooks)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Let notebooks draw the pipeline."""
        drawing = self.graph(visualization.SvgRenderer())
        return {"text/plain": repr(self), "image/svg+xml": drawing}

    # -- runs

    def run(
        self,
        state: StateT,
        context: ContextT | None = None,
        start: Target | None = None,
        queue_size: int | None = None,
        timeout: float | None = None,
        overflow: Overflow = "block",
    ) -> RunStream[StateT]:
        """Return one run; it begins when it is entered, iterated or waited for.

        Args:
            state: passed by reference to every step.  Type checkers compare its type
                with the pipe's.  A run accepts any object that has what the steps need.
            context: passed to every step that asks for it.
            start: where to begin, instead of at the roots.
            queue_size: events that may wait for the consumer; 0 is unbounded.
            overflow: what happens when the consumer is ``queue_size`` events behind:
                producers ``block``, the oldest tokens are dropped (``drop_oldest``), or
                the run ends with ``ConsumerTooSlow`` (``fail``).
            timeout: seconds the steps may take; hooks are not counted.

        Raises:
            TypeError: the timeout is no number, or the state is the state's class.
            DefinitionError: when it begins, if the pipe is wired wrongly.
        """
        _check_timeout(timeout)
        self._check_state(state)

        def prepare() -> RunRequest:
            request = self.build_request(state, context, start, queue_size, timeout)
            if overflow == "block":
                return request
            return attrs.evolve(request, overflow=overflow)

        return _run.RunStream(prepare)

    def _check_state(self, state: object) -> None:
        """Refuse the state's class: its attributes would be changed for all runs."""
        if state is self.registry.state_type and isinstance(state, type):
            name = state.__name__
            msg = f"A run takes an object of {name} as its state, not the class: {name}()."
            raise TypeError(msg)

    @property
    def overrides_run(self) -> bool:
        """Whether a subclass has a ``run`` of its own, such as an async generator."""
        return type(self).run is not Pipe.run

    def run_sync(
        self,
        state: StateT,
        context: ContextT | None = None,
        *,
        start: Target | None = None,
        timeout: float | None = None,
        backend: str = "asyncio",
    ) -> StateT:
        """Run the pipe to its end in an event loop of its own, for scripts.

        Args:
            state: as for ``run``.
            context: as for ``run``.
            start: as for ``run``.
            timeout: as for ``run``.
            backend: ``"asyncio"`` or ``"trio"``.

        Returns:
            What ``RunStream.result`` returns: the state after the run.

        Raises:
            Exception: the primary failure of the run; as for ``RunStream.result``.
            RunningLoopError: an event loop runs in this thread already.
            LookupError: there is no such backend.
        """
        if has_running_loop():
            raise RunningLoopError
        if backend not in {"asyncio", "trio"}:
            msg = f"backend must be 'asyncio' or 'trio', not {backend!r}."
            raise LookupError(msg)
        _check_timeout(timeout)

        async def main() -> StateT:
            run = self.run(state, context, start=start, timeout=timeout)
            return await run.result()

        try:
            return anyio.run(main, backend=backend)
        except Exception as error:  # noqa: BLE001 - raised again with fewer frames
            raise drop_engine_frames(error, loops=True)  # noqa: B904 - it is the same error

    def build_request(
        self,
        state: Any,
        context: Any = None,
        start: Target | None = None,
        queue_size: int | None = None,
        timeout: float | None = None,
    ) -> RunRequest:
        """Validate, compile and freeze the definition; return what a run needs to know.

        Args:
            state: as for ``run``.
            context: as for ``run``.
            start: as for ``run``.
            queue_size: as for ``run``.
            timeout: as for ``run``.

        Raises:
            DefinitionError: the pipe is wired wrongly.
        """
        override = _run.override_of(self)
        if override is not None:
            return override.build_request(state, context, start, queue_size, timeout)
        if main_import.on_run is not None:
            main_import.on_run()
        _check_timeout(timeout)
        self._check_state(state)
        label = start_name(start)
        arguments = (label, self.strict, self.allow_multi_root)
        self._plans.validate_once(
            self.registry, arguments, lambda: self.validate(label)
        )
        plan = self.plan()
        self.registry.freeze()
        return _run.RunRequest(
            plan=plan,
            state=state,
            context=context,
            start=label,
            capacity=self.queue_size if queue_size is None else queue_size,
            timeout=timeout,
            token=self.cancellation_token,
            hooks=self.registry.event_hooks,
            observers=self._observers(),
            record=self._recorder if self.persist else None,
            open_store=self.open_store if self.persist else None,
            log_state=self._log_state,
        )

    def _observers(self) -> tuple[ObserverProtocol, ...]:
        """Return the observers of a run; in a notebook also the one that displays it."""
        if not is_notebook():
            return self.registry.observers
        from .notebook import NotebookView  # noqa: PLC0415 - only where it can be shown

        return (*self.registry.observers, NotebookView(self.name))

    def _log_to_stderr(self) -> None:
        show_state = self._log_state is True
        self.add_observer(observability.EventLogger.to_stderr(show_state=show_state))

    def _check_persistence_options(self) -> None:
        """Refuse wrong options now; with the defaults, import no storage."""
        defaults = (None, None, "full", PERSIST_LIMIT, None)
        if self._persistence_options[1:] != defaults:
            _ = self._persistence

    @cached_property
    def _persistence(self) -> Persistence:
        return storage_package.Persistence(*self._persistence_options)

    @property
    def storage_root(self) -> Path:
        """The folder below which its runs are stored."""
        return self._persistence.root

    def open_history(self) -> StorageBackend:
        """Return the store of the pipe's runs, for writing."""
        return self._persistence.open_store(self.pipeline_hash, read_only=False)

    def open_store(self) -> StorageBackend:
        """Return the store that its runs are in, for reading."""
        return self._persistence.open_store(self.pipeline_hash)

    def _recorder(self, run_id: str) -> RunRecorder:
        return self._persistence.recorder(run_id, self.describe)

    def with_registry(self, registry: Registry, *, persist: bool) -> Self:
        """Return a copy of this pipe with another definition.

        Args:
            registry: the definition.
            persist: whether its runs are stored.
        """
        other = self._copy_with(self._settings)
        other.registry, other.persist = registry, persist
        return other

    def renamed(self, name: str) -> Self:
        """Return a copy of this pipe with another name."""
        other = self._copy_with(attrs.evolve(self._settings, name=name))
        other.name = name
        return other

    def _copy_with(self, settings: _plan.PipeSettings) -> Self:
        """Return a copy that compiles its own plan."""
        other = copy(self)
        vars(other).update(_settings=settings, _plans=_plan.PlanCache(settings))
        return other

    def __repr__(self) -> str:
        return (
            f"<Pipe {self.name!r} with {count_text(len(self.registry.steps), 'step')}>"
        )


def _place_remotely(
    step: StepDef, placement: Placement, rule: Rule | None
) -> Callable[..., object]:
    return _engine.place_remotely(step, placement, rule)  # imported with the first one


def _lease_resources(
    func: Function, dependencies: Mapping[str, ResourceNode], breaks: Breaks
) -> Function:
    return _supervision.with_resources(func, dependencies, breaks)  # as above


def _check_timeout(timeout: object) -> None:
    if timeout is not None and not hasattr(timeout, "__float__"):
        msg = f"run(timeout=...) must be a number of seconds or None, not {timeout!r}."
        raise TypeError(msg)
    if timeout != timeout:  # only NaN differs from itself
        msg = "run(timeout=...) must be a number of seconds or None, not NaN."
        raise ValueError(msg)


def _check_counts(**counts: object) -> None:
    """Refuse options of a pipe that are no whole numbers.

    Raises:
        DefinitionError: one is not.
    """
    for name, value in counts.items():
        is_optional = name != "max_retries"
        try:
            check_count(name, value, is_optional=is_optional, minimum=None)
        except TypeError as error:
            raise DefinitionError(str(error)) from None


def _check_state_options(
    state_type: object,
    state_mode: object,
    merge: Mapping[Any, Merge | MergeFunction] | None,
) -> None:
    """Refuse a state, a state mode or rules for merging that cannot work."""
    check_is_type(state_type, "state")
    check_state_mode(state_mode)
    if merge is not None or state_mode == "isolated":
        _plan.root_rule(state_type, merge)
