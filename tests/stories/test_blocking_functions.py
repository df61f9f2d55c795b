"""A hook, an observer or a resource that holds the event loop is named in the log.

In all tests but one a blocking function only advances the clock by which holds are measured.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Generator
from itertools import count
from typing import Any

import anyio.lowlevel
import pytest

from justpipe_actors import Event, EventType, Pipe, Supervisor
from justpipe_actors._engine import blocking, commit, user_code
from justpipe_actors._publishing import event_publisher
from justpipe_actors._util import blocking_calls
from justpipe_actors.observability import Observer


AnyPipe = Pipe[Any, Any]
Define = Callable[[AnyPipe, Callable[[], None]], None]


class _Clock:
    """Stands still unless a function blocks."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def block(self) -> None:
        self.seconds += 1.2


@pytest.fixture
def block(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that seems to hold the loop for more than a second."""
    clock = _Clock()
    for module in (blocking_calls, event_publisher):
        monkeypatch.setattr(module, "monotonic", lambda: clock.seconds)
    return clock.block


def _pipe() -> AnyPipe:
    pipe: AnyPipe = Pipe(dict)
    pipe.step("only")(lambda state: None)
    return pipe


def _startup(pipe: AnyPipe, block: Callable[[], None]) -> None:
    @pipe.on_startup
    def connect() -> None:
        block()


def _async_startup(pipe: AnyPipe, block: Callable[[], None]) -> None:
    @pipe.on_startup
    async def connect() -> None:
        await anyio.lowlevel.checkpoint()
        block()


def _failing_startup(pipe: AnyPipe, block: Callable[[], None]) -> None:
    @pipe.on_startup
    def connect() -> None:
        block()
        raise OSError


def _generator_startup(pipe: AnyPipe, block: Callable[[], None]) -> None:
    @pipe.on_startup
    async def connect() -> AsyncGenerator[None]:
        yield
        block()


def _shutdown(pipe: AnyPipe, block: Callable[[], None]) -> None:
    @pipe.on_shutdown
    async def connect() -> None:
        block()
        await anyio.lowlevel.checkpoint()
        block()


def _event_hook(pipe: AnyPipe, block: Callable[[], None]) -> None:
    def connect(event: Event) -> Event:
        block()
        return event

    pipe.add_event_hook(connect)


def _eager_resource(pipe: AnyPipe, block: Callable[[], None]) -> None:
    @pipe.resource(eager=True)
    def connect() -> Generator[int]:
        block()
        yield 1


def _closing_resource(pipe: AnyPipe, block: Callable[[], None]) -> None:
    @pipe.resource(eager=True)
    async def connect() -> AsyncGenerator[int]:
        await anyio.lowlevel.checkpoint()
        yield 1
        block()


def _observer(pipe: AnyPipe, block: Callable[[], None]) -> None:
    class Connect(Observer):
        async def on_event(
            self, state: Any, context: Any, meta: Any, event: Event
        ) -> None:
            await anyio.lowlevel.checkpoint()
            if event.type is EventType.STEP_START:
                block()

    pipe.add_observer(Connect())


CASES = [
    (_startup, "Startup hook 'connect'", "Make it async, and call what"),
    (_async_startup, "Startup hook 'connect'", "Call what blocks with"),
    (_failing_startup, "Startup hook 'connect'", "Make it async, and call what"),
    (_generator_startup, "Startup hook 'connect'", "Call what blocks with"),
    (_shutdown, "Shutdown hook 'connect'", "Call what blocks with"),
    (_event_hook, "Event hook 'connect'", "Do what blocks in an observer, with"),
    (_eager_resource, "Resource 'connect'", "Make it async, and call what"),
    (_closing_resource, "Resource 'connect'", "Call what blocks with"),
    (_observer, "Observer Connect.on_event", "Call what blocks with"),
]


@pytest.mark.filterwarnings("ignore:Hook 'connect' yields")
@pytest.mark.parametrize(("define", "subject", "remedy"), CASES)
async def test_a_function_around_the_steps_that_holds_the_loop_is_logged(
    define: Define,
    subject: str,
    remedy: str,
    block: Callable[[], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log names the function, its line and the remedy, once in a run."""
    pipe = _pipe()
    define(pipe, block)

    with caplog.at_level(logging.WARNING):
        await pipe.run({}).wait()

    (text,) = _holds(caplog)
    assert text.startswith(f"{subject} (test_blocking_functions.py:")
    assert " held the event loop for 1.2 s" in text
    assert "and nothing else ran meanwhile. " + remedy in text
    assert text.endswith("anyio.to_thread.run_sync().")


async def test_the_log_names_the_wait_that_follows_the_block_of_a_hook(
    block: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    """As the log of a step does."""
    pipe = _pipe()
    _shutdown(pipe, block)

    with caplog.at_level(logging.WARNING):
        await pipe.run({}).wait()

    line = _shutdown.__code__.co_firstlineno + 4
    (text,) = _holds(caplog)
    assert f"for 1.2 s, before {__file__}:{line} in " in text


async def test_a_step_is_not_blamed_for_an_event_hook_that_blocks(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook runs in the time of a step, when the step streams or begins."""
    for module in (blocking_calls, event_publisher, blocking, commit, user_code):
        monkeypatch.setattr(module, "BLOCKING_LIMIT", 0.2)
    child: AnyPipe = Pipe(dict)
    pipe: AnyPipe = Pipe(dict)
    pipe.sub("inner", pipeline=child)(lambda state: state)

    @child.step
    async def talk() -> AsyncGenerator[int]:
        yield 1
        yield 2

    def slow(event: Event) -> Event:
        if event.type in {EventType.STEP_START, EventType.TOKEN}:
            time.sleep(0.21)
        return event

    pipe.add_event_hook(slow)

    with caplog.at_level(logging.WARNING):
        await pipe.run({}).wait()

    (text,) = _holds(caplog)
    assert text.startswith("Event hook 'slow'")


async def test_a_resource_of_a_supervisor_that_holds_the_loop_is_logged(
    block: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    """The resource is named although no run opened it."""
    pipe = _pipe()
    _eager_resource(pipe, block)

    with caplog.at_level(logging.WARNING):
        async with Supervisor(pipe):
            pass

    (text,) = _holds(caplog)
    assert text.startswith("Resource 'connect' (test_blocking_functions.py:")


async def test_time_that_a_hook_or_a_resource_waits_is_not_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the parts between two waits hold the loop."""
    pipe = _pipe()

    @pipe.on_startup
    async def connect() -> None:
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()

    ticks = count()
    monkeypatch.setattr(blocking_calls, "monotonic", lambda: next(ticks) * 0.9)

    with caplog.at_level(logging.WARNING):
        await pipe.run({}).wait()

    assert next(ticks) > 4
    assert not _holds(caplog)


def _holds(caplog: pytest.LogCaptureFixture) -> list[str]:
    texts = [record.getMessage() for record in caplog.records]
    return [text for text in texts if "held the event loop" in text]
