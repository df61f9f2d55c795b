"""A group of the loop's own tasks: all of them are gone when its block has been left."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from justpipe_actors._backends import current_loop


only_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])


async def test_its_block_is_left_when_its_tasks_have_ended() -> None:
    """Whoever leaves the block waits for them, those they have started included."""
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


async def test_a_task_begins_later_and_not_in_the_middle_of_who_starts_it() -> None:
    """Starting one runs nothing of it yet: that happens in the middle of a commit."""
    log: list[str] = []

    async def job() -> None:
        log.append("job")

    async with current_loop().open_group() as group:
        group.start(job)
        log.append("started")

    assert log == ["started", "job"]


async def test_a_cancelled_block_is_one_cancellation() -> None:
    """However many of its tasks were cancelled, its owner is cancelled once, and no group."""
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


async def test_nobody_begins_in_a_group_that_was_left() -> None:
    """A task that nobody would wait for is refused, and not left to itself."""

    async def job() -> None:
        raise AssertionError

    async with current_loop().open_group() as group:
        pass
    with pytest.raises(RuntimeError):
        group.start(job)


async def test_an_error_of_a_task_comes_out_in_a_group() -> None:
    """It ends the block, as in any task group."""

    async def job() -> None:
        raise KeyError("mine")

    with pytest.raises(ExceptionGroup) as caught:
        async with current_loop().open_group() as group:
            group.start(job)

    assert caught.group_contains(KeyError, match="mine")


@only_asyncio
@pytest.mark.parametrize("is_born", [False, True])
async def test_a_killed_task_takes_nobody_with_it(is_born: bool) -> None:
    """Killed at birth it begins again; killed later it ends, and the others go on."""
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
