"""A function with resources: they are leased for each call and released when it has ended."""

from __future__ import annotations

import gc
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import attrs
import pytest

from justpipe_actors._plan.plan import ResourceNode
from justpipe_actors._supervision.resource_calls import current_pool, with_resources
from justpipe_actors.errors import ResourceUnavailable


@attrs.define(eq=False)
class FakeLease:
    value: object
    log: list[str]

    def release(self) -> None:
        """Note the release."""
        self.log.append(f"-{self.value}")

    def report_broken(self, error: Exception) -> None:
        """Note the broken resource."""
        self.log.append(f"!{self.value}")


@attrs.define(eq=False)
class FakePool:
    log: list[str] = attrs.field(factory=list)

    async def acquire(self, node: ResourceNode) -> FakeLease:
        """Lease everything but a resource named ``none``."""
        if node.name == "none":
            raise ResourceUnavailable("none", "there is none")
        self.log.append(f"+{node.name}")
        return FakeLease(node.name, self.log)

    async def acquire_shared(self, node: ResourceNode) -> FakeLease:
        """Lease as ``acquire`` does."""
        return await self.acquire(node)


@pytest.fixture
def pool() -> Iterator[FakePool]:
    """Make a pool the current one."""
    fake: Any = FakePool()
    token = current_pool.set(fake)
    yield fake
    current_pool.reset(token)


def give(func: Callable[..., Any], *names: str, **breaks: type[Exception]) -> Any:
    """Return a function with resources that are named like its parameters."""
    dependencies = {name: ResourceNode(name=name, func=lambda: None) for name in names}
    return with_resources(
        func, dependencies, {name: (kind,) for name, kind in breaks.items()}
    )


async def test_resources_are_leased_for_the_call(pool: FakePool) -> None:
    """They are leased in the order of the parameters and released when the call returns."""

    def func(state: int, a: str, b: str) -> str:
        pool.log.append("call")
        return f"{state}{a}{b}"

    assert await give(func, "a", "b")(state=1) == "1ab"
    assert pool.log == ["+a", "+b", "call", "-a", "-b"]


async def test_no_lease_is_kept_when_one_fails(pool: FakePool) -> None:
    """The earlier leases are released, and the function is not called."""

    async def func(a: str, none: str) -> None:
        pytest.fail("it was called")

    with pytest.raises(ResourceUnavailable):
        await give(func, "a", "none")()
    assert pool.log == ["+a", "-a"]


@pytest.mark.parametrize("in_a_group", [False, True])
async def test_only_the_error_of_a_resource_reports_it_broken(
    pool: FakePool, in_a_group: bool
) -> None:
    """Its class decides, also inside an exception group; other resources are only released."""

    async def func(a: str, b: str) -> None:
        error = ConnectionResetError("gone")
        raise ExceptionGroup("many", [error]) if in_a_group else error

    with pytest.raises((ConnectionError, ExceptionGroup)):
        await give(func, "a", "b", a=ConnectionError, b=ValueError)()
    assert pool.log == ["+a", "+b", "!a", "-a", "-b"]


async def test_a_base_exception_breaks_no_resource(pool: FakePool) -> None:
    """The cancellation of a call tells nothing about its resources."""

    async def func(a: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await give(func, "a", a=Exception)()
    assert pool.log == ["+a", "-a"]


async def test_a_stream_stays_a_stream(pool: FakePool) -> None:
    """Middleware sees an async generator function; the lease lasts until the last item."""

    async def func(a: str) -> AsyncIterator[str]:
        yield a
        yield a

    stream = give(func, "a")
    assert inspect.isasyncgenfunction(stream)
    assert stream.__name__ == "func"
    items = [(item, list(pool.log)) async for item in stream()]

    assert items == [("a", ["+a"]), ("a", ["+a"])]
    assert pool.log == ["+a", "-a"]


async def test_an_error_thrown_into_a_stream_reaches_the_function(
    pool: FakePool,
) -> None:
    """The function may catch it and go on."""

    async def func(a: str) -> AsyncIterator[str]:
        try:
            yield "first"
        except ValueError:
            yield "caught"

    stream = give(func, "a")()
    assert await anext(stream) == "first"
    assert await stream.athrow(ValueError()) == "caught"
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert pool.log == ["+a", "-a"]


async def test_a_stream_that_is_closed_or_fails_releases(
    pool: FakePool,
) -> None:
    """An early close breaks no resource; an error between items may."""

    async def func(a: str) -> AsyncIterator[str]:
        yield a
        raise ConnectionError

    stream = give(func, "a", a=ConnectionError)()
    await anext(stream)
    await stream.aclose()
    assert pool.log == ["+a", "-a"]
    pool.log.clear()
    with pytest.raises(ConnectionError):
        async for _ in give(func, "a", a=ConnectionError)():
            pass
    assert pool.log == ["+a", "!a", "-a"]


async def test_a_generator_keeps_its_resources_until_it_ends(
    pool: FakePool,
) -> None:
    """A map takes its items long after the call has returned."""

    def func(a: str) -> Iterator[str]:
        yield a
        yield a

    items = await give(func, "a")()
    assert pool.log == ["+a"]
    assert list(items) == ["a", "a"]
    assert pool.log == ["+a", "-a"]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_generator_that_never_starts_releases_its_resources(
    pool: FakePool, is_async: bool
) -> None:
    """Its own cleanup never runs, so its deletion releases them."""

    def plain(a: str) -> Iterator[str]:
        yield a

    async def stream() -> AsyncIterator[str]:
        yield "item"

    async def returning(a: str) -> AsyncIterator[str]:
        return stream()

    items = await give(returning if is_async else plain, "a")()
    assert pool.log == ["+a"]
    del items
    gc.collect()
    assert pool.log == ["+a", "-a"]


async def test_a_returned_stream_keeps_its_resources(
    pool: FakePool,
) -> None:
    """An ``async def`` may return an async generator, whose items still use the resource."""

    async def func(a: str) -> Any:
        async def items() -> AsyncIterator[str]:
            pool.log.append("item")
            yield a

        return items()

    stream = await give(func, "a")()
    assert [item async for item in stream] == ["a"]
    assert pool.log == ["+a", "item", "-a"]
