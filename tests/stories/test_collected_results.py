"""What map workers return can be collected into the state."""

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
    """The order of items decides, whichever worker is first, and ``to`` sees them."""

    async def worker(state: dict[str, Any], item: int) -> int:
        for _ in range(item):
            await anyio.lowlevel.checkpoint()
        return item * item

    state: dict[str, Any] = {"items": [3, 1, 2], "squares": ["old"]}
    await mapping(worker).run(state).wait()

    assert state["squares"] == [9, 1, 4]
    assert state["after"] == [9, 1, 4]


async def test_texts_and_none_are_values() -> None:
    """A returned text names no step in a worker that is collected."""
    state: dict[str, Any] = {"items": ["after", None, ""]}
    end = await mapping(lambda state, item: item).run(state).wait()

    assert end.status is PipelineTerminalStatus.SUCCESS
    assert state["squares"] == ["after", None, ""]


async def test_failed_and_skipped_items_are_left_out() -> None:
    """Signals stay signals, and a failure has no value."""

    def worker(state: dict[str, Any], item: int) -> Any:
        if item == 1:
            raise ValueError(item)
        return Skip() if item == 2 else item

    state: dict[str, Any] = {"items": range(4)}
    end = await mapping(worker).run(state).wait()

    assert end.status is PipelineTerminalStatus.FAILED
    assert state["squares"] == [0, 3]


async def test_a_further_attempt_keeps_the_place_of_its_item() -> None:
    """What the last attempt returned stands where the item stands."""
    tries: list[int] = []

    def worker(state: dict[str, Any], item: int) -> Any:
        tries.append(item)
        return Retry() if tries.count(item) == 1 else item * 10

    state: dict[str, Any] = {"items": [1, 2, 3]}
    await mapping(worker, max_concurrency=1).run(state).wait()

    assert state["squares"] == [10, 20, 30]


async def test_a_handler_may_give_the_value() -> None:
    """What mends a worker counts as what it returned."""
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
    """``Stop`` from a worker is no value."""
    state: dict[str, Any] = {"items": [1]}
    await mapping(lambda state, item: Stop).run(state).wait()

    assert state.get("after") is None


async def test_an_empty_map_collects_nothing() -> None:
    """The field is replaced by an empty list."""
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
    """Any kind of object may be the state."""
    pipe: AnyPipe = Pipe(kind)
    pipe.map("each", each="worker", collect="results")(lambda: [1, 2])
    pipe.step("worker")(lambda item: item + 1)

    state = kind()
    await pipe.run(state).wait()

    assert state.results == [2, 3]


def test_a_field_that_is_not_there_is_refused() -> None:
    """The message names the near one."""
    pipe: AnyPipe = Pipe(DataState)
    pipe.map("each", each="worker", collect="result")(lambda: [1, 2])
    pipe.step("worker")(lambda item: item + 1)

    with pytest.raises(DefinitionError, match="Did you mean 'results'"):
        pipe.validate()


def test_a_worker_that_streams_cannot_be_collected() -> None:
    """A stream has no one value."""
    pipe: AnyPipe = Pipe(dict)
    pipe.map("each", each="worker", collect="results")(lambda: [1, 2])

    @pipe.step
    async def worker(item: int) -> Any:
        yield item

    with pytest.raises(DefinitionError, match="that step yields"):
        pipe.validate()


def test_a_worker_that_runs_a_pipe_cannot_be_collected() -> None:
    """The result of a sub is in its state, so an empty list would be a silent mistake."""
    pipe: AnyPipe = Pipe(dict)
    child: AnyPipe = Pipe(list, name="child")
    child.step("inner")(lambda: None)
    pipe.map("each", each="worker", collect="results")(lambda: [1, 2])
    pipe.sub("worker", pipeline=child)(lambda item: [item])

    with pytest.raises(DefinitionError, match="that is a sub"):
        pipe.validate()


@pytest.mark.parametrize("collect", [3, "", ["a"]])
def test_collect_is_a_name(collect: Any) -> None:
    """Anything else is refused by the decorator."""
    pipe: AnyPipe = Pipe(dict)

    with pytest.raises(DefinitionError, match="collect must be"):
        pipe.map("each", each="worker", collect=collect)


# -- a returned text that names no step


async def test_a_returned_text_is_blamed_on_the_step_that_returned_it() -> None:
    """The message says what a returned text means, and what to do instead."""
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


async def test_a_switch_that_leads_nowhere_is_named() -> None:
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
def test_a_field_that_is_no_list_collects_nothing(name: str, type_: str) -> None:
    """The field's annotation shows it before anything runs."""
    text = f"Map 'each' collects a list into '{name}', which is annotated as {type_}"
    with pytest.raises(DefinitionError, match=text):
        collecting_into(name).validate()


@pytest.mark.parametrize("name", ["names", "pairs", "anything"])
def test_a_field_that_may_be_a_list_collects(name: str) -> None:
    """An optional list, or an annotation that says nothing, is no problem."""
    collecting_into(name).validate()
