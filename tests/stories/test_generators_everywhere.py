"""A function that yields does its work wherever a pipe takes one, or is refused."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest

from justpipe_actors import EventType, Pipe
from justpipe_actors.errors import DefinitionError, PipelineValidationWarning


AnyPipe = Pipe[Any, Any]
Hook = Callable[[dict[str, Any]], Any]


def plain_hook(state: dict[str, Any]) -> Generator[int]:
    """Change the state on both sides of a yield."""
    state["before"] = True
    yield 1
    state["after"] = True


async def async_hook(state: dict[str, Any]) -> AsyncGenerator[int]:
    """Change the state on both sides of a yield."""
    state["before"] = True
    yield 1
    state["after"] = True


@pytest.mark.parametrize("hook", [plain_hook, async_hook])
@pytest.mark.parametrize("register", ["on_startup", "on_shutdown"])
async def test_a_hook_that_yields_runs_to_its_end(register: str, hook: Hook) -> None:
    """What it yields is dropped, and a warning at its definition says so."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step(name="work")(lambda: None)
    with pytest.warns(PipelineValidationWarning, match="yields"):
        getattr(pipe, register)(hook)

    async with pipe.run({}) as run:
        types = [event.type async for event in run]

    assert await pipe.run({}).result() == {"before": True, "after": True}
    assert EventType.TOKEN not in types


async def test_a_hook_that_yields_may_fail() -> None:
    """Its error is a failure of the run, as that of any hook."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step(name="work")(lambda: None)

    def prepare() -> Generator[int]:
        yield 1
        raise ValueError("after the yield")

    with pytest.warns(PipelineValidationWarning, match="yields"):
        pipe.on_startup(prepare)

    with pytest.raises(ValueError, match="after the yield"):
        await pipe.run({}).result()


def plain_route(value: object) -> Generator[str]:
    """Yield a step's name."""
    yield "work"


async def async_route(value: object) -> str:
    """Return a step's name."""
    return "work"


async def streaming_route(value: object) -> AsyncGenerator[str]:
    """Yield a step's name."""
    yield "work"


@pytest.mark.parametrize("route", [plain_route, async_route, streaming_route])
def test_the_routing_function_of_a_switch_is_a_plain_function(route: Any) -> None:
    """Its call has to return the route, so another kind of function is refused."""
    pipe: AnyPipe = Pipe(dict)

    with pytest.raises(DefinitionError, match="Use a plain function"):
        pipe.switch("choose", to=route)(lambda: None)


@pytest.mark.parametrize("hook", [plain_route, async_route, streaming_route])
def test_an_event_hook_is_a_plain_function(hook: Any) -> None:
    """Its call has to return the event, so another kind of function is refused."""
    pipe: AnyPipe = Pipe(dict)

    with pytest.raises(DefinitionError, match=f"Event hook '{hook.__name__}'"):
        pipe.add_event_hook(hook)


class Pool:
    """A callable object that yields, as a generator function does."""

    def __call__(self) -> Generator[str]:
        """Open and close the pool."""
        yield "open"


async def test_a_resource_may_be_an_object_whose_call_yields() -> None:
    """The value that it yields is the resource."""
    pipe: AnyPipe = Pipe(dict)
    pipe.resource(name="pool")(Pool())

    @pipe.step
    def use(state: dict[str, Any], pool: Any) -> None:
        state["pool"] = pool

    assert await pipe.run({}).result() == {"pool": "open"}


def test_a_resource_that_is_async_and_does_not_yield_is_refused() -> None:
    """It cannot be entered; the error says how to write it."""
    pipe: AnyPipe = Pipe(dict)

    async def pool() -> int:
        return 5

    with pytest.raises(DefinitionError, match="async function without 'yield'"):
        pipe.resource(pool)
