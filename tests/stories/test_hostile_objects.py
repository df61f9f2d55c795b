"""``BaseException`` in runs, and user objects that raise when they are inspected."""

from __future__ import annotations

import logging
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

from justpipe_actors import Event, Pipe, Raise, Suspend
from justpipe_actors.types import FailureKind

from ..helpers import (
    FAILED,
    SUCCESS,
    AnyPipe,
    HookRecorder,
    do_nothing,
    empty_state,
    end_of,
    hosted_runs,
    run_pipe,
)


# -- errors that are no Exception


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, BaseException])
@pytest.mark.parametrize("place", ["step", "handler", "worker", "child"])
async def test_a_base_exception_of_a_step_is_raised_after_finish(
    kind: type[BaseException], place: str
) -> None:
    """The run fails as INFRA, observers get the error, then it is raised unchanged."""
    recorder = HookRecorder()
    pipe: AnyPipe = Pipe(dict)

    def leave() -> None:
        raise kind

    match place:
        case "step":
            pipe.step("a")(leave)
        case "handler":
            pipe.step("a", on_error=leave)(lambda: 1 / 0)
        case "worker":
            pipe.map("m", each="a")(lambda: range(3))
            pipe.step("a")(lambda item: leave())
        case _:
            child: AnyPipe = Pipe(dict)
            child.step("x")(leave)
            pipe.sub("a", pipeline=child)(empty_state)
    pipe.add_observer(recorder)
    events: list[Event] = []
    with pytest.raises(kind):
        async for event in pipe.run({}):
            events.append(event)

    assert (end_of(events).status, end_of(events).failure_kind.value) == (
        FAILED,
        "infra",
    )
    assert end_of(events).failed_step == "a"
    assert recorder.heard[-1].startswith("on_pipeline_error")


# -- objects that object


class HostileObject:
    """Raises on every operation."""

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        raise RuntimeError("no str")

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no eq")

    def __bool__(self) -> bool:
        raise RuntimeError("no bool")


class HostileError(Exception):
    """A false exception whose text raises."""

    def __str__(self) -> str:
        raise RuntimeError("no str")

    __repr__ = __str__

    def __len__(self) -> int:
        return 0


def fail_hostile(*args: Any) -> None:
    """Raise it."""
    raise HostileError


def hostile_in(place: str) -> tuple[AnyPipe, str | None]:
    """Return a pipe in which hostile objects occur, and the step that fails."""
    pipe: AnyPipe = Pipe(None)
    failed: str | None = "a"
    match place:
        case "error":
            pipe.step("a")(fail_hostile)
        case "result":
            pipe.step("a")(lambda: HostileObject())
            failed = None
        case "answer":
            pipe.step("a")(lambda: Raise(HostileError()))
        case "route":
            pipe.switch("a", to={"x": "b"})(lambda: HostileObject())
            pipe.step("b")(do_nothing)
        case "items":
            pipe.map("a", each="b")(lambda: HostileObject())
            pipe.step("b")(lambda item: None)
        case "item":
            pipe.map("m", each="a")(lambda: [HostileObject(), HostileObject()])
            pipe.step("a")(lambda item: fail_hostile())
        case "token":

            @pipe.step("a")
            async def stream() -> AsyncIterator[Any]:
                yield HostileObject()

            failed = None
        case "reason":
            pipe.step("a")(lambda: Suspend(HostileObject()))
            failed = None
        case _:
            pipe.on_startup(fail_hostile)
            pipe.step("a")(do_nothing)
            failed = None
    return pipe, failed


@hosted_runs
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "place",
    ["error", "result", "answer", "route", "items", "item", "token", "reason", "hook"],
)
async def test_objects_that_raise_do_not_end_a_run(
    place: str, strict: bool, hosted_runs: int
) -> None:
    """Neither an object that raises when it is inspected nor a warning does so."""
    pipe, failed = hostile_in(place)
    with warnings.catch_warnings():
        warnings.simplefilter("error" if strict else "ignore")
        end = end_of(await run_pipe(pipe, HostileObject(), hosted_runs=hosted_runs))

    assert end.failed_step == failed
    assert end.status is (FAILED if failed or place == "hook" else SUCCESS)
    assert end.failure_kind is not FailureKind.INFRA


@pytest.mark.parametrize(
    ("option", "shown"),
    [(True, "secret"), (False, ""), (lambda state: "hidden", "hidden")],
)
async def test_log_state_decides_what_the_log_shows_of_the_state(
    option: Any, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The error log has the state, the result of a function for it, or nothing."""
    pipe: AnyPipe = Pipe(dict, log_state=option)
    pipe.step("a")(lambda: 1 / 0)
    await run_pipe(pipe, {"key": "secret"})
    (text,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]

    assert text.startswith("Step 'a' failed with ZeroDivisionError: division by zero")
    assert ("State: " in text) == bool(shown)
    assert [word for word in ("secret", "hidden") if word in text] == [shown] * bool(
        shown
    )
