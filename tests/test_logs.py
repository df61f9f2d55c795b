"""``LogCapture``: the log records of runs, kept with run and step."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from justpipe_actors import Pipe
from justpipe_actors.abc import LogStore
from justpipe_actors.logs import (
    KEPT_ENTRIES,
    KEPT_RUNS,
    STORED_ENTRIES,
    LogBuffer,
    LogBuffers,
    LogEntry,
    log_buffers,
)
from justpipe_actors.observability import LogCapture
from justpipe_actors.storage import InMemoryBackend, SQLiteBackend


logger = logging.getLogger("app.models")


@pytest.fixture
def capture() -> Iterator[LogCapture]:
    """Capture what the program of a test logs from INFO on."""
    handler = LogCapture()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def logging_pipe(**options: Any) -> Pipe[Any, Any]:
    """Return a pipe with steps, a thread and a child that log."""
    child: Pipe[Any, Any] = Pipe(dict, name="child")

    @child.step
    async def inner() -> None:
        logger.info("in the child")

    pipe: Pipe[Any, Any] = Pipe(dict, name="logging", **options)

    @pipe.on_startup
    async def begin() -> None:
        logger.info("in a hook")

    @pipe.step(to="compute")
    async def load() -> None:
        logger.debug("too fine")
        logger.warning("password=%s", "hunter2")

    @pipe.step(to="nested", placement="thread")
    def compute() -> None:
        try:
            1 / 0  # noqa: B018 - it shall fail
        except ZeroDivisionError:
            logger.exception("in a thread")

    @pipe.sub(pipeline=child)
    async def nested(state: Any) -> Any:
        return {}

    return pipe


async def run(pipe: Pipe[Any, Any]) -> str:
    """Run a pipe and return the run's id."""
    async with pipe.run({}) as stream:
        async for _ in stream:
            pass
    return stream.run_id


def seen(entries: list[LogEntry]) -> list[tuple[str | None, str, str]]:
    """Return the identifying parts of records: step, level and text."""
    return [(one.step, logging.getLevelName(one.level), one.text) for one in entries]


EXPECTED = [
    (None, "INFO", "in a hook"),
    ("load", "WARNING", "password=***"),
    ("compute", "ERROR", "in a thread"),
    ("nested:inner", "INFO", "in the child"),
]


async def test_records_have_their_run_and_step(
    capture: LogCapture,
) -> None:
    """This holds in hooks, steps, threads and children; secrets are masked."""
    run_id = await run(logging_pipe())

    buffer = log_buffers.find(run_id)

    assert buffer is not None
    entries = buffer.newer(0)
    assert seen(entries) == EXPECTED
    assert [entry.number for entry in entries] == [1, 2, 3, 4]
    assert "ZeroDivisionError" in str(entries[2].traceback)
    assert entries[0].invocation_id is None
    assert str(entries[1].invocation_id).startswith(run_id)


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
async def test_records_of_stored_runs_are_stored(
    capture: LogCapture, kind: str, tmp_path: Any
) -> None:
    """The recorder writes them with the events, and their memory is freed."""
    store = SQLiteBackend(tmp_path / "a.db") if kind == "sqlite" else InMemoryBackend()
    run_id = await run(logging_pipe(persist=True, storage=store))

    assert isinstance(store, LogStore)
    assert seen(store.get_logs(run_id)) == EXPECTED
    assert log_buffers.find(run_id) is None


async def test_without_a_capture_nothing_is_kept_or_stored(tmp_path: Any) -> None:
    """A file without log records has no table for them."""
    store = SQLiteBackend(tmp_path / "a.db")
    run_id = await run(logging_pipe(persist=True, storage=store))

    assert store.get_logs(run_id) == []
    assert log_buffers.find(run_id) is None


