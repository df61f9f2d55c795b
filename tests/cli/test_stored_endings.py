"""What commands show of stored runs that did not succeed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from justpipe_actors import Event, EventType, Pipe, Suspend
from justpipe_actors.cli.formatting import Canvas, draw
from justpipe_actors.cli.progress import outline
from justpipe_actors.events import NodeKind
from justpipe_actors.observability.timeline import Timeline
from justpipe_actors.storage.registry import PipelineRegistry

from .conftest import Store


Command = Callable[..., tuple[int, str, str]]


def stored(store: Store, pipe: Pipe[Any, Any], **options: Any) -> None:
    """Run a pipe that stores its runs."""

    async def main() -> None:
        await pipe.run({}, **options).wait()

    anyio.run(main)


def new_pipe(store: Store, name: str) -> Pipe[Any, Any]:
    """Return a pipe that stores its runs in the store."""
    return Pipe(dict, name=name, storage=store.root, log_state=False)


def test_an_error_is_shown_with_its_type(store: Store, command: Command) -> None:
    """``'missing'`` alone does not show that it is a KeyError."""
    pipe = new_pipe(store, "broken")

    @pipe.step
    def boom() -> None:
        raise KeyError("missing")

    stored(store, pipe)
    for name in (("show", "last"), ("list",), ("stats",)):
        assert "KeyError: 'missing'" in command(*name)[1]
    (listed,) = json.loads(command("list", "--json")[1])
    shown = json.loads(command("show", "last", "--json")[1])
    assert listed["error_text"] == shown["error_text"] == "KeyError: 'missing'"
    assert listed["error_message"] == "'missing'"


def test_a_stored_group_is_shown_with_the_exceptions_inside(
    store: Store, command: Command
) -> None:
    """``two of five (2 sub-exceptions)`` does not show what has failed."""
    pipe = new_pipe(store, "broken")

    @pipe.step
    def gather() -> None:
        raise ExceptionGroup("two of five", [OSError("a"), KeyError("b")])

    stored(store, pipe)
    for name in (("show", "last"), ("list",), ("stats",)):
        assert "sub-exceptions): OSError: a; KeyError: 'b'" in command(*name)[1]


def test_a_run_that_timed_out_names_the_steps_at_work(
    store: Store, command: Command
) -> None:
    """They are the reason that a user looks for."""
    pipe = new_pipe(store, "slow")

    @pipe.step
    async def crawl() -> None:
        await anyio.sleep(60)

    stored(store, pipe, timeout=1)  # by then the step has begun
    assert "At work   crawl" in command("show", "last")[1]
    assert json.loads(command("show", "last", "--json")[1])["steps_at_work"] == [
        "crawl"
    ]


def test_a_suspended_run_has_its_reason_and_is_kept(
    store: Store, command: Command
) -> None:
    """Only a cleanup that names suspended runs deletes them."""
    pipe = new_pipe(store, "asking")

    @pipe.step
    def ask() -> Suspend:
        return Suspend("the answer of Ada")

    stored(store, pipe)
    assert "Waits for  the answer of Ada" in command("show", "last")[1]
    everything = ("cleanup", "--keep", "0", "--yes")
    assert "Nothing to clean up" in command(*everything)[1]
    assert "1 run deleted" in command(*everything, "--status", "suspended")[1]


def test_a_folded_map_is_the_bottleneck(store: Store, command: Command) -> None:
    """A map without its items is one row with their whole time."""
    timeline = Timeline(80)
    timeline.name = "P"
    for kind, stage, node, at in (
        (EventType.STEP_START, "m", NodeKind.MAP, 0.0),
        (EventType.STEP_END, "m", NodeKind.MAP, 9.0),
        (EventType.STEP_START, "after", NodeKind.STEP, 9.0),
        (EventType.STEP_END, "after", NodeKind.STEP, 10.0),
    ):
        timeline.note(
            Event(kind, stage, None, at, node_kind=node, invocation_id=f"r:{stage}")
        )
    (row,) = [r for r in timeline.render_ascii().splitlines() if "Bottleneck" in r]
    assert row.startswith("m ")


def test_waiting_for_a_run_misses_no_short_one(
    store: Store, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that begins and ends between two polls is shown, too."""
    pipe = new_pipe(store, "short")
    pipe.step("blink")(lambda: None)
    asked = threading.Event()
    query_runs = PipelineRegistry.query_runs

    def query(self: PipelineRegistry, *arguments: Any, **options: Any) -> Any:
        found = query_runs(self, *arguments, **options)
        if not asked.is_set():
            asked.set()
            thread = threading.Thread(target=stored, args=(store, pipe))
            thread.start()
            thread.join()
        return found

    monkeypatch.setattr(PipelineRegistry, "query_runs", query)
    status, out, _ = command("tail", "--wait", "--json")
    assert status == 0
    assert json.loads(out.splitlines()[-1])["type"] == "finish"


def test_a_map_of_unknown_length_shows_a_count() -> None:
    """It grows from the first item on."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.map("m", each="w")(lambda: iter(()))
    pipe.step("w")(lambda item: None)
    progress = outline(pipe.describe())
    now = datetime.now(UTC).timestamp()
    started = {"target": "w", "item_count": None}
    progress.on_event(Event(EventType.STEP_START, "m", None, now))
    progress.on_event(Event(EventType.MAP_START, "m", started, now))
    for _ in range(3):
        progress.on_event(Event(EventType.STEP_START, "w", None, now))
    progress.on_event(Event(EventType.STEP_END, "w", None, now))
    lines = [str(line) for line in draw(progress, Canvas(80, 20), now)]
    assert "1 of 3 so far" in lines[0]
