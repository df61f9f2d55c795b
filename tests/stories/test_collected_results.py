"""Results of map workers, collected into the state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import anyio
import attrs
import pytest

from justpipe_actors import DefinitionError, Pipe, Retry, Skip, Stop
from justpipe_actors.types import PipelineTerminalStatus


AnyPipe = Pipe[Any, Any]


def mapping(worker: Any, **options: Any) -> AnyPipe:
    """Return a pipe that maps ``state["items"]`` and collects into ``squares``."""
    pipe: AnyPipe = Pipe(dict)
    pipe.map("each", each="worker", to="after", collect="squares", **options)(
        lambda state: state["items"]
    )
    pipe.step("worker", retries=0)(worker)
    pipe.step("after")(lambda state: state.update(after=list(state["squares"])))
    return pipe


async def test_results_come_in_item_order() -> None:
    """The order of the items decides, not of the workers' ends; successors see all results."""

    async def worker(state: dict[str, Any], item: int) -> int:
        for _ in range(item):
            await anyio.lowlevel.checkpoint()
        return item * item

    state: dict[str, Any] = {"items": [3, 1, 2], "squares": ["old"]}
    await mapping(worker).run(state).wait()

    assert state["squares"] == [9, 1, 4]
    assert state["after"] == [9, 1, 4]


async def test_texts_and_none_are_values() -> None:
    """A text from a worker whose results are collected names no step."""
    state: dict[str, Any] = {"items": ["after", None, ""]}
    end = await mapping(lambda state, item: item).run(state).wait()

    assert end.status is PipelineTerminalStatus.SUCCESS
    assert state["squares"] == ["after", None, ""]


async def test_failed_and_skipped_items_are_left_out() -> None:
    """Signals keep their meaning, and a failed item has no result."""

    def worker(state: dict[str, Any], item: int) -> Any:
        if item == 1:
            raise ValueError(item)
        return Skip() if item == 2 else item

    state: dict[str, Any] = {"items": range(4)}
    end = await mapping(worker).run(state).wait()

    assert end.status is PipelineTerminalStatus.FAILED
    assert state["squares"] == [0, 3]


async def test_a_further_attempt_keeps_the_place_of_its_item() -> None:
    """The result of the last attempt is where the item is."""
    tries: list[int] = []

    def worker(state: dict[str, Any], item: int) -> Any:
        tries.append(item)
        return Retry() if tries.count(item) == 1 else item * 10

    state: dict[str, Any] = {"items": [1, 2, 3]}
    await mapping(worker, max_concurrency=1).run(state).wait()

    assert state["squares"] == [10, 20, 30]


async def test_a_handler_may_give_the_value() -> None:
    """The result of a worker's handler is collected."""
    pipe: AnyPipe = Pipe(dict)
    pipe.map("each", each="worker", collect="found")(lambda state: [1, 2])

    @pipe.step(on_error=lambda error: "nothing")
    def worker(state: dict[str, Any], item: int) -> int:
        if item == 1:
            raise ValueError(item)
        return item

    state: dict[str, Any] = {}
    await pipe.run(state).wait()

    assert state["found"] == ["nothing", 2]


async def test_stop_ends_the_run() -> None:
    """``Stop`` from a worker is not collected."""
    state: dict[str, Any] = {"items": [1]}
    await mapping(lambda state, item: Stop).run(state).wait()

    assert state.get("after") is None


async def test_an_empty_map_collects_nothing() -> None:
    """The field becomes an empty list."""
    state: dict[str, Any] = {"items": [], "squares": ["old"]}
    await mapping(lambda state, item: item).run(state).wait()

    assert state["squares"] == []


@dataclass
class DataState:
    """A state."""

    results: list[int] = field(default_factory=list)


@attrs.define
class AttrsState:
    """A state."""

    results: list[int] = attrs.field(factory=list)


@pytest.mark.parametrize("kind", [DataState, AttrsState])
async def test_results_go_into_a_field(kind: Any) -> None:
    """The state may be an object of any class."""
    pipe: AnyPipe = Pipe(kind)
    pipe.map("each", each="worker", collect="results")(lambda: [1, 2])
    pipe.step("worker")(lambda item: item + 1)

    state = kind()
    await pipe.run(state).wait()

    assert state.results == [2, 3]


