"""What a failure tells about the item and about the user's line."""

from __future__ import annotations

import logging
import traceback
from types import TracebackType
from typing import Any

import anyio
import pytest

from justpipe_actors import DefinitionError, EventType, Pipe, Skip, Stop, Suspend


AnyPipe = Pipe[Any, Any]


def pipe_over(items: list[Any], **options: Any) -> AnyPipe:
    """Return a pipe that divides by each item."""
    pipe: AnyPipe = Pipe(dict, **options)
    pipe.map("pages", each="fetch")(lambda state: items)

    @pipe.step
    async def fetch(item: Any) -> None:
        await anyio.lowlevel.checkpoint()
        raise LookupError("no such page")

    return pipe


def functions_of(error: BaseException) -> list[str]:
    """Return the names of the functions in a traceback."""
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


async def test_a_failed_item_is_named_in_the_exception() -> None:
    """Its notes have the item, also those of further failures."""
    with pytest.raises(LookupError) as caught:
        await pipe_over(["a.json", "b.json"]).run({}).result()

    assert caught.value.__notes__ == [
        "In fetch[0], for the item 'a.json'",
        (
            "Another step failed too: LookupError: no such page"
            " (In fetch[1], for the item 'b.json')"
        ),
    ]


async def test_a_failed_item_is_named_in_the_event_and_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """STEP_ERROR has the item in its meta, and the log's traceback ends with it."""
    async with pipe_over([{"id": 7, "api_key": "sk-1"}]).run({}) as run:
        events = [e async for e in run if e.type is EventType.STEP_ERROR]

    (event,) = events
    assert event.meta is not None
    assert event.meta["framework"]["item"] == "{'api_key': ***, 'id': 7}"
    assert "In fetch[0], for the item {'api_key': ***, 'id': 7}" in caplog.text
    assert "sk-1" not in caplog.text


async def test_an_item_is_hidden_where_the_state_is_hidden(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With ``log_state=False`` only the number of an item is shown."""
    end = await pipe_over(["private"], log_state=False).run({}).wait()

    assert end.exception is not None
    assert end.exception.__notes__ == ["In fetch[0]"]
    assert "private" not in caplog.text


async def test_an_exception_object_that_many_items_raise_has_one_note() -> None:
    """A mock raises the same object each time."""
    error = LookupError("shared")
    pipe: AnyPipe = Pipe(dict)
    pipe.map("pages", each="fetch", max_concurrency=1)(lambda state: range(50))

    @pipe.step
    def fetch(item: int) -> None:
        raise error

    await pipe.run({}).wait()

    assert error.__notes__ == ["In fetch[49], for the item 49"]


async def test_an_exception_that_refuses_notes_is_raised_unchanged() -> None:
    """An exception may refuse attributes."""

    class Sealed(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise TypeError(name)

        def add_note(self, note: str, /) -> None:
            raise TypeError(note)

    pipe: AnyPipe = Pipe(dict)
    pipe.map("pages", each="fetch")(lambda state: [1])

    @pipe.step
    def fetch(item: int) -> None:
        raise Sealed

    end = await pipe.run({}).wait()

    assert isinstance(end.exception, Sealed)


@pytest.mark.parametrize("retries", [0, 2])
async def test_a_traceback_begins_in_the_users_step(
    retries: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It has no frames of the engine or of the retries."""
    pipe: AnyPipe = Pipe(dict)

    def divide() -> float:
        return 1 / 0

    @pipe.step(retries=retries, retry_wait_max=0)
    async def compute() -> None:
        divide()

    end = await pipe.run({}).wait()

    assert end.exception is not None
    assert functions_of(end.exception) == ["compute", "divide"]
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[2], TracebackType)


def frames_in_a_script(pipe: AnyPipe, loop: str) -> list[str]:
    """Return the functions in the traceback that a script prints."""
    try:
        pipe.run_sync({}, backend=loop)
    except Exception as error:  # noqa: BLE001 - any error is the answer
        return functions_of(error)
    return []


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_script_sees_its_own_lines_and_the_call(loop: str) -> None:
    """The traceback of ``run_sync`` has no frames of the event loop or the engine."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step
    def compute() -> float:
        return 1 / 0

    assert frames_in_a_script(pipe, loop) == [
        "frames_in_a_script",
        "run_sync",
        "compute",
    ]


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_script_sees_no_library_line_for_a_wrong_definition(loop: str) -> None:
    """The message says what is wrong, so frames of the check are left out."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a", to="b")(lambda: None)

    assert frames_in_a_script(pipe, loop) == ["frames_in_a_script", "run_sync"]


async def test_a_wrong_definition_shows_no_line_of_its_check() -> None:
    """This holds in an event loop, too."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a", to="b")(lambda: None)

    with pytest.raises(DefinitionError) as caught:
        await pipe.run({}).result()

    assert "raise_problems" not in functions_of(caught.value)


# -- handlers


@pytest.mark.parametrize("mode", ["shared", "isolated"])
async def test_a_handler_gets_the_item_under_the_workers_name(mode: Any) -> None:
    """So it can log which item failed."""
    pipe: AnyPipe = Pipe(dict, state_mode=mode)

    def leave_out(error: Exception, path: str, state: dict[str, Any]) -> Skip:
        state["bad"] = [*state.get("bad", ()), f"{path}: {error}"]
        return Skip()

    pipe.map("find", each="read", max_concurrency=1)(lambda state: ["a", "b", "c"])

    @pipe.step(on_error=leave_out)
    async def read(path: str) -> None:
        if path != "b":
            raise ValueError(f"no {path}")

    assert await pipe.run({}).result() == {"bad": ["a: no a", "c: no c"]}


def test_a_handler_may_only_have_parameters_of_its_step() -> None:
    """Another name is refused at registration."""
    pipe: AnyPipe = Pipe(dict)

    def handle(error: Exception, file: str) -> None: ...

    with pytest.raises(DefinitionError, match="unrecognized parameters: file"):
        pipe.step("read", on_error=handle)(lambda path: None)


def test_a_step_and_its_handler_without_an_item_are_refused() -> None:
    """Nothing supplies the parameter, whatever the handler takes."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("read", on_error=lambda path: None)(lambda path: None)

    with pytest.raises(DefinitionError, match="'path' that nothing supplies"):
        pipe.validate()


# -- items that a suspension left


@pytest.mark.parametrize("known_length", [True, False])
async def test_a_suspension_in_a_worker_reports_the_remaining_items(
    known_length: bool,
) -> None:
    """FINISH names the map, so that a partial result is not taken for a complete one."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.map(each="check", max_concurrency=2)
    def pages() -> Any:
        return range(6) if known_length else iter(range(6))

    @pipe.step
    def check(number: int) -> object:
        return Suspend("a person decides") if number == 1 else None

    end = await pipe.run({}).wait()

    (left,) = end.diagnostics
    assert (left.step, left.kind, left.parents) == ("pages", "suspended", ("check",))
    done = "2 of 6" if known_length else "2"
    assert (
        left.message
        == f"Map 'pages' was left after {done} items: the run was suspended."
    )


@pytest.mark.parametrize("signal", [Suspend("wait"), Stop])
async def test_a_complete_or_stopped_map_is_not_reported(signal: Any) -> None:
    """After a suspension by the last item nothing remains; ``Stop`` leaves items on purpose."""
    pipe: AnyPipe = Pipe(dict)
    count = 3 if signal is not Stop else 6
    pipe.map("pages", each="check", max_concurrency=1)(lambda: range(count))
    pipe.step("check")(lambda number: signal if number == 2 else None)

    end = await pipe.run({}).wait()

    assert end.diagnostics == []
