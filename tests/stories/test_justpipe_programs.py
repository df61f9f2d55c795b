"""Programs written for justpipe 0.12 that use its names, keywords and shapes."""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from justpipe_actors import Event, EventType, Pipe, TestPipe
from justpipe_actors._util import environment
from justpipe_actors.cli.registry import AnnotatedRun, PipelineInfo, PipelineRegistry
from justpipe_actors.errors import DefinitionError
from justpipe_actors.observability import (
    BarrierDebugger,
    ObserverMeta,
    StateDiffTracker,
)
from justpipe_actors.storage import InMemoryBackend
from justpipe_actors.types import NodeKind, PipelineTerminalStatus


class Timed(Pipe[Any, Any]):
    """A pipe whose ``run`` is an async generator, as subclasses of justpipe's have it."""

    log: list[str]

    async def run(  # type: ignore[override]
        self, state: Any, context: Any = None, **options: Any
    ) -> AsyncGenerator[Event]:
        """Note the beginning and the end of the run."""
        self.log.append("begin")
        try:
            async for event in super().run(state, context, **options):
                yield event
        finally:
            self.log.append("end")


def timed_pipe() -> Timed:
    """Return such a pipe with one step."""
    pipe = Timed(dict, name="timed")
    pipe.log = []

    @pipe.step
    async def a(state: dict[str, Any]) -> None:
        if state.get("broken"):
            raise LookupError("no such key")
        state["a"] = 1

    return pipe


def parent_of(child: Pipe[Any, Any]) -> Pipe[Any, Any]:
    """Return a pipe that runs the child on its own state."""
    parent = Pipe(dict, name="parent")

    @parent.sub("s", pipeline=child)
    async def s(state: dict[str, Any]) -> dict[str, Any]:
        return state

    return parent


async def test_a_run_that_is_a_generator_works_in_a_test_pipe() -> None:
    """The harness reads the generator to its end."""
    pipe = timed_pipe()
    with TestPipe(pipe) as harness:
        result = await harness.run({})
    assert result.final_state == {"a": 1}
    assert pipe.log == ["begin", "end"]


async def test_a_run_that_is_a_generator_works_as_a_sub_pipeline() -> None:
    """The parent calls it and publishes its events."""
    child = timed_pipe()
    events = [event async for event in parent_of(child).run({})]
    assert [(e.stage, e.type.value) for e in events] == [
        ("system", "start"),
        ("s", "step_start"),
        ("s:system", "start"),
        ("s:a", "step_start"),
        ("s:a", "step_end"),
        ("s:system", "finish"),
        ("s", "step_end"),
        ("system", "finish"),
    ]
    assert [e.seq for e in events] == list(range(1, 9))
    assert child.log == ["begin", "end"]


async def test_the_failure_of_such_a_child_is_the_failure_of_its_step() -> None:
    """The end of the parent has the exception itself."""
    end = await parent_of(timed_pipe()).run({"broken": True}).wait()
    assert end.status is PipelineTerminalStatus.FAILED
    assert isinstance(end.exception, LookupError)


async def test_such_a_child_is_closed_when_its_parent_is_cancelled() -> None:
    """The cleanup of the generator runs before the parent has ended."""
    child = timed_pipe()
    async with parent_of(child).run({}) as run:
        async for event in run:
            if event.stage == "s:a":
                break
    assert child.log == ["begin", "end"]


async def test_a_child_without_finish_fails_its_step() -> None:
    """The parent cannot know how the child ended."""

    class Silent(Timed):
        async def run(  # type: ignore[override]
            self, state: Any, context: Any = None, **options: Any
        ) -> AsyncGenerator[Event]:
            async for event in super().run(state, context, **options):
                if event.type is not EventType.FINISH:
                    yield event

    child = Silent(dict)
    child.log = []
    child.step("a")(lambda: None)
    end = await parent_of(child).run({}).wait()
    assert isinstance(end.exception, DefinitionError)
    assert "Silent.run must yield every event" in str(end.error)


def test_the_kind_of_a_step_is_a_node_kind() -> None:
    """``Pipe.steps()`` has the same enum as events."""
    pipe: Pipe[Any, Any] = Pipe()
    pipe.map("m", each="w")(list)
    pipe.step("w")(lambda item: None)
    kinds = {info.name: info.kind for info in pipe.steps()}
    assert kinds == {"m": NodeKind.MAP, "w": NodeKind.STEP}
    assert pipe.describe()["nodes"]["m"]["kind"] == "map"


