"""``docs/reference/events.md`` describes the events that the engine publishes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from justpipe_actors import Event, EventType, Meta, Pipe, Retry, Suspend
from justpipe_actors.types import CancellationToken


PAGE = Path(__file__).parents[2] / "docs" / "reference" / "events.md"
ELSEWHERE = {EventType.ASK, EventType.ANSWER, EventType.RECOVERED}
"""Types of events of runs that wait for people, or that were taken up again."""

COLUMNS = ("type", "stage", "payload", "kind", "ids", "when")


def table(first: str) -> list[list[str]]:
    """Return the cells of the table whose heading begins with this word."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows: list[list[str]] = []
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


ROWS = {
    row[0].strip("`"): dict(zip(COLUMNS, row, strict=True)) for row in table("type")
}


def words(cell: str) -> list[str]:
    """Return the texts of a cell that are in code font."""
    return re.findall(r"`(\w+)`", cell)


def test_every_type_has_a_row() -> None:
    """The table has one row for each event type, and no other."""
    listed = [row[0].strip("`") for row in table("type")]

    assert sorted(listed) == sorted(kind.name for kind in EventType)


async def events_of(pipe: Pipe[Any, Any], **options: Any) -> list[Event]:
    """Run a pipe and return its events."""
    options.setdefault("state", {"laps": 0})
    async with pipe.run(**options) as run:
        return [event async for event in run]


def fail(state: Any) -> None:
    """Fail."""
    raise ValueError("boom")


async def everything() -> list[Event]:
    """Return events of runs that publish every type of event."""
    child: Pipe[Any, Any] = Pipe(None, name="child")
    child.step("x")(lambda state: None)
    pipe: Pipe[Any, Any] = Pipe(None)

    async def streams(item: int) -> AsyncIterator[int]:
        yield item

    answers = iter([Retry(), None])
    pipe.step("first", to=["left", "right"])(lambda state: next(answers))
    pipe.step("left", to="join")(lambda state: None)
    pipe.step("right", to="join")(lambda state: anyio.sleep(1))
    pipe.step("join", to="route", barrier_timeout=60)(lambda state: None)
    pipe.switch("route", to={"m": "items"})(lambda state: "m")
    pipe.map("items", each="w", to="s")(lambda state: [1, 2])
    pipe.step("w")(streams)
    pipe.sub("s", child, to="pause")(lambda state: state)
    pipe.step("pause")(lambda state: Suspend("approval"))
    events = await events_of(pipe)

    late: Pipe[Any, Any] = Pipe(None, allow_multi_root=True)
    late.step("left", to="join")(lambda state: None)
    late.step("right", to="join")(lambda state: anyio.sleep(9))
    late.step("join", barrier_timeout=1)(lambda state: None)
    late.step("bad")(fail)
    late.on_shutdown(lambda: fail(None))
    events += await events_of(late, timeout=3)
    return events + await cancelled() + await events_of(Pipe(None))


async def cancelled() -> list[Event]:
    """Return the events of a run that ends by its cancellation token."""
    pipe: Pipe[Any, Any] = Pipe(None)

    async def polite(cancel: CancellationToken) -> None:
        cancel.cancel("enough")
        await cancel.checkpoint()

    pipe.step("polite")(polite)
    return await events_of(pipe)


@pytest.mark.virtual_time
async def test_the_rows_match_real_events() -> None:
    """Stage, payload, kind and ids of real events are those of the table."""
    events = await everything()

    missing = set(EventType) - {event.type for event in events}
    assert missing == {EventType.STATE_CHANGE, EventType.GAP, *ELSEWHERE}
    for event in (event for event in events if ":" not in event.stage):
        row = ROWS[event.type.name]
        keys = words(row["payload"])
        if isinstance(event.payload, dict) and "laps" not in event.payload:
            assert list(event.payload) == keys, event
        fixed = words(row["kind"])
        if "the step's" not in row["kind"]:
            assert event.node_kind.value in fixed, event
        if row["ids"] == "none":
            assert (event.invocation_id, event.scope) == (None, ()), event
        elif "none" not in row["ids"]:
            assert event.invocation_id is not None, event
        if row["stage"] == "`system`":
            assert event.stage == "system"


@pytest.mark.virtual_time
async def test_the_lineage_matches_real_events() -> None:
    """Each invocation has the parent, owner and scope that the page gives it."""
    events = [e for e in await everything() if e.type is EventType.STEP_START][:11]
    by_id = {event.invocation_id: event for event in events}

    def told(event: Event) -> tuple[str, str | None, str | None, tuple[str, ...]]:
        parent = by_id.get(event.parent_invocation_id)
        owner = by_id[event.owner_invocation_id]
        return (
            event.stage,
            None if parent is None else parent.stage,
            "itself" if owner is event else owner.stage,
            event.scope,
        )

    assert sorted(map(told, events), key=str) == [
        ("first", "first", "first", ()),
        ("first", None, "itself", ()),
        ("items", "route", "itself", ()),
        ("join", "right", "itself", ()),
        ("left", "first", "itself", ()),
        ("right", "first", "itself", ()),
        ("route", "join", "itself", ()),
        ("s", "items", "itself", ()),
        ("s:x", "s", "s", ("s",)),
        ("w", "items", "items", ("w[0]",)),
        ("w", "items", "items", ("w[1]",)),
    ]


async def test_the_keys_of_meta_match_real_events() -> None:
    """Only the last events of invocations and FINISH have a ``meta``, with these keys."""

    class Context:
        meta: Meta

    pipe: Pipe[Any, Context] = Pipe(None, Context, allow_multi_root=True)

    def note(ctx: Context) -> None:
        ctx.meta.step.set("k", 1)
        ctx.meta.run.set("k", 1)

    pipe.step("notes")(note)
    pipe.step("bad")(fail)
    events = await events_of(pipe, context=Context())
    found = {e.stage: e for e in events if e.meta is not None}

    assert set(found) == {"notes", "bad", "system"}
    assert set(found["notes"].meta or {}) == {"data", "framework"}
    framework = (found["bad"].meta or {})["framework"]
    assert set(framework) == {
        "duration_s",
        "attempt",
        "status",
        "error_type",
        "traceback",
    }
    assert found["system"].type is EventType.FINISH
