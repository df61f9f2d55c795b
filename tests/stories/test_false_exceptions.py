"""Exceptions that are false, as an empty container is: they fail a run like any other.

A truth test where ``is None`` is meant takes such an exception for no exception.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import tenacity

from justpipe_actors import Pipe, Raise, Supervisor
from justpipe_actors.errors import ChildStartFailed, RestartIntensityExceeded
from justpipe_actors.observability import Observer


class FalseError(Exception):
    """An exception with a length of 0."""

    def __len__(self) -> int:
        return 0


def fail(*_: Any) -> None:
    """Raise it."""
    raise FalseError("nothing in it")


def do_nothing() -> None:
    """Do nothing."""


def fail_as_answer() -> Raise:
    """Return it as a signal."""
    return Raise(FalseError("nothing in it"))


def step_of(
    func: Callable[..., Any] = fail, **options: Any
) -> Callable[[], Pipe[Any, Any]]:
    """Return a builder of a pipe whose one step fails."""

    def build() -> Pipe[Any, Any]:
        pipe: Pipe[Any, Any] = Pipe(dict)
        pipe.step("a", **options)(func)
        return pipe

    return build


def failing_child() -> Pipe[Any, Any]:
    """Return a pipe whose child fails."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.sub("a", pipeline=step_of()())(lambda state: state)
    return pipe


def failing_worker() -> Pipe[Any, Any]:
    """Return a pipe whose map workers fail."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.map("a", each="worker")(lambda: [1, 2])
    pipe.step("worker")(lambda item: fail())
    return pipe


def failing_startup() -> Pipe[Any, Any]:
    """Return a pipe whose startup hook fails."""
    pipe = step_of(do_nothing)()
    pipe.on_startup(lambda: fail())
    return pipe


NO_WAIT: Mapping[str, Any] = {
    "stop": tenacity.stop_after_attempt(2),
    "wait": tenacity.wait_none(),
}

PLACES: dict[str, Callable[[], Pipe[Any, Any]]] = {
    "a step": step_of(),
    "a signal": step_of(fail_as_answer),
    "a thread": step_of(placement="thread"),
    "the last retry": step_of(retries=NO_WAIT),
    "an unwanted retry": step_of(
        retries={**NO_WAIT, "retry": tenacity.retry_if_exception_type(OSError)}
    ),
    "a handler": step_of(lambda: 1 / 0, on_error=lambda error: fail()),
    "a child": failing_child,
    "a worker": failing_worker,
    "a startup hook": failing_startup,
}


@pytest.mark.parametrize("place", PLACES)
async def test_a_false_exception_is_the_failure_of_its_run(place: str) -> None:
    """Wherever it is raised, ``result()`` raises this exception."""
    with pytest.raises(FalseError, match="nothing in it"):
        await PLACES[place]().run({}).result()


async def test_retries_because_of_results_end_in_a_retry_error() -> None:
    """It is tenacity's own error."""
    never = tenacity.retry_if_result(lambda result: True)
    pipe = step_of(do_nothing, retries={**NO_WAIT, "retry": never})()

    with pytest.raises(tenacity.RetryError):
        await pipe.run({}).result()


async def test_an_observer_gets_a_false_exception() -> None:
    """``on_pipeline_error`` gets the exception itself."""
    errors: list[object] = []

    class Listener(Observer):
        async def on_pipeline_error(
            self, state: Any, context: Any, meta: Any, error: Exception
        ) -> None:
            errors.append(error)

    pipe = failing_startup()
    pipe.add_observer(Listener())
    await pipe.run({}).wait()

    assert [type(error) for error in errors] == [FalseError]


async def test_a_service_that_fails_with_a_false_exception_has_failed() -> None:
    """The exception is the cause of the supervisor's error."""

    async def begin_badly(task_status: Any) -> None:
        fail()

    async def end_badly(task_status: Any) -> None:
        task_status.started()
        fail()

    starting, running = Supervisor(), Supervisor(intensity=0)
    starting.add_service("poller", begin_badly)
    running.add_service("poller", end_badly, restart="transient")

    with pytest.raises(ChildStartFailed) as start:
        async with starting:
            await starting.wait_drained()
    with pytest.raises(RestartIntensityExceeded) as restart:
        async with running:
            await running.wait_drained()

    assert isinstance(start.value.__cause__, FalseError)
    assert isinstance(restart.value.__cause__, FalseError)
