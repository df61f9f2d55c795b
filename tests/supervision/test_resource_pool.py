"""The pool of resources alone: counts, states, and failures while opening."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from justpipe_actors._plan.plan import ResourceNode
from justpipe_actors._supervision.resource import ResourceState
from justpipe_actors._supervision.resource_pool import ResourcePool
from justpipe_actors.errors import ResourceUnavailable


def node(func: Any, name: str = "it", **options: Any) -> ResourceNode:
    """Return a resource."""
    return ResourceNode(name=name, func=func, **options)


async def plain() -> AsyncIterator[str]:
    """Yield at once."""
    yield "value"


async def test_states_and_counts() -> None:
    """A resource is idle before its first use, opening while a user waits, then open with
    its users.
    """
    gate = anyio.Event()

    async def gated() -> AsyncIterator[str]:
        await gate.wait()
        yield "value"

    async with anyio.create_task_group() as tasks:
        resources = ResourcePool(tasks.start_soon, anyio.current_time)
        assert resources.statistics() == ()
        it = node(gated)
        leases: list[Any] = []

        async def borrow() -> None:
            leases.append(await resources.acquire(it))

        tasks.start_soon(borrow)
        tasks.start_soon(borrow)
        await anyio.wait_all_tasks_blocked()
        (opening,) = resources.statistics()
        assert (opening.state, opening.users) == (ResourceState.OPENING, 0)
        gate.set()
        await anyio.wait_all_tasks_blocked()
        (opened,) = resources.statistics()
        assert (opened.state, opened.users, opened.incarnation) == (
            ResourceState.OPEN,
            2,
            1,
        )
        leases[0].report_broken(ConnectionError("gone"))
        (broken,) = resources.statistics()
        assert (broken.state, broken.users, broken.retired) == (
            ResourceState.IDLE,
            0,
            1,
        )
        for lease in leases:
            lease.release()
        await anyio.wait_all_tasks_blocked()
        (idle,) = resources.statistics()
        assert (idle.retired, idle.last_error) == (0, "ConnectionError: gone")
        await resources.aclose()


async def test_an_open_resource_is_leased_without_waiting() -> None:
    """A second lease takes no turn of the event loop."""
    async with anyio.create_task_group() as tasks:
        resources = ResourcePool(tasks.start_soon, anyio.current_time)
        it = node(plain)
        await resources.open([it])
        coroutine = resources.acquire(it)
        with pytest.raises(StopIteration) as caught:
            coroutine.send(None)
        assert caught.value.value.value == "value"
        caught.value.value.release()
        await resources.aclose()


async def test_an_opening_that_cannot_start_leaves_nothing_behind() -> None:
    """When no task can be started, the caller gets the reason, and the next one may try again."""
    refused = True

    async with anyio.create_task_group() as tasks:

        def spawn(*main: Any) -> None:
            if refused:
                raise RuntimeError("no task")
            tasks.start_soon(*main)

        resources = ResourcePool(spawn, anyio.current_time)
        with pytest.raises(RuntimeError, match="no task"):
            await resources.acquire(node(plain))
        refused = False
        lease = await resources.acquire(node(plain))
        assert lease.value == "value"
        await resources.aclose()


async def test_closing_refuses_waiting_users() -> None:
    """An opening at work is cancelled, and the users that wait for it get an error."""
    errors: list[ResourceUnavailable] = []

    async def endless() -> AsyncIterator[str]:
        await anyio.sleep_forever()
        yield ""

    async with anyio.create_task_group() as tasks:
        resources = ResourcePool(tasks.start_soon, anyio.current_time)

        async def borrow() -> None:
            with pytest.raises(ResourceUnavailable) as caught:
                await resources.acquire(node(endless))
            errors.append(caught.value)

        tasks.start_soon(borrow)
        await anyio.wait_all_tasks_blocked()
        await resources.aclose()

    assert [error.reason for error in errors] == ["its owner is closing"]


async def test_a_resource_that_ends_by_itself_is_replaced() -> None:
    """When its own cancel scope ends it nothing is raised, and the next user gets a new one."""
    scopes: list[anyio.CancelScope] = []

    async def quitting() -> AsyncIterator[int]:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            yield len(scopes)

    async with anyio.create_task_group() as tasks:
        resources = ResourcePool(tasks.start_soon, anyio.current_time, lambda: 1.0)
        it = node(quitting)
        (await resources.acquire(it)).release()
        scopes[0].cancel()
        await anyio.wait_all_tasks_blocked()
        assert (await resources.acquire(it)).value == 2
        (stats,) = resources.statistics()
        assert stats.last_error is not None
        assert "it ended by itself" in stats.last_error
        await resources.aclose()


@pytest.mark.virtual_time
async def test_a_closing_that_ignores_its_cancellation_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The pool waits for it, because it cannot be stopped."""

    async def stubborn() -> AsyncIterator[str]:
        yield ""
        with anyio.CancelScope(shield=True):
            await anyio.sleep(40)

    async with anyio.create_task_group() as tasks:
        resources = ResourcePool(tasks.start_soon, anyio.current_time)
        await resources.open([node(stubborn, shutdown=5)])
        began = anyio.current_time()
        await resources.aclose()

    assert anyio.current_time() - began == pytest.approx(40)
    complaints = [r for r in caplog.records if r.levelno == logging.CRITICAL]
    assert len(complaints) == 2
    assert "'it' was cancelled and does not close" in complaints[0].message


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True, scope="module")
async def test_a_natively_cancelled_opening_is_a_failure() -> None:
    """The resource is broken, and the next user gets a new one."""
    tasks_of: list[Any] = []

    async def victim() -> AsyncIterator[int]:
        tasks_of.append(asyncio.current_task())
        yield len(tasks_of)

    async with anyio.create_task_group() as tasks:
        resources = ResourcePool(tasks.start_soon, anyio.current_time, lambda: 1.0)
        it = node(victim)
        (await resources.acquire(it)).release()
        tasks_of[0].cancel()
        await anyio.wait_all_tasks_blocked()
        assert (await resources.acquire(it)).value == 2
        (stats,) = resources.statistics()
        assert stats.last_error is not None
        assert "its task was cancelled" in stats.last_error
        await resources.aclose()
