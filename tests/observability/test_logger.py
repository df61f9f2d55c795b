"""``EventLogger``: which events it logs, and how."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from justpipe_actors import Event, EventType, Pipe, Retry, Suspend
from justpipe_actors.observability import (
    EventLogger,
    LogRecord,
    ObserverMeta,
    StreamLogSink,
)
from justpipe_actors.types import PipelineEndData, PipelineTerminalStatus


ONE = ObserverMeta("P", "1" * 32, 100.0)
TWO = ObserverMeta("P", "2" * 32, 100.0)


def logger(level: str = "DEBUG", **options: Any) -> tuple[EventLogger, list[LogRecord]]:
    """Return a logger and the list its records go to."""
    records: list[LogRecord] = []
    return EventLogger(level, records.append, **options), records


def single(func: Callable[..., Any], observer: Any, **options: Any) -> Pipe[Any, Any]:
    """Return an observed pipe with one step ``a``."""
    pipe: Pipe[Any, Any] = Pipe(None, **options)
    pipe.step("a")(func)
    pipe.add_observer(observer)
    return pipe


async def tell(log: EventLogger, *events: Event, meta: ObserverMeta = ONE) -> None:
    """Pass events of a run to a logger."""
    for event in events:
        await log.on_event(None, None, meta, event)


async def test_a_line_has_clock_type_stage_and_payload() -> None:
    """A message is ``[clock] TYPE stage (payload)``; the clock starts with the run."""
    log, records = logger()
    payload = {"target": "w", "item_count": 3, "trace_id": "t"}
    await tell(
        log,
        Event(EventType.STEP_START, "m", timestamp=50.0),
        Event(EventType.MAP_START, "m", payload, timestamp=51.5),
        Event(EventType.STEP_START, "w", timestamp=110.0, attempt=2, scope=("w[1]",)),
    )

    assert [record.message for record in records] == [
        "[00:00:00.000] STEP_START       m",
        "[00:00:01.500] MAP_START        m (target=w, item_count=3)",
        "[00:01:00.000] STEP_START       w[1] #2",
    ]
    assert records[1].payload is payload
    assert records[2].relative_time == "00:01:00.000"


@pytest.mark.parametrize(
    ("level", "types"),
    [
        ("debug", set(EventType)),
        (
            "Info",
            set(EventType)
            - {EventType.TOKEN, EventType.MAP_WORKER, EventType.STATE_CHANGE},
        ),
        (
            "WARNING",
            {
                EventType.STEP_ERROR,
                EventType.BARRIER_WAIT,
                EventType.SUSPEND,
                EventType.TIMEOUT,
                EventType.CANCELLED,
            },
        ),
        ("ERROR", {EventType.STEP_ERROR}),
        ("loud", set(EventType) - {EventType.TOKEN, EventType.MAP_WORKER}),
    ],
)
async def test_a_level_chooses_the_events(level: str, types: set[EventType]) -> None:
    """Each level logs its events; TIMEOUT and CANCELLED are logged from WARNING on."""
    log, records = logger(level)
    await tell(log, *(Event(kind, "s") for kind in EventType))

    heard = {record.event_type for record in records}
    assert heard - {EventType.STATE_CHANGE} == types - {EventType.STATE_CHANGE}


@pytest.mark.parametrize(
    ("status", "sentence", "is_loud"),
    [
        ("SUCCESS", "Pipeline completed in 1.25s", False),
        ("TIMEOUT", "Pipeline timed out after 1.25s", True),
        ("CANCELLED", "Pipeline was cancelled after 1.25s: why", True),
        (
            "CLIENT_CLOSED",
            "Pipeline was closed by its consumer after 1.25s: why",
            False,
        ),
    ],
)
async def test_the_last_line_tells_how_the_run_ended(
    status: str, sentence: str, is_loud: bool
) -> None:
    """Only a run that succeeded is called completed."""
    error = "why" if "C" in status[:2] else None
    end = PipelineEndData(PipelineTerminalStatus[status], 1.25, error)
    for level in ("INFO", "WARNING"):
        log, records = logger(level)
        await log.on_pipeline_start(None, None, ONE)
        await tell(log, Event(EventType.FINISH, "system", end, timestamp=7.0))
        await log.on_pipeline_end(None, None, ONE, 1.25)

        said = [r for r in records if r.text == f"FINISH {sentence}"]
        assert len(said) == (level == "INFO" or is_loud)
        assert all(r.payload == {"duration_s": 1.25} for r in said)
        assert all(r.timestamp == 8.25 for r in said)


async def test_a_suspended_run_is_not_completed() -> None:
    """The last line says that the run was suspended, although its status is SUCCESS."""
    log, records = logger("INFO")
    async with single(lambda: Suspend("approval"), log).run({}) as run:
        await run.wait()

    texts = [record.text for record in records]
    assert any(text.startswith("FINISH system (suspended in") for text in texts)
    assert texts[-1].startswith("FINISH Pipeline was suspended after")


@pytest.mark.virtual_time
async def test_a_timeout_is_logged_as_a_warning() -> None:
    """At WARNING a run that timed out logs its event and its end."""

    async def slow(state: Any) -> None:
        await anyio.sleep(60)

    log, records = logger("WARNING")
    async with single(slow, log).run({}, timeout=3) as run:
        await run.wait()

    assert [record.event_type for record in records] == [
        EventType.TIMEOUT,
        EventType.FINISH,
    ]
    assert "timed out after 3.00s" in records[-1].message


async def test_an_error_is_logged_once_at_level_error() -> None:
    """At ERROR a failed step makes one line; at INFO the end of the run is another."""

    def fail(state: Any) -> None:
        raise ValueError("boom")

    for level, count in (("ERROR", 1), ("WARNING", 1), ("INFO", 2)):
        log, records = logger(level)
        async with single(fail, log).run({}) as run:
            await run.wait()
        told = [record for record in records if record.severity == logging.ERROR]
        assert len(told) == count
        if count == 2:
            assert told[-1].payload == {"error": "boom"}
            assert told[-1].message.endswith("Pipeline failed: boom")


async def test_a_failure_without_a_step_is_logged_at_level_error() -> None:
    """Without a STEP_ERROR the last line has the failure."""
    log, records = logger("ERROR")
    await log.on_pipeline_error(None, None, ONE, RuntimeError("boom"))

    assert [record.text for record in records] == ["STEP_ERROR Pipeline failed: boom"]


async def test_every_run_has_a_clock_of_its_own() -> None:
    """The clock of a run an hour later starts at zero, and lines name their run."""
    log, records = logger()
    for meta, began in ((ONE, 0.0), (TWO, 3600.0)):
        await log.on_pipeline_start(None, None, meta)
        await tell(log, Event(EventType.START, "system", timestamp=began), meta=meta)
    later = Event(EventType.STEP_START, "a", timestamp=3601.0)
    await tell(log, later, meta=ONE)
    await tell(log, later, meta=TWO)

    assert [record.message for record in records] == [
        "[00:00:00.000] START            system",
        "[00:00:00.000 22222222] START            system",
        "[01:00:01.000 11111111] STEP_START       a",
        "[00:00:01.000 22222222] STEP_START       a",
    ]
    assert [record.run_id for record in records[2:]] == [ONE.run_id, TWO.run_id]


async def test_long_payloads_are_shortened() -> None:
    """Token objects, long errors and the final status are all shown in part."""
    log, records = logger()
    end = PipelineEndData(
        PipelineTerminalStatus.FAILED, 0.012, "boom", failed_step="fetch"
    )
    await tell(
        log,
        Event(EventType.TOKEN, "a", ["x", 1]),
        Event(EventType.STEP_ERROR, "a", "e" * 5000),
        Event(EventType.FINISH, "system", end),
    )

    token, error, finish = (record.detail for record in records)
    assert token == "['x', 1]"
    assert (error[:3], error[-3:], len(error)) == ("eee", "...", 300)
    assert finish == "failed in 12ms at fetch: boom"


async def test_payloads_that_cannot_be_shown_are_replaced() -> None:
    """Only the text of the payload is missing from the line."""

    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

    class HostileError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no str")

    log, records = logger()
    await tell(log, Event(EventType.TOKEN, "a", {"h": Hostile()}))
    await log.on_pipeline_error(None, None, ONE, HostileError())

    assert "h=<Hostile instance at" in records[0].detail
    assert "whose text raised RuntimeError" in records[1].message


async def test_a_payload_cannot_forge_a_line() -> None:
    """A line end in a value is escaped, so one record stays one line."""
    log, records = logger()
    await tell(log, Event(EventType.STEP_ERROR, "a", "x\n[00:00:00.000] START"))

    assert records[0].message.count("\n") == 0


async def test_colours_follow_the_type() -> None:
    """Errors are red and waits yellow; only the type of an event decides its colour."""
    log, records = logger(use_colors=True)
    kinds = (
        EventType.STEP_ERROR,
        EventType.TIMEOUT,
        EventType.STEP_END,
        EventType.TOKEN,
    )
    await tell(log, *(Event(kind, "a", "p", timestamp=0) for kind in kinds))

    clock = "\x1b[90m[00:00:00.000]\x1b[0m"
    assert [record.message for record in records] == [
        f"{clock} \x1b[91mSTEP_ERROR      \x1b[0m \x1b[91ma\x1b[0m (p)",
        f"{clock} \x1b[93mTIMEOUT         \x1b[0m \x1b[93ma\x1b[0m (p)",
        f"{clock} \x1b[92mSTEP_END        \x1b[0m a (p)",
        f"{clock} TOKEN            a (p)",
    ]
    assert all("\x1b" not in record.text for record in records)


async def test_records_for_logging_have_extra_fields(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The logging sink passes run, step and attempt as extra fields of the record."""
    caplog.set_level(logging.DEBUG, "justpipe_actors.runs")
    answers = iter([Retry(), None])
    log = EventLogger("INFO", EventLogger.logging_sink())
    async with single(lambda: next(answers), log).run({"n": 1}) as run:
        await run.wait()

    found: list[Any] = [r for r in caplog.records if r.name == "justpipe_actors.runs"]
    second = next(r for r in found if r.getMessage() == "STEP_START a #2")
    assert (second.run, second.step, second.attempt) == (run.run_id, "a", 2)
    assert (second.event_type, second.levelname) == ("step_start", "INFO")
    assert second.invocation == f"{run.run_id}:2"


