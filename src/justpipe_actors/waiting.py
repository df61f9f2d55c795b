"""Functions that a step calls to wait for answers and times, and to keep results.

::

    answer = await ask(Decision, "Publish this?", key="publish")
    await sleep_until(timedelta(days=3), key="cool-down")
    plan = await once("plan", make_plan, page)
    await client.charge(card, idempotency_key("charge"))

They work in every run.  In a durable run, answers, ended sleeps and kept results are
stored, so a step that begins again after a crash does not repeat them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar, overload


if TYPE_CHECKING:
    from datetime import datetime, timedelta

T = TypeVar("T")
P = ParamSpec("P")

Duration: TypeAlias = "float | timedelta"
"""A length of time; a number is seconds."""


class Waiting(ABC):
    """The engine's implementation of waiting, for the running invocation."""

    __slots__ = ()

    @abstractmethod
    async def ask(
        self, form: Any, note: str, key: str, seconds: Duration | None
    ) -> object:
        """Ask a question and return its answer."""

    @abstractmethod
    async def sleep_until(self, moment: Duration | datetime, key: str) -> None:
        """Wait until a point in time."""

    @abstractmethod
    async def once(self, key: str, call: Callable[[], object], func: Any) -> object:
        """Return the result of a call, or its result of an earlier attempt."""

    @abstractmethod
    def idempotency_key(self, key: str) -> str:
        """Return a text that names this call of this invocation."""


current_waiting: ContextVar[Callable[[], Waiting]] = ContextVar(
    "justpipe_actors_waiting"
)
"""Returns the implementation of waiting for the current run."""


@overload
async def ask(
    form: type[T],
    note: str = "",
    *,
    key: str = "ask",
    timeout: Duration | None = None,  # noqa: ASYNC109 - raises its own error
) -> T: ...


@overload
async def ask(
    form: Any,
    note: str = "",
    *,
    key: str = "ask",
    timeout: Duration | None = None,  # noqa: ASYNC109 - raises its own error
) -> Any: ...


async def ask(
    form: Any,
    note: str = "",
    *,
    key: str = "ask",
    timeout: Duration | None = None,  # noqa: ASYNC109 - raises its own error
) -> Any:
    """Ask a person and wait for the answer, inside a step.

    The step keeps its place in the code, and releases its ``concurrency=`` slot; its
    ``timeout=`` is paused.  When the step is cancelled, the question is withdrawn.

    Args:
        form: the type of the answer: a builtin, ``Literal``, an Enum, a dataclass, attrs
            class, TypedDict or pydantic model, or lists, dicts and unions of these.
        note: text shown with the question.
        key: names the question among those of its step; in a loop, number it.
        timeout: how long it is open, in seconds or as a timedelta; None sets no limit.

    Returns:
        The answer, of the form's type.

    Raises:
        AskTimeout: there was no answer in time.
        DuplicateKey: this call of the step has used the key before.
        TypeError: values of the form cannot be typed in.
        RuntimeError: no step is running here.
    """
    waiting = _waiting("ask")
    _check_key("ask", key)
    if timeout is not None and not _is_duration(timeout):
        msg = f"ask() takes timeout= in seconds or as a timedelta, not {timeout!r}."
        raise TypeError(msg)
    return await waiting.ask(form, note, key, timeout)


async def sleep_until(moment: Duration | datetime, *, key: str = "sleep") -> None:
    """Wait until a time, or for a duration from now, inside a step.

    In a durable run the time is stored when it is first waited for, and passes while
    no process runs the run.

    Args:
        moment: an aware datetime, a timedelta, or seconds.
        key: names the wait among those of its step; in a loop, number it.

    Raises:
        DuplicateKey: this call of the step has used the key before.
        ValueError: the datetime has no time zone.
        TypeError: the moment is no time, or the key no text.
        RuntimeError: no step is running here.
    """
    waiting = _waiting("sleep_until")
    _check_key("sleep_until", key)
    from datetime import datetime  # noqa: PLC0415 - few programs have moments

    if not (isinstance(moment, datetime) or _is_duration(moment)):
        msg = (
            "sleep_until() takes an aware datetime, a timedelta or seconds, "
            f"not {moment!r}."
        )
        raise TypeError(msg)
    await waiting.sleep_until(moment, key)


@overload
async def once(
    key: str, func: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
) -> T: ...


@overload
async def once(
    key: str, func: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T: ...


async def once(key: str, func: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a function and keep its result, so that a step that begins again has it.

    In a durable run the result is stored when this returns.  Errors are not kept.  In
    other runs nothing is kept, and the function is called.

    Args:
        key: names the result among those of its step; in a loop, number it.
        func: a sync or async function; its return annotation says how the result is read.
        args: its arguments.
        kwargs: its keyword arguments.

    Raises:
        DuplicateKey: this call of the step has used the key before.
        NotStorable: the result cannot be stored.
        TypeError: the function cannot be called, or the key is no text.
        RuntimeError: no step is running here.
    """
    waiting = _waiting("once")
    _check_key("once", key)
    if not callable(func):
        msg = f"once() takes a key, a function and its arguments, not {func!r}."
        raise TypeError(msg)
    return await waiting.once(key, lambda: func(*args, **kwargs), func)


def idempotency_key(key: str) -> str:
    """Return a text that is unique to this step and the same when it begins again.

    Give it to a service that ignores a request it has had before.  It stays the same over
    crashes, ``retries=``, ``Retry()`` and retried runs; only a fork gets new ones.

    Args:
        key: distinguishes the calls of one step.

    Raises:
        TypeError: the key is no text.
        RuntimeError: no step is running here.
    """
    waiting = _waiting("idempotency_key")
    _check_key("idempotency_key", key)
    return waiting.idempotency_key(key)


def _check_key(function: str, key: object) -> None:
    if not isinstance(key, str):
        msg = f"{function}() takes a text as its key, not {key!r}."
        raise TypeError(msg)


def _is_duration(value: object) -> bool:
    if isinstance(value, int | float):
        return not isinstance(value, bool)
    from datetime import timedelta  # noqa: PLC0415 - few programs have one

    return isinstance(value, timedelta)


def _waiting(name: str) -> Waiting:
    find = current_waiting.get(None)
    if find is None:
        raise not_in_a_step(name)
    return find()


def not_in_a_step(name: str) -> RuntimeError:
    """Return the error for a call outside of a step."""
    return RuntimeError(
        f"{name}() is for step functions and their error handlers: there is no step "
        "running here. Call it in a step; hooks, observers and other tasks cannot wait."
    )
