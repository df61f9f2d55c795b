"""``TestPipe``: a pipe with some of its functions mocked.

The harness never changes the pipe.  It keeps the replacements, and each run gets a copy
of the definition with the replacements in place, so harnesses in different tasks,
threads or tests are independent.  As a context manager, the harness also replaces the
pipe in runs that the code under test starts, in this context and in tasks started from
it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from enum import Enum
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from unittest.mock import AsyncMock

import attrs

from .._definition.names import resolve_name
from .._definition.registry import Registry
from .._definition.resources import ResourceDef
from .._definition.steps import StepDef
from .._run.run_stream import RunStream
from .._run.setup import Override, active_overrides, override_of
from ..errors import UnansweredAsk, did_you_mean
from ..events import Event, EventType
from ..pipe import Pipe
from ..specs import HookSpec
from .result import TestResult, final_state


class Role(Enum):
    """The role of a function in its pipe."""

    STEP = "step"
    HANDLER = "handler of the step"
    STARTUP = "startup hooks"
    SHUTDOWN = "shutdown hooks"
    ON_ERROR = "error handler"
    RESOURCE = "resource"


_PIPE_ROLES = frozenset({Role.STARTUP, Role.SHUTDOWN, Role.ON_ERROR})
"""Roles that exist once per pipe; their path is the path of the pipe."""


@attrs.frozen
class Replacements:
    """Replacement functions for a pipe and its sub-pipelines."""

    functions: Mapping[tuple[Role, str], Callable[..., Any]]
    """The functions by role and place."""
    persist: bool = False
    """Whether the pipes may write into their stores."""
    inline: bool = False
    """Whether synchronous steps stay on the event loop whatever their placement."""

    def get(self, role: Role, path: str) -> Callable[..., Any] | None:
        """Return the replacement of a function; None if there is none."""
        return self.functions.get((role, path))

    def for_sub_pipeline(self, owner: str) -> Replacements:
        """Return the replacements inside one sub-pipeline, by their places there."""
        inner = {
            (role, path[len(owner) + 1 :]): func
            for (role, path), func in self.functions.items()
            if path.startswith(f"{owner}:") or (path == owner and role in _PIPE_ROLES)
        }
        return attrs.evolve(self, functions=inner)


def apply_replacements(
    pipe: Pipe[Any, Any], replacements: Replacements
) -> Pipe[Any, Any]:
    """Return a copy of a pipe and of its sub-pipelines with functions replaced."""
    return _Copier().copy(pipe, replacements)


@attrs.define
class _Copier:
    """Copies a pipe once per set of replacements, because it may contain itself."""

    unchanged: dict[int, Pipe[Any, Any]] = attrs.field(factory=dict)

    def copy(self, pipe: Pipe[Any, Any], replacements: Replacements) -> Pipe[Any, Any]:
        if not replacements.functions and id(pipe) in self.unchanged:
            return self.unchanged[id(pipe)]
        persist = pipe.persist and replacements.persist
        copied = pipe.with_registry(pipe.registry, persist=persist)
        if not replacements.functions:
            self.unchanged[id(pipe)] = copied
        copied.registry = self._copy_definition(pipe.registry, replacements)
        return copied

    def _copy_definition(
        self, registry: Registry, replacements: Replacements
    ) -> Registry:
        steps = {
            name: self._copy_step(step, replacements)
            for name, step in registry.steps.items()
        }
        handler = registry.error_hook
        return attrs.evolve(
            registry,
            steps=steps,
            startup_hooks=_replace_hooks(
                registry.startup_hooks, replacements, Role.STARTUP
            ),
            shutdown_hooks=_replace_hooks(
                registry.shutdown_hooks, replacements, Role.SHUTDOWN
            ),
            error_hook=handler
            and _replace_hook(handler, replacements.get(Role.ON_ERROR, "")),
            resources={
                name: _replace_resource(resource, replacements.get(Role.RESOURCE, name))
                for name, resource in registry.resources.items()
            },
        )

    def _copy_step(self, step: StepDef, replacements: Replacements) -> StepDef:
        func = replacements.get(Role.STEP, step.name)
        options = step.options
        handler = options.on_error
        if handler is not None:
            handler = _replace_hook(handler, replacements.get(Role.HANDLER, step.name))
        placement = None if func or replacements.inline else options.placement
        child = step.child
        if isinstance(child, Pipe):
            copied = override_of(child) or child
            child = self.copy(copied, replacements.for_sub_pipeline(step.name))
        return attrs.evolve(
            step,
            func=func or step.func,
            options=attrs.evolve(options, on_error=handler, placement=placement),
            child=child,
        )


def _replace_hooks(
    hooks: tuple[HookSpec, ...], replacements: Replacements, role: Role
) -> tuple[HookSpec, ...]:
    return tuple(_replace_hook(hook, replacements.get(role, "")) for hook in hooks)


def _replace_hook(hook: HookSpec, func: Callable[..., Any] | None) -> HookSpec:
    return hook if func is None else replace(hook, func=func)


def _replace_resource(
    resource: ResourceDef, func: Callable[..., Any] | None
) -> ResourceDef:
    return (
        resource
        if func is None
        else attrs.evolve(resource, func=func, parameter_types={})
    )


def steps_by_path(pipe: Pipe[Any, Any], depth: int = 3) -> dict[str, StepDef]:
    """Return every step by its place, those inside sub-pipelines included.

    Args:
        pipe: the pipe under test.
        depth: sub-pipelines inside one another that are looked into; a pipe may
            contain itself.
    """
    found: dict[str, StepDef] = dict(pipe.registry.steps)
    for name, step in pipe.registry.steps.items():
        if isinstance(step.child, Pipe) and depth:
            inner = steps_by_path(step.child, depth - 1)
            found.update({f"{name}:{path}": step for path, step in inner.items()})
    return found


StateT = TypeVar("StateT")
ContextT = TypeVar("ContextT")

Effect = BaseException | type[BaseException] | Callable[..., Any] | Iterable[Any] | None
"""What ``AsyncMock`` takes as ``side_effect``."""


def answer_ask(run: RunStream, event: Event, answers: Mapping[str, Any]) -> None:
    """Answer an ask; an ask with a deadline may be left without an answer.

    Raises:
        UnansweredAsk: ``answers`` has no answer to the ask.
        AnswerRejected: the answer does not fit the form of the ask.
    """
    ask = str(event.payload["ask"])
    question = ask.partition(":")[2].partition("#")[0]
    for name in (ask, question, question.partition(":")[2]):
        if name in answers:
            found = answers[name]
            run.answer(ask, found(event.payload) if callable(found) else found)
            return
    if event.payload["due_at"] is None:
        raise UnansweredAsk(question, ", ".join(sorted(answers)) or "nothing")


class TestPipe(Generic[StateT, ContextT]):
    """A pipe under test.

    Args:
        pipe: the pipe; it is never changed.
        persist: whether its runs may write into the pipe's own store.

    Raises:
        TypeError: ``pipe`` is no ``Pipe``.

    Examples:
        >>> import anyio
        >>> from justpipe_actors import Pipe
        >>> from justpipe_actors.testing import TestPipe
        >>> pipe = Pipe(dict)
        >>> @pipe.step
        ... async def charge(state):
        ...     raise ConnectionError("no bank in a test")
        >>> with TestPipe(pipe) as test:
        ...     bank = test.mock("charge", return_value=None)
        ...     result = anyio.run(test.run, {})
        >>> result.was_called("charge"), bank.await_count
        (True, 1)
    """

    __test__ = False

    def __init__(self, pipe: Pipe[StateT, ContextT], *, persist: bool = False) -> None:
        if not hasattr(pipe, "registry"):
            msg = f"TestPipe takes the Pipe to test, not an object of type {type(pipe).__name__}."
            raise TypeError(msg)
        self.pipe = pipe
        self._persist = persist
        self._mocks: dict[tuple[Role, str], Callable[..., Any]] = {}
        self._outer: Override | None = active_overrides.get().get(pipe)
        self._is_active = False

    # -- replacing functions

    def mock(
        self, step_name: str, return_value: Any = None, side_effect: Effect = None
    ) -> AsyncMock:
        """Replace a step's function; everything else of the step is kept.

        The mock is called with keyword arguments named after the parameters of the
        original, and its return value is handled like that of the original.
        A side effect that is an async generator function makes the step stream.

        Args:
            step_name: the step, ``owner:inner`` for one inside a sub-pipeline.
            return_value: the return value of the mock.
            side_effect: as for ``unittest.mock.AsyncMock``.

        Raises:
            ValueError: there is no such step.
        """
        step = self._find(step_name)
        mock = _mock(step.func, return_value, side_effect)
        return self._register(Role.STEP, step_name, mock)

    def mock_handler(
        self, step_name: str, return_value: Any = None, side_effect: Effect = None
    ) -> AsyncMock:
        """Replace the ``on_error`` of one step.

        Args:
            step_name: the step.
            return_value: what the mock returns.
            side_effect: a function to call, an exception to raise, or a list of both in turn.

        Returns:
            The mock, which counts its calls.

        Raises:
            ValueError: there is no such step, or it has no handler.
        """
        handler = self._find(step_name).options.on_error
        if handler is None:
            msg = f"Step '{step_name}' has no on_error to mock; give it one first."
            raise ValueError(msg)
        mock = _mock(handler.func, return_value, side_effect)
        return self._register(Role.HANDLER, step_name, mock)

    def mock_startup(
        self, return_value: Any = None, side_effect: Effect = None, *, of: str = ""
    ) -> AsyncMock:
        """Replace every startup hook by one mock, called once for each of them.

        Args:
            return_value: the return value of the mock.
            side_effect: as for ``unittest.mock.AsyncMock``.
            of: the sub step that runs the pipe to mock; default: the pipe under test.
        """
        mock = _mock("startup", return_value, side_effect)
        return self._register(Role.STARTUP, self._owner(of), mock)

    def mock_shutdown(
        self, return_value: Any = None, side_effect: Effect = None, *, of: str = ""
    ) -> AsyncMock:
        """Replace every shutdown hook by one mock, called once for each of them.

        Arguments as for ``mock_startup``.

        Args:
            return_value: as for ``mock_handler``.
            side_effect: as for ``mock_handler``.

        Returns:
            The mock.
        """
        mock = _mock("shutdown", return_value, side_effect)
        return self._register(Role.SHUTDOWN, self._owner(of), mock)

    def mock_on_error(
        self, return_value: Any = None, side_effect: Effect = None, *, of: str = ""
    ) -> AsyncMock:
        """Replace the pipe's error handler.

        Arguments as for ``mock_startup``.

        Args:
            return_value: as for ``mock_handler``.
            side_effect: as for ``mock_handler``.
            of: the sub step that has the child; the pipe itself by default.

        Returns:
            The mock.

        Raises:
            ValueError: the pipe has none.
        """
        owner = self._find(of).child if of else self.pipe
        hook = owner.registry.error_hook
        if hook is None:
            msg = "The pipe has no error handler to mock; register one first."
            raise ValueError(msg)
        mock = _mock(hook.func, return_value, side_effect)
        return self._register(Role.ON_ERROR, self._owner(of), mock)

    def mock_resource(self, name: str, value: Any, *, of: str = "") -> None:
        """Inject a value instead of opening a resource or its dependencies.

        Args:
            name: the resource.
            value: what steps, hooks and handlers receive.
            of: the sub step that runs the pipe to mock; default: the pipe under test.

        Raises:
            ValueError: there is no such resource.
        """
        owner = self._find(self._owner(of)).child if of else self.pipe
        known = owner.registry.resources
        if name not in known:
            msg = (
                f"There is no resource '{name}' to mock; there are: {', '.join(known)}."
            )
            raise ValueError(msg)

        async def resource_factory() -> AsyncGenerator[Any]:
            yield value

        self._mocks[Role.RESOURCE, f"{of}:{name}" if of else name] = resource_factory

    def restore(self) -> None:
        """Remove every mock of this harness; calling this twice is safe."""
        self._mocks.clear()

    # -- running

    async def run(
        self,
        state: StateT,
        context: ContextT | None = None,
        *,
        answers: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> TestResult[StateT]:
        """Run the pipe to its end and return its result.

        Args:
            state: the state.
            context: the context.
            answers: the answers to its questions, by key, by step and key as
                ``step:key``, or by id; a function gets the ASK event's payload.
            **options: as for ``Pipe.run``: ``start``, ``timeout``, ``queue_size``.

        Raises:
            DefinitionError: the pipe is wired wrongly.
            UnansweredAsk: ``answers`` has no answer to an ask of the run.
            AnswerRejected: an answer does not fit its form.
        """
        run: Any = self.overlaid().run(state, context, **options)
        events: list[Event] = []
        # A subclass may define `run` as an async generator, which has no `async with`.
        async with run if isinstance(run, RunStream) else aclosing(run):
            async for event in run:
                events.append(event)
                if event.type is EventType.ASK:
                    answer_ask(run, event, answers or {})
        steps = frozenset(self.pipe.registry.steps)
        return TestResult(events, final_state(events, state, steps))

    def overlaid(self, *, inline: bool = False) -> Pipe[StateT, ContextT]:
        """Return the pipe as this harness runs it: a copy with the mocks in place.

        Args:
            inline: keep synchronous steps on the event loop whatever their placement.
        """
        base = (self._outer and self._outer()) or self.pipe
        return apply_replacements(
            base, Replacements(dict(self._mocks), self._persist, inline)
        )

    def __enter__(self) -> Self:
        """Replace the pipe in all runs started from this context."""
        self._is_active = True
        active_overrides.set(
            {**active_overrides.get(), self.pipe: self._current_override}
        )
        return self

    def _current_override(self) -> Pipe[StateT, ContextT] | None:
        # The overlay checks the harness itself and not only the context variable:
        # pytest may leave a fixture in another context than it entered it in, and
        # resetting the variable then has no effect in the first context.
        if self._is_active:
            return self.overlaid()
        return self._outer() if self._outer is not None else None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the mocks and restore the pipe, or the outer harness."""
        self.restore()
        self._is_active = False
        others = {
            p: override
            for p, override in active_overrides.get().items()
            if p is not self.pipe
        }
        if self._outer is not None:
            others[self.pipe] = self._outer
        active_overrides.set(others)

    def __repr__(self) -> str:
        names = ", ".join(f"{role.value} {path}".strip() for role, path in self._mocks)
        return f"<TestPipe of {self.pipe!r}, mocked: {names or 'nothing'}>"

    # -- building the pipe

    def _find(self, path: str) -> StepDef:
        known = steps_by_path(self.pipe)
        if path not in known:
            msg = f"Cannot mock unknown step '{path}'.{did_you_mean(path, known)}"
            raise ValueError(msg)
        return known[path]

    def _owner(self, of: str) -> str:
        if of and not isinstance(self._find(of).child, Pipe):
            msg = f"Step '{of}' runs no sub-pipeline; name a @pipe.sub step."
            raise ValueError(msg)
        return of

    def _register(self, role: Role, path: str, mock: AsyncMock) -> AsyncMock:
        self._mocks[role, path] = mock
        return mock


def _mock(original: Any, return_value: Any, side_effect: Effect) -> AsyncMock:
    name = original if isinstance(original, str) else resolve_name(original)
    mock = AsyncMock(return_value=return_value, side_effect=side_effect, name=name)
    mock.__name__ = name
    return mock