async def test_a_stream_gets_one_line_per_record() -> None:
    """The stream sink writes the message and a line end at once."""
    stream = io.StringIO()
    log = EventLogger("INFO", StreamLogSink(stream))
    await tell(log, Event(EventType.START, "system"))

    assert stream.getvalue() == "[00:00:00.000] START            system\n"


async def test_a_logger_without_a_sink_logs_nothing() -> None:
    """It observes the run without an error."""
    log = EventLogger()
    async with single(lambda: None, log).run({}) as run:
        assert (await run.wait()).status is PipelineTerminalStatus.SUCCESS


async def test_ended_runs_are_forgotten() -> None:
    """A logger that has observed a thousand runs keeps none of them."""
    log, _ = logger()
    for number in range(1000):
        meta = ObserverMeta("P", str(number))
        await log.on_pipeline_start(None, None, meta)
        await log.on_pipeline_end(None, None, meta, 0.0)

    assert len(log._runs) == 0


async def test_a_debug_pipe_logs_to_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """``Pipe(debug=True)`` logs in colour to stderr, before all other observers."""
    pipe: Pipe[Any, Any] = Pipe(None, debug=True, log_state=False)
    pipe.step("a")(lambda state: None)
    log, _ = logger()
    pipe.add_observer(log)
    async with pipe.run({"password": "hunter2"}) as run:
        await run.wait()

    first = pipe.registry.observers[0]
    assert isinstance(first, EventLogger)
    lines = capsys.readouterr().err.splitlines()
    plain = [re.sub(r"\x1b\[\d+m", "", line)[15:].rstrip() for line in lines]
    assert plain[:3] == [
        "START            system",
        "STEP_START       a",
        "STEP_END         a",
    ]
    assert "hunter2" not in "".join(lines)
    assert plain[-1].startswith("FINISH           Pipeline completed in")
