"""Every failure has a place, whatever users' objects do; rows W4 to W31 that apply."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import attrs
import pytest

from justpipe_actors import Event, EventType, Meta, Pipe, Stop
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


async def end_of(pipe: Pipe[Any, Any], state: Any = None) -> PipelineEndData:
    """Run a pipe to its end."""
    async with pipe.run({} if state is None else state) as run:
        return await run.wait()


class Hostile:
    """An object that objects to everything."""

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        raise RuntimeError("no str")

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no eq")

    def __bool__(self) -> bool:
        raise RuntimeError("no bool")


class HostileError(Exception):
    """An exception whose text raises."""

    def __str__(self) -> str:
        raise RuntimeError("no str")


class Diary(Observer):
    """An observer that remembers, and stumbles."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.last: list[object] = []

    async def on_event(self, state: Any, context: Any, meta: Any, event: Event) -> None:
        """Remember an event, then raise at every STEP_START."""
        await anyio.lowlevel.checkpoint()
        self.heard.append(event.type.value)
        if event.type is EventType.STEP_START:
            raise ValueError("stumble")

    async def on_pipeline_end(
        self, state: Any, context: Any, meta: Any, duration_s: float
    ) -> None:
        """Remember a good end."""
        self.last.append("end")

    async def on_pipeline_error(
        self, state: Any, context: Any, meta: Any, error: Exception
    ) -> None:
        """Remember the exception of a bad one."""
        self.last.append(error)


async def test_w10_hostile_objects() -> None:
    """W10: states, results and errors that raise when formatted end no run."""

    def fail(state: Any) -> None:
        raise HostileError

    end = await end_of(single(fail), Hostile())
    assert (end.status, end.failed_step) == (FAILED, "a")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        end = await end_of(single(lambda state: Hostile()), Hostile())
    assert end.status is SUCCESS


async def test_w10_the_state_can_be_kept_out_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """W10: the error log shows the state, what a function makes of it, or nothing."""

    def fail(state: Any) -> None:
        raise ValueError("boom")

    options: list[Any] = [True, False, lambda state: "hidden"]
    for option in options:
        await end_of(single(fail, log_state=option), {"key": "secret"})
    texts = [record.getMessage() for record in caplog.records]

    assert [("secret" in text, "hidden" in text) for text in texts] == [
        (True, False),
        (False, False),
        (False, True),
    ]
    assert all(t.startswith("Step 'a' failed with ValueError: boom") for t in texts)


async def test_w11_a_broken_event_hook() -> None:
    """W11: a hook that raises fails the run as infra; FINISH still comes, then the error."""
    pipe = single(lambda state: None)

    def hook(event: Event) -> Event:
        if event.type is EventType.STEP_END:
            raise LookupError("hook")
        return event

    pipe.add_event_hook(hook)
    events = []
    with pytest.raises(LookupError, match="hook"):
        async for event in pipe.run({}):
            events.append(event)

    assert events[-1].type is EventType.FINISH
    assert events[-1].payload.failure_kind.value == "infra"


async def test_w11_a_hook_cannot_hide_a_failure() -> None:
    """W11: a rewritten STEP_ERROR is still a failure."""
    pipe = single(lambda state: 1 / 0)
    pipe.add_event_hook(
        lambda event: (
            dataclasses.replace(event, type=EventType.TOKEN)
            if event.type is EventType.STEP_ERROR
            else event
        )
    )

    assert (await end_of(pipe)).status is FAILED


