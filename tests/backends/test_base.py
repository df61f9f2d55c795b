"""A task group of a backend: all its tasks have ended when its block has been left."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from justpipe_actors._backends import current_loop


def never(error: BaseException) -> None:
    """Fail: no task of the test raises an error."""
    raise AssertionError from error


only_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])


async def test_leaving_the_block_waits_for_all_tasks() -> None:
    """Leaving waits also for the tasks that tasks of the group have started."""
    log: list[str] = []

    async with current_loop().open_group() as group:

        async def late() -> None:
            await anyio.lowlevel.checkpoint()
            log.append("late")

        async def first(word: str) -> None:
            await anyio.lowlevel.checkpoint()
            group.start(late)
            log.append(word)

        group.start(first, "first")

    assert log == ["first", "late"]


async def test_start_runs_nothing_of_the_new_task() -> None:
    """A commit calls ``start``, so the task begins only at a later checkpoint."""
    log: list[str] = []

    async def job() -> None:
        log.append("job")

    async with current_loop().open_group() as group:
        group.start(job)
        log.append("started")

    assert log == ["started", "job"]


async def test_a_cancelled_block_raises_one_cancellation() -> None:
    """The owner gets one cancellation, not a group, however many tasks were cancelled."""
    seen: list[BaseException] = []

    async def job() -> None:
        with anyio.CancelScope():
            await anyio.sleep(1)

    with anyio.CancelScope() as scope:
        try:
            async with current_loop().open_group() as group:
                group.start(job)
                group.start(job)
                scope.cancel()
                await anyio.sleep_forever()
        except BaseException as error:
            seen.append(error)
            raise

    assert scope.cancelled_caught
    assert [type(one) for one in seen] == [anyio.get_cancelled_exc_class()]


async def test_a_closed_group_starts_no_task() -> None:
    """After the block has been left no task would wait for the new one, so ``start`` raises."""

    async def job() -> None:
        raise AssertionError

    async with current_loop().open_group() as group:
        pass
    with pytest.raises(RuntimeError):
        group.start(job)


async def test_an_error_of_a_task_is_raised_in_a_group() -> None:
    """The error ends the block, as in any task group."""

    async def job() -> None:
        raise KeyError("mine")

    with pytest.raises(ExceptionGroup) as caught:
        async with current_loop().open_group() as group:
            group.start(job)

    assert caught.group_contains(KeyError, match="mine")


async def test_a_late_group_ends_all_its_tasks() -> None:
    """Tasks may start others at any time: beside them, after them, and as the last one."""
    log: list[str] = []

    async with current_loop().open_late_group(never) as group:

        async def last(number: int) -> None:
            await anyio.lowlevel.checkpoint()
            log.append(f"last {number}")

        async def job(number: int) -> None:
            group.start(last, number)
            await anyio.lowlevel.checkpoint()
            log.append(f"job {number}")

        for number in range(2):
            group.start(job, number)
        await anyio.wait_all_tasks_blocked()
        assert len(log) == 4
        group.start(job, 2)

    assert sorted(log) == sorted(
        [f"{name} {number}" for name in ("job", "last") for number in range(3)]
    )
    with pytest.raises(RuntimeError, match=r"cannot begin: its group was left\.$"):
        group.start(last, 3)


@pytest.mark.parametrize("has_begun", [True, False])
async def test_an_error_in_the_block_of_a_late_group_cancels_its_tasks(
    *, has_begun: bool
) -> None:
    """The error comes out, and no task is waited for in vain."""

    async def job() -> None:
        await anyio.sleep_forever()

    with pytest.raises(BaseException) as caught:  # noqa: PT011
        async with current_loop().open_late_group(never) as group:
            group.start(job)
            if has_begun:
                await anyio.wait_all_tasks_blocked()
                group.start(job)
                await anyio.wait_all_tasks_blocked()
                group.start(job)
            raise KeyError("mine")

    assert "mine" in repr(caught.value)


@pytest.mark.parametrize("place", ["first", "other"])
async def test_an_error_of_a_task_ends_the_block_of_a_late_group(place: str) -> None:
    """It is raised, or reported so that what opened the group ends the block."""
    errors: list[BaseException] = []
    ended: list[str] = []
    block = anyio.CancelScope()

    def report(error: BaseException) -> None:
        errors.append(error)
        block.cancel()

    async def job(name: str) -> None:
        if name == place:
            await anyio.wait_all_tasks_blocked()
            raise KeyError("mine")
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(name)

    try:
        with block:
            async with current_loop().open_late_group(report) as group:
                group.start(job, "first")
                await anyio.lowlevel.checkpoint()
                group.start(job, "other")
                await anyio.sleep_forever()
    except BaseExceptionGroup as error:
        errors.append(error)

    (found,) = errors
    assert isinstance(found, ExceptionGroup)
    assert found.subgroup(KeyError) is not None
    assert ended == [{"first": "other", "other": "first"}[place]]


@only_asyncio
@pytest.mark.parametrize("is_born", [False, True])
async def test_a_natively_cancelled_task_does_not_cancel_the_others(
    is_born: bool,
) -> None:
    """Cancelled before its first step a task is started again; cancelled later it ends.
    The others go on.
    """
    log: list[str] = []
    killed = asyncio.Event()

    async def victim() -> None:
        log.append("victim")
        await killed.wait()
        log.append("alive")

    async def other() -> None:
        await killed.wait()
        log.append("other")

    async with current_loop().open_group() as group:
        known = asyncio.all_tasks()
        group.start(victim)
        (task,) = asyncio.all_tasks() - known
        if is_born:
            await asyncio.sleep(0)
        task.cancel()
        group.start(other)
        await anyio.wait_all_tasks_blocked()
        killed.set()

    assert sorted(log) == (
        ["other", "victim"] if is_born else ["alive", "other", "victim"]
    )
