"""The result of a run: the state, or the failure with its traceback."""

from __future__ import annotations

import logging
import pickle
import traceback
from typing import Any

import anyio
import pytest

from justpipe_actors import EventType, Pipe, Supervisor
from justpipe_actors.errors import (
    PipelineCancelled,
    RecordedError,
    RunningLoopError,
    RunTimeout,
)


AnyPipe = Pipe[Any, Any]


def failing(*errors: Exception) -> AnyPipe:
    """Return a pipe whose steps raise these errors, one each."""
    pipe: AnyPipe = Pipe(dict, allow_multi_root=True, log_state=False)
    for number, error in enumerate(errors):

        @pipe.step(f"s{number}")
        async def step(state: dict[str, Any], error: Any = error) -> None:
            raise error

    return pipe


def counting() -> AnyPipe:
    """Return a pipe that counts."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("count")(lambda state: state.update(n=state.get("n", 0) + 1))
    return pipe


async def test_the_result_of_a_run_is_its_state() -> None:
    """It is the object that the run was given."""
    state: dict[str, Any] = {}

    assert await counting().run(state).result() is state
    assert state == {"n": 1}


async def test_the_result_of_a_failed_run_is_its_exception() -> None:
    """The original object is raised, and its traceback shows the user's step."""
    error = KeyError("missing")

    with pytest.raises(KeyError) as caught:
        await failing(error).run({}).result()

    assert caught.value is error
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert any(frame.name == "step" and frame.filename == __file__ for frame in frames)


async def test_further_failures_are_notes() -> None:
    """None of several failures is lost."""
    with pytest.raises(ValueError, match="first") as caught:
        await failing(ValueError("first"), KeyError("second")).run({}).result()

    assert caught.value.__notes__ == ["Another step failed too: KeyError: 'second'"]


async def test_the_end_has_its_exceptions() -> None:
    """A consumer gets the exception from FINISH, too."""
    error = ValueError("first")
    async with failing(error).run({}) as run:
        events = [event async for event in run]

    end = events[-1].payload
    assert end.exception is error
    assert end.error_text == "ValueError: first"
    with pytest.raises(ValueError, match="first"):
        end.raise_for_failure()


async def test_the_end_can_be_pickled() -> None:
    """It then has the text of its failure, and raises an error with this text."""
    end = await failing(KeyError("missing")).run({}).wait()

    copy = pickle.loads(pickle.dumps(end))

    assert copy == end
    assert copy.exception is None
    with pytest.raises(RecordedError, match="missing"):
        copy.raise_for_failure()


async def test_raise_for_failure_raises_nothing_after_a_success() -> None:
    """It returns None."""
    (await counting().run({}).wait()).raise_for_failure()


@pytest.mark.virtual_time
async def test_a_run_that_times_out_names_its_step() -> None:
    """The error has the step that was at work."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("slow")(lambda state: anyio.sleep(100))

    with pytest.raises(RunTimeout, match="At work were: 'slow'") as caught:
        await pipe.run({}, timeout=2).result()

    assert isinstance(caught.value, TimeoutError)
    assert caught.value.seconds == 2
    assert caught.value.steps_at_work == ("slow",)


async def test_a_cancelled_run_raises_its_reason() -> None:
    """The reason of the cancellation is the text of the error."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("slow")(lambda state: anyio.sleep_forever())
    run = pipe.run({})
    run.cancel("not needed")

    with pytest.raises(PipelineCancelled, match="not needed"):
        await run.result()


async def test_submitted_runs_have_results() -> None:
    """A run of a supervisor has a result, too."""
    pipe = counting()
    async with Supervisor(pipe) as supervisor:
        run = await supervisor.submit(pipe, {})
        assert await run.result() == {"n": 1}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_script_runs_a_pipe_synchronously(backend: str) -> None:
    """``run_sync`` returns the state."""
    assert counting().run_sync({}, backend=backend) == {"n": 1}


def test_a_script_gets_the_failure() -> None:
    """``run_sync`` raises what ``result`` raises."""
    with pytest.raises(KeyError, match="missing"):
        failing(KeyError("missing")).run_sync({})


async def test_run_sync_refuses_a_running_loop() -> None:
    """The message says what to write instead."""
    with pytest.raises(RunningLoopError, match=r"await pipe\.run"):
        counting().run_sync({})


async def test_leaving_the_loop_at_finish_gives_no_warning() -> None:
    """``break`` at FINISH is common."""

    async def consume() -> None:
        async for event in counting().run({}):
            if event.type is EventType.FINISH:
                break

    await consume()


# -- what the log says


async def test_the_log_of_a_failure_has_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The record comes from the library's logger and has the exception."""
    error = ValueError("boom")
    await failing(error).run({}).wait()

    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert record.name.startswith("justpipe_actors.")
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert record.getMessage() == "Step 's0' failed with ValueError: boom"


async def test_the_log_shows_groups_with_all_their_errors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """All levels of a group are shown."""
    group = ExceptionGroup(
        "both", [ValueError("a"), ExceptionGroup("in", [KeyError("b")])]
    )
    await failing(group).run({}).wait()

    assert "ValueError: a; KeyError: 'b'" in caplog.text


async def test_the_log_escapes_user_texts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A text with line ends cannot forge a record."""
    await failing(ValueError("boom\nERROR all is well\x1b[2J")).run({}).wait()

    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "\n" not in record.getMessage()
    assert "\x1b" not in record.getMessage()


async def test_the_log_masks_secrets_of_the_state(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whole words of a name decide: ``tokens`` is a number, ``token`` is a secret."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("fail")(lambda state: 1 / 0)
    state = {
        "api_key": "sk-123",
        "db_password": "hunter2",
        "auth_token": "abc",
        "max_tokens": 7,
        "key": "shown",
    }
    await pipe.run(state).wait()

    for secret in ("sk-123", "hunter2", "abc"):
        assert secret not in caplog.text
    assert "'max_tokens': 7" in caplog.text
    assert "'key': 'shown'" in caplog.text