def test_keywords_of_methods_are_those_of_justpipe() -> None:
    """Calls with keywords need no change."""
    Pipe(dict).add_middleware(mw=lambda func, context: func)
    assert InMemoryBackend().find_runs_by_prefix(run_id_prefix="a", limit=1) == []
    tracker = StateDiffTracker()
    assert tracker.get_snapshot(step="a") is None
    assert tracker.diff(step1="a", step2="b") == "No snapshot found for a"


def test_a_program_may_add_its_own_snapshots() -> None:
    """They are compared as those of the tracker are, and are copies."""
    tracker = StateDiffTracker()
    tracker.snapshots["before"] = {"n": 1}
    tracker.snapshots["after"] = {"n": 2}
    assert "~ n" in tracker.diff("before", "after")
    copies = tracker.get_all_snapshots()
    copies.clear()
    assert tracker.get_snapshot("after") == {"n": 2}


async def test_a_waiting_barrier_reads_like_a_dict() -> None:
    """The missing parents are a list under a key."""
    debugger = BarrierDebugger(warn_after=9, clock=lambda: 0.0)
    payload = {"waiting_for": ["b"], "expected_count": 2, "completed_count": 1}
    event = Event(EventType.BARRIER_WAIT, "join", payload, timestamp=0.0)
    await debugger.on_event({}, None, ObserverMeta("p"), event)
    wait = debugger.waiting_barriers["join"]
    assert wait["waiting_for"] == ["b"]
    assert wait.get("nothing") is None
    assert dict(wait) == {
        "start": 0.0,
        "expected_count": 2,
        "completed_count": 1,
        "waiting_for": ["b"],
        "timeout": None,
    }
    with pytest.raises(KeyError, match="nothing"):
        wait["nothing"]


def test_helpers_of_the_command_line_are_importable(tmp_path: Any) -> None:
    """Formatting helpers and the registry are where justpipe has them."""
    pytest.importorskip("rich")
    pytest.importorskip("click")
    from justpipe_actors.cli import formatting

    assert formatting.short_id("0123456789abcdef") == "0123456789ab..."
    assert formatting.short_id("0123456789abcdef", full=True) == "0123456789abcdef"
    assert (
        formatting.format_status(PipelineTerminalStatus.FAILED) == "[red]failed[/red]"
    )
    assert formatting.parse_run_meta('{"a": 1}') == {"a": 1}
    assert formatting.parse_run_meta("{") == "{"
    assert formatting.parse_run_meta(None) is None
    assert formatting.format_timestamp(None) == "-"
    assert formatting.format_duration(2.0) == "2.0s"
    assert {AnnotatedRun.__name__, PipelineInfo.__name__}
    with pytest.raises(SystemExit) as exit_:
        formatting.resolve_or_exit(PipelineRegistry(tmp_path), "nothing")
    assert exit_.value.code == 1


@pytest.fixture
def fresh_warnings(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Let variables of justpipe give their warnings as in a new process."""
    monkeypatch.setattr(environment, "_warned", set())
    monkeypatch.delenv("JUSTPIPE_ACTORS_PERSIST", raising=False)
    return monkeypatch  # type: ignore[return-value]


@pytest.mark.parametrize("variable", ["DEBUG", "PERSIST", "STORAGE_PATH"])
def test_a_variable_of_justpipe_warns_at_the_users_line(
    variable: str, fresh_warnings: pytest.MonkeyPatch
) -> None:
    """Wherever the variable is looked up, the line of the program is named."""
    fresh_warnings.delenv(f"JUSTPIPE_ACTORS_{variable}", raising=False)
    fresh_warnings.setenv(f"JUSTPIPE_{variable}", "1")
    with pytest.warns(UserWarning, match=f"set JUSTPIPE_ACTORS_{variable}") as caught:
        Pipe(dict)
        PipelineRegistry()

    assert [warning.filename for warning in caught] == [__file__]


def test_an_environment_variable_of_justpipe_warns_once(
    fresh_warnings: pytest.MonkeyPatch,
) -> None:
    """It is not used, and the warning names the one that is."""
    fresh_warnings.setenv("JUSTPIPE_PERSIST", "1")
    with pytest.warns(UserWarning, match="set JUSTPIPE_ACTORS_PERSIST") as caught:
        pipe = Pipe(dict)
    assert caught[0].filename == __file__
    assert pipe.persist is False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Pipe(dict)