async def test_level_and_mask_are_options(capture: LogCapture) -> None:
    """``LogCapture("WARNING", mask=...)`` is a handler like any other."""
    logger.removeHandler(capture)
    stricter = LogCapture("WARNING", mask=lambda text: text.replace("hunter2", "?"))
    logger.addHandler(stricter)
    try:
        run_id = await run(logging_pipe())
    finally:
        logger.removeHandler(stricter)

    buffer = log_buffers.find(run_id)
    assert buffer is not None
    assert [entry.text for entry in buffer.newer(0)] == ["password=?", "in a thread"]


def test_a_message_that_does_not_fit_its_arguments_is_no_failure(
    capture: LogCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is reported as ``logging`` reports it, and the program goes on."""
    reported: list[logging.LogRecord] = []
    monkeypatch.setattr(capture, "handleError", reported.append)
    record = logging.makeLogRecord({"msg": "%d", "args": ("one",), "run": "r"})
    capture.handle(record)
    assert reported == [record]


def test_records_with_a_run_belong_to_it(capture: LogCapture) -> None:
    """Records of worker processes have the run and the step as fields."""
    logger.info("far away", extra={"run": "far", "step": "a"})
    logger.info("no run", extra={"run": "-", "step": "-"})
    buffer = log_buffers.find("far")
    assert buffer is not None
    assert seen(buffer.newer(0)) == [("a", "INFO", "far away")]
    assert log_buffers.find("-") is None


async def test_failures_are_records_of_the_failed_step() -> None:
    """This holds also in a sub-pipeline, whose events come from its parent."""
    child: Pipe[Any, Any] = Pipe(dict, name="child")

    @child.step
    async def inner() -> None:
        msg = "boom"
        raise ValueError(msg)

    pipe: Pipe[Any, Any] = Pipe(dict, name="outer")
    pipe.sub("nested", pipeline=child)(lambda state: {})
    handler = LogCapture()
    logging.getLogger("justpipe_actors.steps").addHandler(handler)
    try:
        run_id = await run(pipe)
    finally:
        logging.getLogger("justpipe_actors.steps").removeHandler(handler)

    buffer = log_buffers.find(run_id)
    assert buffer is not None
    entries = buffer.newer(0)
    assert [entry.step for entry in entries] == ["nested:inner", "nested"]
    assert all(entry.invocation_id for entry in entries)
    assert "ValueError: boom" in str(entries[0].traceback)


def test_two_captures_keep_a_record_once(capture: LogCapture) -> None:
    """One may be at the root logger, another at a library's."""
    again = LogCapture()
    logger.addHandler(again)
    logger.info("once", extra={"run": "twice"})
    logger.removeHandler(again)
    buffer = log_buffers.find("twice")
    assert buffer is not None
    assert len(buffer.newer(0)) == 1


def entry(text: str = "x") -> LogEntry:
    """Return a record outside of steps."""
    return LogEntry(timestamp=1.0, level=20, logger="app", text=text)


def test_memory_is_bounded() -> None:
    """A run keeps its last records, and only the last runs have a buffer."""
    buffer = LogBuffer()
    for _ in range(KEPT_ENTRIES + 5):
        buffer.add(entry())
    assert [e.number for e in buffer.newer(KEPT_ENTRIES + 3)] == [1004, 1005]
    assert len(buffer.newer(0)) == len(buffer.take()) == KEPT_ENTRIES
    assert buffer.take() == []

    buffers = LogBuffers()
    for number in range(KEPT_RUNS + 1):
        buffers.of(str(number)).add(entry())
    assert buffers.find("0") is None
    assert buffers.find("1") is not None


def test_a_store_keeps_the_last_records_of_a_run(tmp_path: Any) -> None:
    """Their numbers go on, so that a reader notices what is missing."""
    for store in (SQLiteBackend(tmp_path / "a.db"), InMemoryBackend()):
        store.append_logs("r", [entry(str(n)) for n in range(STORED_ENTRIES)])
        store.append_logs("r", [entry("the last")])
        kept = store.get_logs("r")
        assert (len(kept), kept[0].number) == (STORED_ENTRIES, 2)
        assert kept[-1].text == "the last"
