from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
import tenacity

from justpipe_actors import Event, EventType, Pipe, simple_logging_middleware
from justpipe_actors.errors import PipelineCancelled
from justpipe_actors.meta import StepNotes, current_step_notes
from justpipe_actors.middleware import tenacity_retry_middleware
from justpipe_actors.specs import StepContext


def context(retries: Any = 0, **extra: Any) -> StepContext:
    """Return the context of the step ``it`` for a middleware."""
    return StepContext("it", extra, "p", retries)


class Flaky:
    """A function that fails so many times before it returns."""

    def __init__(self, failures: int, error: BaseException | None = None) -> None:
        self.calls = 0
        self.failures = failures
        self.error = error or ValueError("flaky")

    def sync(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "done"

    async def later(self) -> str:
        return self.sync()

    def awaitable(self) -> Any:
        return self.later()


KINDS: list[Callable[[Flaky], Callable[..., Any]]] = [
    lambda flaky: flaky.sync,
    lambda flaky: flaky.later,
    lambda flaky: flaky.awaitable,
]


def test_without_retries_nothing_is_wrapped() -> None:
    """``retries=0`` returns the function itself."""
    func = Flaky(0).sync

    assert tenacity_retry_middleware(func, context(0)) is func
    assert tenacity_retry_middleware(func, context(None)) is func


@pytest.mark.virtual_time
@pytest.mark.parametrize("kind", KINDS, ids=["sync", "async", "awaitable"])
async def test_a_count_makes_that_many_further_calls(
    kind: Callable[[Flaky], Callable[..., Any]],
) -> None:
    """``retries=2`` allows three calls, for every kind of function."""
    flaky = Flaky(2)

    result = await tenacity_retry_middleware(kind(flaky), context(2))()

    assert (result, flaky.calls) == ("done", 3)


@pytest.mark.virtual_time
async def test_the_last_error_is_raised() -> None:
    """When all calls failed, their own error is raised, or RetryError if requested."""
    with pytest.raises(ValueError, match="flaky"):
        await tenacity_retry_middleware(Flaky(9).sync, context(1))()
    with pytest.raises(tenacity.RetryError):
        await tenacity_retry_middleware(
            Flaky(9).sync, context(1, retry_reraise=False)
        )()


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("extra", "expected"),
    [({}, 1 + 2 + 4), ({"retry_wait_min": 3, "retry_wait_max": 3.5}, 3 + 3 + 3.5)],
)
async def test_waits_grow_within_limits(extra: dict[str, Any], expected: float) -> None:
    """The waits are 1, 2, 4, ... seconds between a minimum and a maximum."""
    began = anyio.current_time()

    await tenacity_retry_middleware(Flaky(3).sync, context(3, **extra))()

    assert anyio.current_time() - began == pytest.approx(expected)


@pytest.mark.virtual_time
async def test_waiting_does_not_block_the_loop() -> None:
    """Other tasks run while a synchronous function waits for its next call."""
    log: list[str] = []

    async def other() -> None:
        await anyio.sleep(0.5)
        log.append("other")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        log.append(await tenacity_retry_middleware(Flaky(1).sync, context(1))())

    assert log == ["other", "done"]


FOREVER = {"retry": tenacity.retry_always, "stop": tenacity.stop_after_attempt(4)}


@pytest.mark.parametrize(
    "retries",
    [3, FOREVER, {"retry": tenacity.retry_if_exception_type(PipelineCancelled)}],
)
async def test_a_cancelled_pipeline_is_not_tried_again(retries: Any) -> None:
    """PipelineCancelled is raised at once, whatever the options say."""
    flaky = Flaky(9, PipelineCancelled("enough"))

    with pytest.raises(PipelineCancelled, match="enough"):
        await tenacity_retry_middleware(flaky.sync, context(retries))()

    assert flaky.calls == 1


async def test_a_cancellation_is_not_tried_again() -> None:
    """A cancelled step ends, even if every error is to be retried."""
    calls: list[str] = []

    async def sleep() -> None:
        calls.append("call")
        await anyio.sleep_forever()

    wrapped = tenacity_retry_middleware(sleep, context(FOREVER))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wrapped)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    assert calls == ["call"]


class Abort(BaseException):
    """A BaseException like KeyboardInterrupt."""


async def test_a_base_exception_is_not_tried_again() -> None:
    """Only exceptions are tried again, whatever the predicate says."""
    flaky = Flaky(9, Abort())

    with pytest.raises(Abort):
        await tenacity_retry_middleware(flaky.sync, context(FOREVER))()

    assert flaky.calls == 1


async def is_unfinished(attempt: tenacity.RetryCallState) -> bool:
    """Tell asynchronously that a result of None is to be tried again."""
    assert attempt.outcome is not None
    return attempt.outcome.result() is None


