"""Handlers, exception groups, sources of failures, and retries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from justpipe_actors import Event, EventType, Pipe
from justpipe_actors.observability import Observer
from justpipe_actors.types import (
    FailureClassificationConfig,
    FailureSource,
    PipelineEndData,
    PipelineTerminalStatus,
)


FAILED = PipelineTerminalStatus.FAILED
SUCCESS = PipelineTerminalStatus.SUCCESS


def single(func: Callable[..., Any], **options: Any) -> Pipe[Any, Any]:
    """Return a pipe with one step ``a``."""
    pipe: Pipe[Any, Any] = Pipe(None, **options)
    pipe.step("a")(func)
    return pipe


async def run_to_end(pipe: Pipe[Any, Any], state: Any = None) -> PipelineEndData:
    """Run a pipe to its end."""
    async with pipe.run({} if state is None else state) as run:
        return await run.wait()


class Diary(Observer):
    """An observer that keeps events and raises errors."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.last: list[object] = []

    async def on_event(self, state: Any, context: Any, meta: Any, event: Event) -> None:
        """Keep an event, then raise at every STEP_START."""
        await anyio.lowlevel.checkpoint()
        self.heard.append(event.type.value)
        if event.type is EventType.STEP_START:
            raise ValueError("stumble")

    async def on_pipeline_end(
        self, state: Any, context: Any, meta: Any, duration_s: float
    ) -> None:
        """Keep the end of a successful run."""
        self.last.append("end")

    async def on_pipeline_error(
        self, state: Any, context: Any, meta: Any, error: Exception
    ) -> None:
        """Keep the exception of a failed run."""
        self.last.append(error)


@pytest.mark.virtual_time
async def test_on_failure_stop() -> None:
    """With on_failure="stop" a failure interrupts all other steps."""
    pipe: Pipe[Any, Any] = Pipe(None, on_failure="stop")
    pipe.step("r", to=["x", "y"])(lambda state: None)

    @pipe.step
    async def x(state: Any) -> None:
        await anyio.sleep(1)
        raise ValueError("boom")

    @pipe.step
    async def y(state: Any) -> None:
        await anyio.sleep_forever()

    end = await run_to_end(pipe)
    assert (end.status, end.failed_step, end.error) == (FAILED, "x", "boom")


async def test_a_failing_handler_passes_on_its_own_error() -> None:
    """Each level is asked once; the first error is the cause of the next."""
    seen: list[tuple[Any, Any, str]] = []
    pipe: Pipe[Any, Any] = Pipe(None)

    def local(error: Exception) -> None:
        raise KeyError("handler")

    @pipe.on_error
    def everywhere(error: Exception, step_name: str) -> None:
        seen.append((type(error), type(error.__cause__), step_name))

    pipe.step("a", on_error=local)(lambda state: 1 / 0)
    end = await run_to_end(pipe)

    assert end.status is SUCCESS
    assert seen == [(KeyError, ZeroDivisionError, "a")]


async def test_groups_are_kept_whole() -> None:
    """Observers get an exception group as the step raised it."""
    diary = Diary()
    group = ExceptionGroup("two", [ValueError(1), KeyError(2)])

    def fail(state: Any) -> None:
        raise group

    pipe = single(fail)
    pipe.add_observer(diary)
    await run_to_end(pipe)
    assert diary.last == [group]


async def test_a_classifier_that_raises() -> None:
    """Its error is recorded, and it is called for the next failure again."""
    seen: list[type[Exception]] = []

    def classify(context: Any) -> FailureSource | None:
        seen.append(type(context.error))
        if context.step == "a":
            raise RuntimeError("classifier")
        return FailureSource.EXTERNAL_DEP

    def fail(state: Any) -> None:
        raise OSError("away")

    config = FailureClassificationConfig(source_classifier=classify)
    pipe = single(fail, failure_classification=config)
    pipe.on_shutdown(fail)
    end = await run_to_end(pipe)

    assert seen == [OSError, OSError]
    assert [(r.source.value, r.reason.value) for r in end.errors] == [
        ("user_code", "step_error"),
        ("external_dep", "shutdown_hook_error"),
        ("framework", "classifier_error"),
    ]


async def test_a_source_that_fails_midway() -> None:
    """The started workers finish, then the map fails with the source's error."""
    done: list[int] = []
    pipe: Pipe[Any, Any] = Pipe(None)

    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("gone")

    pipe.map("m", each="w")(lambda state: source())
    pipe.step("w")(lambda state, item: done.append(item))
    end = await run_to_end(pipe)

    assert done == [1, 2]
    assert (end.failed_step, end.error) == ("m", "gone")


@pytest.mark.virtual_time
async def test_a_shutdown_hook_that_never_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A cancelled run gives it up after the grace and names it; the other hooks run."""
    log: list[str] = []

    class Stuck(Observer):
        async def on_pipeline_end(self, *args: Any) -> None:
            await anyio.sleep_forever()

    pipe: Pipe[Any, Any] = Pipe(None)
    pipe.step("a")(anyio.sleep_forever)
    pipe.on_shutdown(anyio.sleep_forever)
    pipe.on_shutdown(lambda: log.append("second"))
    pipe.add_observer(Stuck())
    async with pipe.run({}) as run:
        async for event in run:
            if event.type is EventType.STEP_START:
                run.cancel("enough")

    assert log == ["second"]
    assert run.end is not None
    assert (run.end.status.value, run.end.error) == ("cancelled", "enough")
    assert [record.reason.value for record in run.end.errors] == ["shutdown_hook_error"]
    assert "Observer Stuck was given up" in caplog.text