async def test_w8_observers_hear_every_ending() -> None:
    """W8 and W28: FINISH and the last callback come before the consumer's FINISH."""
    good, bad, left = Diary(), Diary(), Diary()

    pipe = single(lambda state: None)
    pipe.add_observer(good)
    async with pipe.run({}) as run:
        async for event in run:
            if event.type is EventType.FINISH:
                assert good.last == ["end"]
    assert good.heard == ["start", "step_start", "step_end", "finish"]

    pipe = single(lambda state: 1 / 0)
    pipe.add_observer(bad)
    await end_of(pipe)
    assert [type(error) for error in bad.last] == [ZeroDivisionError]

    async def stream(state: Any) -> Any:
        yield 1
        await anyio.sleep_forever()

    pipe = single(stream)
    pipe.add_observer(left)
    async with pipe.run({}) as run:
        async for event in run:
            if event.type is EventType.TOKEN:
                break
    assert left.heard == ["start", "step_start", "token", "finish"]
    assert left.last == ["end"]
    assert run.end is not None
    assert run.end.status is PipelineTerminalStatus.CLIENT_CLOSED


@pytest.mark.virtual_time
async def test_on_failure_stop() -> None:
    """With on_failure="stop" a failure interrupts everything else."""
    pipe: Pipe[Any, Any] = Pipe(None, on_failure="stop")
    pipe.step("r", to=["x", "y"])(lambda state: None)

    @pipe.step
    async def x(state: Any) -> None:
        await anyio.sleep(1)
        raise ValueError("boom")

    @pipe.step
    async def y(state: Any) -> None:
        await anyio.sleep_forever()

    end = await end_of(pipe)
    assert (end.status, end.failed_step, end.error) == (FAILED, "x", "boom")


@pytest.mark.virtual_time
async def test_w20_a_subs_timeout_bounds_its_child() -> None:
    """W20: a sub's timeout ends the child, whose shutdown hooks run."""
    closed: list[str] = []
    child = single(lambda state: None)
    child = Pipe(None)

    @child.step
    async def wait(state: Any) -> None:
        await anyio.sleep_forever()

    child.on_shutdown(lambda: closed.append("child"))
    pipe: Pipe[Any, Any] = Pipe(None)
    pipe.sub("s", pipeline=child, timeout=5)(lambda state: {})
    end = await end_of(pipe)

    assert closed == ["child"]
    assert (end.failed_step, end.error) == ("s", "Step 's' timed out after 5s")


@pytest.mark.virtual_time
async def test_retries_wait_without_blocking() -> None:
    """``retries=2`` makes three calls in one invocation and tells how many."""
    calls: list[int] = []
    pipe: Pipe[Any, Any] = Pipe(None)

    @pipe.step(retries=2)
    def a(state: Any) -> None:
        calls.append(1)
        raise ValueError("again")

    async with pipe.run({}) as run:
        events = [event async for event in run]
    error = next(e for e in events if e.type is EventType.STEP_ERROR)

    assert len(calls) == 3
    assert error.meta is not None
    assert error.meta["framework"]["tries"] == 3


async def test_w19_a_cancellation_is_never_retried() -> None:
    """W19: retries leave PipelineCancelled alone, and a new run has a new token."""
    calls: list[int] = []
    pipe: Pipe[Any, Any] = Pipe(None)

    @pipe.step(retries=2)
    async def a(cancel: Any) -> None:
        calls.append(1)
        await cancel.checkpoint()

    pipe.cancellation_token.cancel("enough")
    end = await end_of(pipe)

    assert calls == [1]
    assert (end.status.value, end.error) == ("cancelled", "enough")


async def test_the_chain_goes_up_once() -> None:
    """A handler that fails passes its own error on, with the first one as its cause."""
    seen: list[tuple[Any, Any, str]] = []
    pipe: Pipe[Any, Any] = Pipe(None)

    def local(error: Exception) -> None:
        raise KeyError("handler")

    @pipe.on_error
    def everywhere(error: Exception, step_name: str) -> None:
        seen.append((type(error), type(error.__cause__), step_name))

    pipe.step("a", on_error=local)(lambda state: 1 / 0)
    end = await end_of(pipe)

    assert end.status is SUCCESS
    assert seen == [(KeyError, ZeroDivisionError, "a")]


