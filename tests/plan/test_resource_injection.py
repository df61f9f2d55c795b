"""A function with its resources: borrowed per call, given back when it is used up."""

from __future__ import annotations

import gc
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import attrs
import pytest

from justpipe_actors._plan.plan import ResourceNode
from justpipe_actors._plan.resource_injection import current_provider, with_resources
from justpipe_actors.errors import ResourceUnavailable


@attrs.define(eq=False)
class FakeLease:
    value: object
    log: list[str]

    def release(self) -> None:
        """Note it."""
        self.log.append(f"-{self.value}")

    def report_broken(self, error: Exception) -> None:
        """Note it."""
        self.log.append(f"!{self.value}")


@attrs.define(eq=False)
class FakeProvider:
    log: list[str] = attrs.field(factory=list)

    async def acquire(self, node: ResourceNode) -> FakeLease:
        """Lend everything but what is called ``none``."""
        if node.name == "none":
            raise ResourceUnavailable("none", "there is none")
        self.log.append(f"+{node.name}")
        return FakeLease(node.name, self.log)

    async def acquire_shared(self, node: ResourceNode) -> FakeLease:
        """Lend as ``acquire`` does."""
        return await self.acquire(node)


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """Return a lender that is the current one."""
    fake = FakeProvider()
    token = current_provider.set(fake)
    yield fake
    current_provider.reset(token)


def give(func: Callable[..., Any], *names: str, **breaks: type[Exception]) -> Any:
    """Return a function with resources called like its parameters."""
    dependencies = {name: ResourceNode(name=name, func=lambda: None) for name in names}
    return with_resources(
        func, dependencies, {name: (kind,) for name, kind in breaks.items()}
    )


def test_who_needs_nothing_is_left_alone() -> None:
    """The function itself is called, without a wrapper."""
    assert with_resources(test_who_needs_nothing_is_left_alone, {}, {}) is (
        test_who_needs_nothing_is_left_alone
    )


async def test_arguments_are_borrowed_for_the_call(provider: FakeProvider) -> None:
    """In the order of the parameters, and given back when it returns."""

    def func(state: int, a: str, b: str) -> str:
        provider.log.append("call")
        return f"{state}{a}{b}"

    assert await give(func, "a", "b")(state=1) == "1ab"
    assert provider.log == ["+a", "+b", "call", "-a", "-b"]


async def test_nothing_is_kept_when_one_cannot_be_had(provider: FakeProvider) -> None:
    """What was borrowed before is given back, and the function is not called."""

    async def func(a: str, none: str) -> None:
        pytest.fail("it was called")

    with pytest.raises(ResourceUnavailable):
        await give(func, "a", "none")()
    assert provider.log == ["+a", "-a"]


@pytest.mark.parametrize("in_a_group", [False, True])
async def test_only_what_an_error_breaks_is_reported(
    provider: FakeProvider, in_a_group: bool
) -> None:
    """By its class, inside an exception group too; the others are only given back."""

    async def func(a: str, b: str) -> None:
        error = ConnectionResetError("gone")
        raise ExceptionGroup("many", [error]) if in_a_group else error

    with pytest.raises((ConnectionError, ExceptionGroup)):
        await give(func, "a", "b", a=ConnectionError, b=ValueError)()
    assert provider.log == ["+a", "+b", "!a", "-a", "-b"]


async def test_a_base_exception_breaks_nothing(provider: FakeProvider) -> None:
    """A cancelled call says nothing about what it used."""

    async def func(a: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await give(func, "a", a=Exception)()
    assert provider.log == ["+a", "-a"]


async def test_a_stream_stays_a_stream(provider: FakeProvider) -> None:
    """Middleware sees an async generator function; the loan lasts until the last item."""

    async def func(a: str) -> AsyncIterator[str]:
        yield a
        yield a

    stream = give(func, "a")
    assert inspect.isasyncgenfunction(stream)
    assert stream.__name__ == "func"
    items = [(item, list(provider.log)) async for item in stream()]

    assert items == [("a", ["+a"]), ("a", ["+a"])]
    assert provider.log == ["+a", "-a"]


async def test_what_is_thrown_into_a_stream_reaches_the_function(
    provider: FakeProvider,
) -> None:
    """It may catch it and go on, as if nobody stood between."""

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
    assert provider.log == ["+a", "-a"]


async def test_a_stream_that_is_closed_or_fails_gives_back(
    provider: FakeProvider,
) -> None:
    """Closed early it breaks nothing; an error of an item may."""

    async def func(a: str) -> AsyncIterator[str]:
        yield a
        raise ConnectionError

    stream = give(func, "a", a=ConnectionError)()
    await anext(stream)
    await stream.aclose()
    assert provider.log == ["+a", "-a"]
    provider.log.clear()
    with pytest.raises(ConnectionError):
        async for _ in give(func, "a", a=ConnectionError)():
            pass
    assert provider.log == ["+a", "!a", "-a"]


async def test_a_generator_holds_until_it_is_used_up(provider: FakeProvider) -> None:
    """A map pulls its items long after the call has returned."""

    def func(a: str) -> Iterator[str]:
        yield a
        yield a

    items = await give(func, "a")()
    assert provider.log == ["+a"]
    assert list(items) == ["a", "a"]
    assert provider.log == ["+a", "-a"]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_generator_nobody_begins_gives_back(
    provider: FakeProvider, is_async: bool
) -> None:
    """Its own cleanup never runs, so dropping it is what counts."""

    def plain(a: str) -> Iterator[str]:
        yield a

    async def stream() -> AsyncIterator[str]:
        yield "item"

    async def returning(a: str) -> AsyncIterator[str]:
        return stream()

    items = await give(returning if is_async else plain, "a")()
    assert provider.log == ["+a"]
    del items
    gc.collect()
    assert provider.log == ["+a", "-a"]


async def test_a_stream_that_a_function_returns_holds_too(
    provider: FakeProvider,
) -> None:
    """An ``async def`` may return an async generator; its items still use the resource."""

    async def func(a: str) -> Any:
        async def items() -> AsyncIterator[str]:
            provider.log.append("item")
            yield a

        return items()

    stream = await give(func, "a")()
    assert [item async for item in stream] == ["a"]
    assert provider.log == ["+a", "item", "-a"]
