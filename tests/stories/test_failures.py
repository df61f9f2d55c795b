"""What counts as a failure, its events, and which steps run after it."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from justpipe_actors import (
    EventType,
    Pipe,
    Raise,
    Retry,
)
from justpipe_actors.types import (
    FailureClassificationConfig,
    FailureSource,
)

from ..helpers import (
    FAILED,
    AnyPipe,
    add_idle_steps,
    do_nothing,
    empty_state,
    end_of,
    event_words,
    hosted_runs,
    run_pipe,
)


# -- failures that are answers


def answering(where: str) -> AnyPipe:
    """Return a pipe whose first step fails by a returned value."""
    pipe: AnyPipe = Pipe(dict, max_retries=3, queue_size=1)

    def fail(state: Any) -> None:
        raise KeyError("first")

    def answer(state: Any) -> Any:
        return Retry() if "Retry" in where else Raise(ValueError("boom"))

    handler = answer if where.startswith("handler") else None
    step = fail if handler else answer
    pipe.step("r", to=["a", "beside"])(do_nothing)
    pipe.step("a", to="b", on_error=handler)(step)
    add_idle_steps(pipe, b=[], beside=["after"], after=[])
    return pipe


@hosted_runs
@pytest.mark.parametrize("where", ["Raise", "Retry", "handler Raise", "handler Retry"])
async def test_a_failure_by_a_returned_value_is_like_a_raised_one(
    where: str, hosted_runs: int
) -> None:
    """There is one STEP_ERROR with ids, the run is FAILED, and the other branch goes on."""
    events = await run_pipe(answering(where), hosted_runs=hosted_runs)
    errors = [event for event in events if event.type is EventType.STEP_ERROR]
    end = end_of(events)

    assert [(error.stage, error.attempt) for error in errors] == [
        ("a", 3 if "Retry" in where else 1)
    ]
    assert errors[0].invocation_id is not None
    assert (end.status, end.failed_step) == (FAILED, "a")
    assert "STEP_END after" in event_words(events)
    assert "STEP_START b" not in event_words(events)


@hosted_runs
async def test_a_handler_is_called_once_a_level(hosted_runs: int) -> None:
    """A handler's Raise goes to the next level, never back to the same one."""
    asked: list[str] = []
    pipe: AnyPipe = Pipe(dict)

    def local(error: Exception) -> Any:
        asked.append("local")
        return Raise(LookupError("local"))

    @pipe.on_error
    def everywhere(error: Exception) -> Any:
        asked.append(f"global {type(error).__name__}")
        return Raise(OSError("global"))

    pipe.step("a", on_error=local)(lambda: Raise(ValueError("boom")))
    events = await run_pipe(pipe, hosted_runs=hosted_runs)

    assert end_of(events).error == "global"
    assert sorted(asked) == sorted(
        ["local", "global LookupError"] * max(hosted_runs, 1)
    )


# -- successors of what failed


@hosted_runs
@pytest.mark.parametrize(
    ("on_failure", "ran"),
    [
        ("prune", {"r", "good", "only_good"}),
        ("continue", {"r", "good", "only_good", "after", "join"}),
    ],
)
async def test_what_runs_after_a_failure(
    on_failure: Any, ran: set[str], hosted_runs: int
) -> None:
    """By default no successor runs; with on_failure="continue" all do."""
    pipe: AnyPipe = Pipe(dict, on_failure=on_failure)
    add_idle_steps(pipe, r=["bad", "good"], good=["join", "only_good"])
    pipe.step("bad", to=["after", "join"])(lambda: 1 / 0)
    add_idle_steps(pipe, after=[], join=[], only_good=[])
    events = await run_pipe(pipe, hosted_runs=hosted_runs)
    ended = {event.stage for event in events if event.type is EventType.STEP_END}

    assert end_of(events).status is FAILED
    assert ended == ran


@hosted_runs
@pytest.mark.virtual_time
async def test_stopping_at_the_first_failure(hosted_runs: int) -> None:
    """With on_failure="stop" nothing else goes on, not even running steps."""
    pipe: AnyPipe = Pipe(dict, on_failure="stop")
    add_idle_steps(pipe, r=["bad", "slow"])
    pipe.step("bad")(lambda: 1 / 0)
    pipe.step("slow", to="never")(lambda: anyio.sleep(20))
    add_idle_steps(pipe, never=[])
    events = await run_pipe(pipe, hosted_runs=hosted_runs)

    assert (end_of(events).status, end_of(events).failed_step) == (FAILED, "bad")
    assert end_of(events).duration_s < 1
    assert "STEP_END slow" not in event_words(events)


# -- errors in events


@hosted_runs
@pytest.mark.parametrize("error", [KeyError("k"), TimeoutError(), ValueError("text")])
async def test_the_type_of_an_error_is_in_the_event(
    error: Exception, hosted_runs: int
) -> None:
    """The payload is the text; type and traceback are in the event's meta."""

    def fail() -> None:
        raise error

    pipe: AnyPipe = Pipe(dict)
    pipe.step("a")(fail)
    events = await run_pipe(pipe, hosted_runs=hosted_runs)
    (told_error,) = [e for e in events if e.type is EventType.STEP_ERROR]
    assert told_error.payload == str(error)
    assert told_error.meta is not None
    framework = told_error.meta["framework"]
    assert framework["error_type"] == type(error).__name__
    assert "in fail" in framework["traceback"]


# -- classifiers


class RemoteError(Exception):
    """An error of a client library."""


RemoteError.__module__ = "redis.exceptions"


@pytest.mark.parametrize("place", ["startup", "shutdown", "step", "child"])
async def test_classifiers_get_the_exception_itself(place: str) -> None:
    """The errors of hooks and children have the source of their own type."""
    seen: list[type[Exception]] = []

    def look(context: Any) -> None:
        seen.append(type(context.error))

    def fail() -> None:
        raise RemoteError("away")

    config = FailureClassificationConfig(source_classifier=look)
    pipe: AnyPipe = Pipe(dict, failure_classification=config)
    child: AnyPipe = Pipe(dict)
    child.step("x")(fail)
    if place == "child":
        pipe.sub("a", pipeline=child)(empty_state)
    else:
        pipe.step("a")(fail if place == "step" else do_nothing)
    if place in ("startup", "shutdown"):
        getattr(pipe, f"on_{place}")(fail)
    end = end_of(await run_pipe(pipe))

    assert seen == [RemoteError]
    assert end.failure_source is FailureSource.EXTERNAL_DEP