async def test_groups_are_kept_whole() -> None:
    """An exception group reaches observers as the group it is."""
    diary = Diary()
    group = ExceptionGroup("two", [ValueError(1), KeyError(2)])

    def fail(state: Any) -> None:
        raise group

    pipe = single(fail)
    pipe.add_observer(diary)
    await end_of(pipe)
    assert diary.last == [group]


async def test_w27_classifiers_see_the_exception_itself() -> None:
    """W27: hooks' failures reach the classifier as raised; a broken one is a record."""
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
    end = await end_of(pipe)

    assert seen == [OSError, OSError]
    assert [(r.source.value, r.reason.value) for r in end.errors] == [
        ("user_code", "step_error"),
        ("external_dep", "shutdown_hook_error"),
        ("framework", "classifier_error"),
    ]


async def test_w16_stop_cancels_workers_in_line() -> None:
    """W16: Stop from a worker leaves the other nine hundred unstarted, and ends well."""
    seen: list[int] = []
    pipe: Pipe[Any, Any] = Pipe(None)
    pipe.map("m", each="w", max_concurrency=1, to="after")(lambda state: range(1000))

    @pipe.step
    def w(state: Any, item: int) -> Any:
        seen.append(item)
        return Stop if item == 3 else None

    pipe.step("after")(lambda state: None)
    end = await end_of(pipe)

    assert end.status is SUCCESS
    assert seen == [0, 1, 2, 3]


async def test_a_source_that_fails_midway() -> None:
    """D18: the workers that were started finish, then the map fails with the error."""
    done: list[int] = []
    pipe: Pipe[Any, Any] = Pipe(None)

    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("gone")

    pipe.map("m", each="w")(lambda state: source())
    pipe.step("w")(lambda state, item: done.append(item))
    end = await end_of(pipe)

    assert done == [1, 2]
    assert (end.failed_step, end.error) == ("m", "gone")


async def test_w21_meta_is_whose_it_is() -> None:
    """W21: notes belong to their invocation and run, a map function's to the map."""

    @attrs.define
    class Context:
        meta: Meta | None = None

    pipe: Pipe[Any, Any] = Pipe(dict, Context, metadata={"version": 1})

    @pipe.map(each="w")
    def m(state: Any, ctx: Any) -> list[int]:
        ctx.meta.step.set("by", "map")
        return [1, 2]

    @pipe.step
    def w(item: int, ctx: Any) -> None:
        ctx.meta.step.set("by", item)
        ctx.meta.run.increment("items")
        assert ctx.meta.pipeline.get("version") == 1

    async with pipe.run({}, Context()) as run:
        events = [event async for event in run]
    ends = [e for e in events if e.type is EventType.STEP_END]

    assert [e.meta["data"]["by"] for e in ends if e.meta] == [1, 2, "map"]
    assert events[-1].meta == {"counters": {"items": 2}}


async def test_w32_failures_are_bounded() -> None:
    """W32: a run that fails very often keeps the first thousand and a count."""
    pipe: Pipe[Any, Any] = Pipe(None, log_state=False)
    pipe.map("m", each="w")(lambda state: range(1500))
    pipe.step("w")(lambda state, item: 1 / 0)
    end = await end_of(pipe)

    assert len(end.errors) == 1001
    assert end.errors[-1].error == "... and 500 more failures"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, BaseException])
async def test_w9_a_base_exception(kind: type[BaseException]) -> None:
    """W9: it fails the run as infra, FINISH says so, and then it is raised as itself."""

    def abort(state: Any) -> None:
        raise kind

    events = []
    with pytest.raises(kind):
        async for event in single(abort).run({}):
            events.append(event)
    end = events[-1].payload

    assert (end.status, end.failure_kind.value, end.failed_step) == (
        FAILED,
        "infra",
        "a",
    )


async def test_options_without_effect_say_so() -> None:
    """An option that does nothing here warns instead of pretending."""
    with pytest.warns(UserWarning, match="no effect"):
        Pipe(None, persist=True)