def test_an_unknown_field_is_refused() -> None:
    """The message suggests the nearest name."""
    pipe: AnyPipe = Pipe(DataState)
    pipe.map("each", each="worker", collect="result")(lambda: [1, 2])
    pipe.step("worker")(lambda item: item + 1)

    with pytest.raises(DefinitionError, match="Did you mean 'results'"):
        pipe.validate()


def test_a_worker_that_streams_cannot_be_collected() -> None:
    """A stream has no single result."""
    pipe: AnyPipe = Pipe(dict)
    pipe.map("each", each="worker", collect="results")(lambda: [1, 2])

    @pipe.step
    async def worker(item: int) -> Any:
        yield item

    with pytest.raises(DefinitionError, match="that step yields"):
        pipe.validate()


def test_a_worker_that_runs_a_pipe_cannot_be_collected() -> None:
    """The result of a sub is in its state, so the list would always be empty."""
    pipe: AnyPipe = Pipe(dict)
    child: AnyPipe = Pipe(list, name="child")
    child.step("inner")(lambda: None)
    pipe.map("each", each="worker", collect="results")(lambda: [1, 2])
    pipe.sub("worker", pipeline=child)(lambda item: [item])

    with pytest.raises(DefinitionError, match="that is a sub"):
        pipe.validate()


@pytest.mark.parametrize("collect", [3, "", ["a"]])
def test_collect_needs_a_name(collect: Any) -> None:
    """The decorator refuses any other value."""
    pipe: AnyPipe = Pipe(dict)

    with pytest.raises(DefinitionError, match="collect must be"):
        pipe.map("each", each="worker", collect=collect)


# -- a returned text that names no step


async def test_a_returned_text_that_names_no_step_fails_its_step() -> None:
    """The message says what a returned text means, and the remedy."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("answer")(lambda state: "The capital of France is Paris.")

    end = await pipe.run({}).wait()

    assert end.failed_step == "answer"
    assert end.error is not None
    assert end.error.startswith(
        "Step 'answer' returned 'The capital of France is Paris.'"
    )
    assert "names the step to run next" in end.error


async def test_a_returned_text_that_names_no_step_can_be_handled() -> None:
    """It is a failure of the step like any other."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("answer", on_error=lambda error: None)(lambda state: "Paris")

    end = await pipe.run({}).wait()

    assert end.status is PipelineTerminalStatus.SUCCESS


async def test_a_switch_with_an_unknown_target_is_named() -> None:
    """The failure belongs to the switch."""
    pipe: AnyPipe = Pipe(dict)
    pipe.switch("choose", to=lambda value: "nowhere")(lambda state: 1)

    end = await pipe.run({}).wait()

    assert end.failed_step == "choose"
    assert end.error is not None
    assert "leads to step 'nowhere'" in end.error


@dataclass
class Found:
    """A state with fields of several types."""

    by_name: dict[str, int] = field(default_factory=dict)
    total: int = 0
    names: list[str] = field(default_factory=list)
    pairs: list[int] | None = None
    anything: Any = None


def collecting_into(name: str) -> AnyPipe:
    """Return a pipe with a map that collects into a field of ``Found``."""
    pipe: AnyPipe = Pipe(Found)
    pipe.map("each", each="worker", collect=name)(lambda: [1, 2])
    pipe.step("worker")(lambda item: item)
    return pipe


@pytest.mark.parametrize(
    ("name", "type_"), [("by_name", r"dict\[str, int\]"), ("total", "int")]
)
def test_a_field_that_is_no_list_is_refused(name: str, type_: str) -> None:
    """Its annotation shows this before anything runs."""
    text = f"Map 'each' collects a list into '{name}', which is annotated as {type_}"
    with pytest.raises(DefinitionError, match=text):
        collecting_into(name).validate()


@pytest.mark.parametrize("name", ["names", "pairs", "anything"])
def test_a_field_that_may_be_a_list_is_accepted(name: str) -> None:
    """Its annotation may be an optional list, or missing."""
    collecting_into(name).validate()
