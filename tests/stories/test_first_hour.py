"""Messages for the first mistakes of new users."""

from __future__ import annotations

import gc
import logging
import time
import warnings
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import anyio.lowlevel
import pytest

from justpipe_actors import Pipe
from justpipe_actors._engine import blocking, commit, user_code
from justpipe_actors._util.blocking_calls import BLOCKING_LIMIT
from justpipe_actors.errors import IgnoredValueWarning
from justpipe_actors.signals import _Map, _Run
from justpipe_actors.types import PipelineTerminalStatus


AnyPipe = Pipe[Any, Any]


async def test_a_run_that_is_never_begun_is_warned_about() -> None:
    """A forgotten ``await`` or loop gives a warning."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a")(lambda state: None)

    with pytest.warns(RuntimeWarning, match="never begun"):
        pipe.run({})
        gc.collect()


async def test_a_synchronous_step_that_blocks_the_loop_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log names the step and the remedy, once in a run."""
    pipe: AnyPipe = Pipe(dict)
    pipe.map("each", each="block")(lambda state: [1, 2])
    pipe.step("block")(lambda item: time.sleep(1.01))

    with caplog.at_level(logging.WARNING):
        await pipe.run({}).wait()

    (record,) = [r for r in caplog.records if "held the event loop" in r.getMessage()]
    assert "Step 'block'" in record.getMessage()
    assert "placement='thread'" in record.getMessage()


SHORT_LIMIT = 0.2


@pytest.fixture
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function may hold the loop for a shorter time."""
    for module in (blocking, commit, user_code):
        monkeypatch.setattr(module, "BLOCKING_LIMIT", SHORT_LIMIT)


def _hold() -> None:
    time.sleep(SHORT_LIMIT + 0.01)


def _wait_and_block(pipe: AnyPipe) -> None:
    @pipe.step
    async def work() -> None:
        await anyio.lowlevel.checkpoint()
        _hold()
        await anyio.lowlevel.checkpoint()


def _block_without_waiting(pipe: AnyPipe) -> None:
    @pipe.step
    async def work() -> None:
        _hold()


def _block_and_wait(pipe: AnyPipe) -> None:
    @pipe.step
    async def work() -> None:
        _hold()
        await anyio.lowlevel.checkpoint()


def _block_and_fail(pipe: AnyPipe) -> None:
    @pipe.step
    def work() -> None:
        _hold()
        raise TimeoutError


def _stream(pipe: AnyPipe) -> None:
    @pipe.step
    async def work() -> AsyncGenerator[int]:
        yield 1
        _hold()
        yield 2


def _stream_plainly(pipe: AnyPipe) -> None:
    @pipe.step
    def work() -> Generator[int]:
        yield 1
        _hold()


def _map(pipe: AnyPipe) -> None:
    @pipe.map(each="item")
    def work() -> list[int]:
        _hold()
        return [1]

    pipe.step("item")(lambda item: None)


def _switch(pipe: AnyPipe) -> None:
    @pipe.switch(to={None: "other"})
    async def work() -> None:
        _hold()

    pipe.step("other")(lambda: None)


def _handler(pipe: AnyPipe) -> None:
    @pipe.step(on_error=lambda error: _hold())
    def work() -> None:
        raise ValueError


BLOCKING = [
    _wait_and_block,
    _block_without_waiting,
    _block_and_wait,
    _block_and_fail,
    _stream,
    _stream_plainly,
    _map,
    _switch,
    _handler,
]


@pytest.mark.usefixtures("short_limit")
@pytest.mark.parametrize("define", BLOCKING)
async def test_any_function_that_holds_the_loop_is_logged(
    define: Callable[[AnyPipe], None], caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the step, wherever its function blocks, and the remedy."""
    pipe: AnyPipe = Pipe(dict)
    define(pipe)

    with caplog.at_level(logging.WARNING, "justpipe_actors.steps"):
        await pipe.run({}).wait()

    (record,) = [
        r
        for r in caplog.records
        if "step 'work'" in r.getMessage().lower()
        and "held the event loop" in r.getMessage()
    ]
    assert "tep 'work'" in record.getMessage()
    assert "placement='thread'" in record.getMessage()


@pytest.mark.virtual_time
async def test_a_step_that_waits_long_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Waiting holds nothing up, however long it takes."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step
    async def work() -> None:
        await anyio.sleep(1.1)

    with caplog.at_level(logging.WARNING):
        await pipe.run({}).wait()

    assert not caplog.records


def _slow_child(pipe: AnyPipe) -> None:
    child: AnyPipe = Pipe(dict)

    @child.step
    async def wait() -> None:
        await anyio.sleep(1.1)

    pipe.step("work")(lambda state: _Run(child, state))


def _slow_workers(pipe: AnyPipe) -> None:
    pipe.step("work", routes=["item"])(lambda state: _Map([1, 2], "item"))

    @pipe.step("item")
    async def wait(item: int) -> None:
        await anyio.sleep(1.1)


@pytest.mark.virtual_time
@pytest.mark.parametrize("define", [_slow_child, _slow_workers])
async def test_a_step_that_returns_slow_work_is_not_logged(
    define: Callable[[AnyPipe], None], caplog: pytest.LogCaptureFixture
) -> None:
    """The step ends with the work that it returned, and the loop is free meanwhile."""
    pipe: AnyPipe = Pipe(dict)
    define(pipe)

    with caplog.at_level(logging.WARNING):
        end = await pipe.run({}).wait()

    assert end.status is PipelineTerminalStatus.SUCCESS
    assert end.duration_s > BLOCKING_LIMIT
    assert not caplog.records


@pytest.mark.usefixtures("short_limit")
async def test_the_log_names_the_line_that_follows_the_block(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The step is named with its definition, and with the wait behind the block."""
    pipe: AnyPipe = Pipe(dict)
    _wait_and_block(pipe)

    with caplog.at_level(logging.WARNING):
        await pipe.run({}).wait()

    (record,) = [r for r in caplog.records if "held the event loop" in r.getMessage()]
    line = _wait_and_block.__code__.co_firstlineno
    assert f"(test_first_hour.py:{line + 1})" in record.getMessage()
    assert f"test_first_hour.py:{line + 5} in " in record.getMessage()


async def test_an_ignored_value_is_warned_about_at_the_users_line() -> None:
    """The warning points to the step and comes once, not for every item."""
    pipe: AnyPipe = Pipe(dict)
    pipe.map("each", each="square")(lambda state: range(5))

    @pipe.step
    def square(item: int) -> int:
        return item * item

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        await pipe.run({}).wait()

    (warning,) = [w for w in caught if w.category is IgnoredValueWarning]
    assert warning.filename == __file__
