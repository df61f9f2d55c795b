"""Whose error comes out when a supervisor's task group is left."""

from __future__ import annotations

import anyio
import pytest

from justpipe_actors._supervisor.core import cancel_reason, exit_task_group


async def fail(error: Exception) -> None:
    """Fail with a cause."""
    raise error from LookupError("why")


async def opened(*errors: Exception) -> anyio.abc.TaskGroup:
    """Return a task group whose tasks fail once they begin."""
    tasks = anyio.create_task_group()
    await tasks.__aenter__()
    for error in errors:
        tasks.start_soon(fail, error)
    return tasks


async def test_the_only_error_goes_out_bare() -> None:
    """One task's error comes out as it was raised, with its own cause."""
    error = ValueError("one")
    tasks = await opened(error)

    with pytest.raises(ValueError, match="one") as caught:
        await exit_task_group(tasks, None)

    assert caught.value is error
    assert isinstance(caught.value.__cause__, LookupError)


async def test_several_errors_go_out_together() -> None:
    """Errors of several tasks are one group: none of them is lost."""
    tasks = await opened(ValueError("one"), KeyError("two"))

    with pytest.raises(ExceptionGroup) as caught:
        await exit_task_group(tasks, None)

    assert {type(error) for error in caught.value.exceptions} == {ValueError, KeyError}


async def test_the_errors_of_the_body_come_first() -> None:
    """When the body has failed nothing of the tasks is raised in its place."""
    await exit_task_group(await opened(ValueError("one")), RuntimeError("the body's"))


def test_runs_hear_why_they_are_cancelled() -> None:
    """The reason names the body's error, or that somebody cancelled the block."""
    assert "failed with RuntimeError" in cancel_reason(RuntimeError())
    assert cancel_reason(KeyboardInterrupt()) == "The supervisor was cancelled"
