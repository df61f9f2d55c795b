"""Values between steps are restored unchanged, or the error names what cannot be stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from justpipe_actors import Ask, Pipe, Supervisor, once
from justpipe_actors.errors import AnswerRejected, NotStorable
from justpipe_actors.journals import MemoryJournal
from justpipe_actors.outcomes import PipelineEndData

from .crash_model import final_state


AnyPipe = Pipe[Any, Any]


@dataclass
class Thing:
    name: str = "thing"


@dataclass
class Special(Thing):
    extra: int = 1


@dataclass
class Shelf:
    anything: Any = None
    thing: Thing | None = None


async def run_it(pipe: AnyPipe, state: Any, *types: type) -> PipelineEndData:
    """Run a durable pipe, and return its end."""
    journal = MemoryJournal(verify=True, types=types)
    with anyio.fail_after(30):
        async with Supervisor(pipe, journal=journal) as supervisor:
            run = await supervisor.submit(pipe, state, run_id="run")
            end = await run.wait()
    if end.status.value == "success" and not types:
        assert final_state(pipe, journal) is not None
    return end


def setting(value: Any, field: str) -> AnyPipe:
    """Return a pipe with a step that puts a value into the state."""
    pipe: AnyPipe = Pipe(Shelf, name="shelf")

    @pipe.step("put", to="after")
    async def put(state: Shelf) -> None:
        setattr(state, field, value)

    @pipe.step("after")
    async def after(state: Shelf) -> None:
        assert getattr(state, field) is value

    return pipe


@pytest.mark.parametrize("field", ["anything", "thing"])
async def test_a_state_that_cannot_be_stored_names_the_path_and_the_step(
    field: str,
) -> None:
    """An instance of a subclass would be restored as another class, or not at all."""
    end = await run_it(setting(Special(), field), Shelf())
    assert end.status.value == "failed"
    assert end.failed_step == "put"
    assert f"state.{field} cannot be stored: a Special" in str(end.error)
    assert "since these steps ended: 'put'" in str(end.error)


@pytest.mark.parametrize("value", [Thing(), [Thing()], {"a": Thing()}, Special()])
async def test_a_known_class_keeps_its_class_where_any_type_is_allowed(
    value: Any,
) -> None:
    """An annotation or the journal's types name it; MemoryJournal compares the restored value."""
    end = await run_it(setting(value, "anything"), Shelf(), Special)
    assert end.status.value == "success"


def mapping(value: Any) -> AnyPipe:
    """Return a map whose worker has no annotation for its item."""
    pipe: AnyPipe = Pipe(dict, name="mapping")

    @pipe.map("failing", each="work")
    async def failing(state: Any) -> list[Any]:
        return [value]

    @pipe.step("work")
    async def work(state: Any, item) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        raise AssertionError("it must not begin")

    return pipe


def collecting(value: Any) -> AnyPipe:
    """Return a map whose worker returns a value of no declared type."""
    pipe: AnyPipe = Pipe(dict, name="collecting")

    @pipe.map("fan", each="failing", collect="found")
    async def fan(state: Any) -> list[int]:
        return [1]

    @pipe.step("failing")
    async def failing(state: Any, item: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
        return value

    return pipe


def keeping(value: Any) -> AnyPipe:
    """Return a step that keeps a value of no declared type."""
    pipe: AnyPipe = Pipe(dict, name="keeping")

    @pipe.step("failing")
    async def failing(state: Any) -> None:
        await once("kept", lambda: value)

    return pipe


@pytest.mark.parametrize("make", [mapping, collecting, keeping])
async def test_a_value_of_an_unknown_class_fails_its_step(
    make: Callable[[Any], AnyPipe],
) -> None:
    """It fails before the value is used."""
    end = await run_it(make(Thing()), {})
    assert end.status.value == "failed"
    assert end.failed_step == "failing"
    assert "cannot be stored: a Thing" in str(end.error)


async def test_a_state_of_an_unknown_class_is_refused_by_submit() -> None:
    """A pipe that accepts any state does not know how to read it."""
    pipe: AnyPipe = Pipe(Any, name="any")
    pipe.step("only")(lambda: None)
    with pytest.raises(NotStorable, match="state cannot be stored: a Thing"):
        await run_it(pipe, Thing())


async def test_an_answer_that_is_not_json_is_rejected() -> None:
    """The ask stays open."""
    pipe: AnyPipe = Pipe(dict, name="asking")

    @pipe.step("draft")
    async def draft(state: Any) -> Any:
        return Ask(Any, "What?", to="take")

    @pipe.step("take")
    async def take(state: Any, answer: Any) -> None:
        state["answer"] = answer

    journal = MemoryJournal()
    with anyio.fail_after(30):
        async with Supervisor(pipe, journal=journal) as supervisor:
            run = await supervisor.submit(pipe, {}, run_id="run")
            while not await supervisor.asks():  # noqa: ASYNC110
                await anyio.sleep(0.01)
            with pytest.raises(AnswerRejected, match="it is no JSON value"):
                await supervisor.answer("run:draft:ask", object())
            await supervisor.answer("run:draft:ask", [1, "two"])
            assert (await run.wait()).status.value == "success"
    assert final_state(pipe, journal)["answer"] == [1, "two"]
