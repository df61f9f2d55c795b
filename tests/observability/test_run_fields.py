"""Log records of a program have the run and the step that made them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Retry, Supervisor
from justpipe_actors.observability import RunFields


_logger = logging.getLogger("somebody.elses")


class Kept(logging.Handler):
    """Keeps all records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Return a handler that keeps records with fields."""
    handler = Kept()
    handler.addFilter(RunFields())
    _logger.addHandler(handler)
    _logger.setLevel(logging.INFO)
    yield handler
    _logger.removeHandler(handler)


async def test_records_of_steps_and_hooks_have_fields(kept: Kept) -> None:
    """A step has all fields, also in its threads and tasks; a hook has only those of the run."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="letters")
    pipe.on_startup(lambda: _logger.info("startup"))
    pipe.on_shutdown(lambda: _logger.info("shutdown"))

    async def helper() -> None:
        await anyio.lowlevel.checkpoint()
        _logger.info("task")

    @pipe.step(to="write")
    async def read() -> None:
        _logger.info("before")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(helper)

    @pipe.step(placement="thread")
    def write() -> None:
        _logger.info("thread")

    run = pipe.run({})
    _logger.info("outside")
    await run.wait()

    found = [(r.getMessage(), r.run, r.pipe, r.step) for r in kept.records]
    assert found == [
        ("outside", "-", "-", "-"),
        ("startup", run.run_id, "letters", "-"),
        ("before", run.run_id, "letters", "read"),
        ("task", run.run_id, "letters", "read"),
        ("thread", run.run_id, "letters", "write"),
        ("shutdown", run.run_id, "letters", "-"),
    ]
    assert kept.records[2].invocation == f"{run.run_id}:1"


async def test_runs_that_share_actors_are_told_apart(kept: Kept) -> None:
    """Each record has the fields of its own run, however two runs alternate."""
    pipe: Pipe[Any, Any] = Pipe(dict)

    @pipe.step
    async def count(state: dict[str, Any]) -> None:
        for number in range(3):
            _logger.info("%s %d", state["name"], number)
            await anyio.lowlevel.checkpoint()

    async with Supervisor() as supervisor:
        runs = {
            name: supervisor.submit_nowait(pipe, {"name": name}) for name in ("a", "b")
        }
        for run in runs.values():
            await run.wait()

    for name, run in runs.items():
        ids = {r.run for r in kept.records if r.getMessage().startswith(name)}
        assert ids == {run.run_id}


async def test_fields_of_attempts_and_children(kept: Kept) -> None:
    """Attempts are numbered, and the steps of a child run have the child's fields."""
    child: Pipe[Any, Any] = Pipe(dict, name="inner")

    @child.step
    def twice(state: dict[str, Any]) -> Any:
        _logger.info("again")
        state["tries"] = state.get("tries", 0) + 1
        return Retry() if state["tries"] < 2 else None

    pipe: Pipe[Any, Any] = Pipe(dict, name="outer")
    pipe.sub("sub", pipeline=child)(lambda state: state)
    await pipe.run({}).wait()

    assert [(r.pipe, r.step, r.attempt) for r in kept.records] == [
        ("inner", "twice", 1),
        ("inner", "twice", 2),
    ]


def test_fields_of_the_engines_own_records_stay() -> None:
    """They already have a run and a step."""
    record: Any = logging.makeLogRecord({"run": "r1"})

    assert RunFields(empty=None).filter(record)
    assert (record.run, record.step) == ("r1", None)
