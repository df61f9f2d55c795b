"""Plain generators stream wherever async generators do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from justpipe_actors import EventType, Pipe, Suspend
from justpipe_actors.types import PipelineTerminalStatus


AnyPipe = Pipe[Any, Any]


async def tokens_of(pipe: AnyPipe, state: Any) -> list[Any]:
    """Run a pipe and return what it streamed."""
    async with pipe.run(state) as run:
        return [e.payload async for e in run if e.type is EventType.TOKEN]


@pytest.mark.parametrize("placement", [None, "thread"])
async def test_a_generator_step_streams(placement: str | None) -> None:
    """Each item is a token, and the code after the last one runs."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step(to="after", placement=placement)
    def numbers(state: dict[str, Any]) -> Iterator[int]:
        state["thread"] = threading.current_thread()
        yield 1
        yield 2
        state["done"] = True

    @pipe.step
    def after(state: dict[str, Any]) -> None:
        state["after"] = True

    state: dict[str, Any] = {}
    assert await tokens_of(pipe, state) == [1, 2]
    is_here = state.pop("thread") is threading.current_thread()
    assert is_here is (placement is None)
    assert state == {"done": True, "after": True}


async def test_the_return_value_of_a_generator_is_the_result_of_its_step() -> None:
    """A returned name starts that step; a yielded text is a token."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step(routes=["chosen"])
    def choose(state: dict[str, Any]) -> Any:
        yield "looking"
        return "chosen"

    @pipe.step
    def chosen(state: dict[str, Any]) -> None:
        state["chosen"] = True

    state: dict[str, Any] = {}
    assert await tokens_of(pipe, state) == ["looking"]
    assert state == {"chosen": True}


async def test_a_generator_may_yield_a_signal() -> None:
    """``Suspend`` works as in an async generator."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step
    def stop(state: dict[str, Any]) -> Any:
        yield 1
        yield Suspend("later")

    async with pipe.run({}) as run:
        kinds = [event.type async for event in run]

    assert EventType.SUSPEND in kinds


async def test_a_generator_expression_streams_too() -> None:
    """A generator that a plain function returns is a stream."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("squares")(lambda state: (n * n for n in range(3)))

    assert await tokens_of(pipe, {}) == [0, 1, 4]


async def test_a_switch_that_streams_chooses_by_its_return_value() -> None:
    """Its tokens come before the chosen step."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.switch(to={"yes": "a", "no": "b"})
    def choose(state: dict[str, Any]) -> Any:
        yield "thinking"
        return "no"

    pipe.step("a")(lambda state: state.update(a=True))
    pipe.step("b")(lambda state: state.update(b=True))

    state: dict[str, Any] = {}
    assert await tokens_of(pipe, state) == ["thinking"]
    assert state == {"b": True}


async def test_a_sub_that_streams_returns_the_state_of_its_child() -> None:
    """The child works on the return value of the generator."""
    child: AnyPipe = Pipe(dict)
    child.step("inner")(lambda state: state.update(inner=True))
    pipe: AnyPipe = Pipe(dict)

    @pipe.sub(pipeline=child)
    def descend(state: dict[str, Any]) -> Any:
        yield "going down"
        return state

    state: dict[str, Any] = {}
    assert await tokens_of(pipe, state) == ["going down"]
    assert state == {"inner": True}


async def test_a_handler_may_stream() -> None:
    """Its tokens are published, and its return value is its result."""
    pipe: AnyPipe = Pipe(dict)

    def handler(error: Exception) -> Any:
        yield f"mending {error}"

    @pipe.step(on_error=handler)
    def fail(state: dict[str, Any]) -> None:
        raise ValueError("it")

    assert await tokens_of(pipe, {}) == ["mending it"]


@pytest.mark.parametrize("kind", ["generator", "class"])
async def test_a_resource_may_be_synchronous(kind: str) -> None:
    """A plain generator function or context manager is a resource."""
    log: list[str] = []
    pipe: AnyPipe = Pipe(list)

    if kind == "generator":

        @pipe.resource
        def pool() -> Iterator[str]:
            log.append("open")
            yield "the pool"
            log.append("closed")

    else:

        @pipe.resource(name="pool")
        class Pool:
            def __enter__(self) -> str:
                log.append("open")
                return "the pool"

            def __exit__(self, *error: object) -> None:
                log.append("closed")

    @pipe.step
    async def use(state: list[str], pool: str) -> None:
        log.append(pool)

    end = await pipe.run([]).wait()

    assert end.status is PipelineTerminalStatus.SUCCESS
    assert log == ["open", "the pool", "closed"]


async def test_an_endless_generator_can_be_cancelled() -> None:
    """The run ends between two items, and the generator is closed."""
    closed: list[bool] = []
    pipe: AnyPipe = Pipe(dict)

    @pipe.step
    def endless(state: dict[str, Any]) -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    async with pipe.run({}) as run:
        async for event in run:
            if event.type is EventType.TOKEN:
                break

    assert closed == [True]


@pytest.mark.virtual_time
async def test_a_cancellation_is_thrown_into_the_generator() -> None:
    """The cleanup of the generator can see why it ends."""
    seen: list[str] = []
    pipe: AnyPipe = Pipe(dict, queue_size=1)

    @pipe.step(timeout=0.01)
    def numbers(state: dict[str, Any]) -> Iterator[int]:
        try:
            while True:
                yield 1
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    async with pipe.run({}) as run:
        async for event in run:
            if event.type is EventType.TOKEN:
                await anyio.sleep(1)
                break

    assert seen != []


async def test_retries_of_a_streaming_step_give_a_warning() -> None:
    """Published tokens cannot be taken back, whatever kind of generator it is."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step(retries=2)
    def numbers(state: dict[str, Any]) -> Iterator[int]:
        yield 1

    with pytest.warns(UserWarning, match="cannot retry automatically"):
        assert await tokens_of(pipe, {}) == [1]