@pytest.mark.parametrize(
    "predicate", [tenacity.retry_if_result(lambda r: r is None), is_unfinished]
)
async def test_a_predicate_may_use_the_result(predicate: Any) -> None:
    """Options go to tenacity unchanged, so results can be tried again, also asynchronously."""
    answers = iter([None, None, "good"])

    wrapped = tenacity_retry_middleware(
        lambda: next(answers), context({"retry": predicate})
    )

    assert await wrapped() == "good"


def test_bad_options_are_refused_when_wrapping() -> None:
    """Options that tenacity does not know are a TypeError before anything runs."""
    with pytest.raises(TypeError):
        tenacity_retry_middleware(Flaky(0).sync, context({"colour": "red"}))


async def test_every_call_is_counted() -> None:
    """Each invocation has its own count."""
    options = {"stop": tenacity.stop_after_attempt(5)}
    tries = StepNotes()
    current_step_notes.set(tries)

    await tenacity_retry_middleware(Flaky(2).sync, context(options))()
    assert tries.tries == 3
    await tenacity_retry_middleware(Flaky(0).sync, context(options))()
    assert tries.tries == 1


@pytest.mark.virtual_time
async def test_an_event_has_the_number_of_calls() -> None:
    """STEP_END has it when there was more than one; the attempt stays 1."""
    flaky = Flaky(2)
    pipe = Pipe[Any, Any]()

    @pipe.step(retries=2)
    def it() -> None:
        flaky.sync()

    async with pipe.run({}) as run:
        ends: list[Event] = [e async for e in run if e.type is EventType.STEP_END]

    (end,) = ends
    assert end.meta is not None
    assert (end.meta["framework"]["tries"], end.attempt) == (3, 1)


async def numbers(log: list[str] | None = None) -> AsyncIterator[int]:
    """Stream two numbers; note an error that is thrown in, and the closing."""
    log = [] if log is None else log
    try:
        try:
            yield 1
        except LookupError:
            log.append("thrown")
        yield 2
    finally:
        log.append("closed")


def test_a_stream_is_not_tried_again() -> None:
    """A streaming step with retries is not wrapped, with a warning."""
    with pytest.warns(UserWarning, match="Streaming step 'it' cannot retry"):
        assert tenacity_retry_middleware(numbers, context(2)) is numbers


def test_without_tenacity_there_are_no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked for when wrapping; without it there is a warning."""
    monkeypatch.setattr("justpipe_actors.middleware.HAS_TENACITY", False)
    flaky = Flaky(0)
    func = flaky.sync

    with pytest.warns(UserWarning, match="tenacity"):
        assert tenacity_retry_middleware(func, context(2)) is func


@pytest.mark.parametrize("kind", KINDS, ids=["sync", "async", "awaitable"])
async def test_a_call_is_logged(
    kind: Callable[[Flaky], Callable[..., Any]], caplog: pytest.LogCaptureFixture
) -> None:
    """The duration of a call is logged at DEBUG, also of a failed one."""
    flaky = Flaky(1)
    wrapped = simple_logging_middleware(kind(flaky), context())

    with caplog.at_level(logging.DEBUG, logger="justpipe_actors"):
        with pytest.raises(ValueError, match="flaky"):
            await wrapped()
        assert await wrapped() == "done"

    assert [r.getMessage().startswith("Step 'it' took ") for r in caplog.records] == [
        True,
        True,
    ]


async def test_a_logged_stream_is_the_same_stream(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Items pass unchanged, and the whole stream is logged once."""
    wrapped = simple_logging_middleware(numbers, context())

    with caplog.at_level(logging.DEBUG, logger="justpipe_actors"):
        assert [item async for item in wrapped()] == [1, 2]

    assert len(caplog.records) == 1


async def test_a_logged_stream_is_closed_with_its_wrapper() -> None:
    """Closing the wrapper runs the step's own cleanup before it returns."""
    log: list[str] = []
    items = simple_logging_middleware(numbers, context())(log=log)
    await anext(items)

    await items.aclose()

    assert log == ["closed"]


async def test_an_error_thrown_into_a_logged_stream_reaches_the_step() -> None:
    """It is raised at the step's yield, and the step may go on."""
    log: list[str] = []
    items = simple_logging_middleware(numbers, context())(log=log)
    await anext(items)

    assert await items.athrow(LookupError()) == 2
    assert [item async for item in items] == []
    assert log == ["thrown", "closed"]


async def test_a_scope_around_a_logged_yield_stays_the_steps_own() -> None:
    """A deadline inside a streaming step ends inside it, logged or not."""
    log: list[str] = []

    async def hasty() -> AsyncIterator[int]:
        with anyio.CancelScope() as scope:
            scope.cancel()
            yield 1
        log.append("caught" if scope.cancelled_caught else "missed")

    items = simple_logging_middleware(hasty, context())()
    await anext(items)
    with pytest.raises(StopAsyncIteration):
        try:
            await anyio.lowlevel.checkpoint()
        except anyio.get_cancelled_exc_class() as error:
            await items.athrow(error)

    assert log == ["caught"]
