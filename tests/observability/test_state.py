"""``StateDiffTracker``: how each step changed the state."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from justpipe_actors import Event, EventType, Pipe
from justpipe_actors.errors import UnknownRunError
from justpipe_actors.observability import ObserverMeta, StateDiffTracker


END = EventType.STEP_END
META = ObserverMeta("P", "r")


@dataclass
class Order:
    total: float = 0.0
    lines: list[str] = field(default_factory=list)
    lock: Any = None


async def tracked(*states: Any, names: str = "abc", **options: Any) -> StateDiffTracker:
    """Return a tracker that saw a run begin with the first state, then one per step."""
    tracker = StateDiffTracker(**options)
    await tracker.on_pipeline_start(states[0], None, META)
    for name, state in zip(names, states[1:], strict=False):
        await tracker.on_event(state, None, META, Event(END, name, state))
    await tracker.on_pipeline_end(states[-1], None, META, 1.0)
    return tracker


def observed_chain(tracker: StateDiffTracker, *funcs: Any) -> Pipe[Any, Any]:
    """Return an observed pipe that calls functions one after the other."""
    pipe: Pipe[Any, Any] = Pipe(None)
    names = [func.__name__ for func in funcs]
    for func, to in zip(funcs, [*names[1:], None], strict=True):
        pipe.step(func.__name__, to=to)(func)
    pipe.add_observer(tracker)
    return pipe


async def test_snapshots_are_copies_by_step() -> None:
    """A deep copy is taken at the beginning, at each step's end, and at the end."""
    state = {"n": 1, "inner": [1]}
    tracker = StateDiffTracker()
    await tracker.on_pipeline_start(state, None, META)
    state["inner"].append(2)  # type: ignore[attr-defined]
    await tracker.on_event(state, None, META, Event(END, "a", state))
    await tracker.on_pipeline_end(state, None, META, 1.0)

    assert list(tracker.snapshots) == ["__start__", "a", "__end__"]
    assert tracker.initial_state == {"n": 1, "inner": [1]}
    assert tracker.get_snapshot("a") == {"n": 1, "inner": [1, 2]}
    assert tracker.get_snapshot("nowhere") is None
    assert tracker.step_order == ["a"]
    copied = tracker.get_all_snapshots()
    copied.clear()
    assert len(tracker.snapshots) == 3


async def test_a_snapshot_is_taken_before_the_next_step() -> None:
    """In a real run no later change is in the copy."""
    tracker = StateDiffTracker()

    def one(state: Any) -> None:
        state["seen"] = ["one"]

    def two(state: Any) -> None:
        state["seen"].append("two")

    def three(state: Any) -> None:
        state["seen"].append("three")

    async with observed_chain(tracker, one, two, three).run({}) as run:
        await run.wait()

    assert tracker.get_snapshot("one") == {"seen": ["one"]}
    assert tracker.get_snapshot("two") == {"seen": ["one", "two"]}
    assert tracker.get_snapshot("__end__") == {"seen": ["one", "two", "three"]}
    assert len(tracker.for_run(run.run_id).invocations) == 3


async def test_a_failed_run_has_a_last_snapshot() -> None:
    """The state at the end of a failed run is kept too."""
    tracker = StateDiffTracker()

    def fail(state: Any) -> None:
        state["n"] = 2
        raise ValueError("boom")

    async with observed_chain(tracker, fail).run({"n": 1}) as run:
        await run.wait()

    assert tracker.get_snapshot("__end__") == {"n": 2}
    assert tracker.step_order == []


async def test_every_invocation_has_a_snapshot() -> None:
    """Laps and map workers are told apart by visit, item and id."""
    tracker = StateDiffTracker()
    pipe: Pipe[Any, Any] = Pipe(None)

    async def work(item: int, state: Any) -> None:
        state["done"].append(item)

    def lap(state: Any) -> str:
        state["laps"] += 1
        return "lap" if state["laps"] < 3 else "items"

    pipe.step("lap")(lap)
    pipe.map("items", each="w", max_concurrency=1)(lambda state: [10, 20])
    pipe.step("w")(work)
    pipe.add_observer(tracker)
    async with pipe.run({"laps": 0, "done": []}, start="lap") as run:
        await run.wait()

    assert [tracker.get_snapshot(f"lap ({n})")["laps"] for n in (1, 2, 3)] == [1, 2, 3]
    assert tracker.get_snapshot("lap")["laps"] == 3
    assert tracker.get_snapshot("w[0]")["done"] == [10]
    assert tracker.get_snapshot("w[1]")["done"] == [10, 20]
    taken = tracker.for_run(run.run_id).invocations[0]
    assert tracker.get_snapshot(taken.invocation_id or "")["laps"] == 1
    exported = json.loads(tracker.export_json())
    assert exported["lap (2)"] == {"laps": 2, "done": []}


async def test_a_diff_lists_what_was_added_removed_and_changed() -> None:
    """There are three sections; changes inside a value are below the value."""
    tracker = await tracked(
        {"gone": True, "n": 1, "items": [1, 2], "same": 0},
        {"n": 2, "items": [1, 3, 4], "new": {"k": 1}, "same": 0},
    )

    assert tracker.diff("__start__", "a").splitlines() == [
        "State diff: __start__ → a",
        "─" * 25,
        "Added:",
        "  + new: dict(1 keys)",
        "Removed:",
        "  - gone: True",
        "Changed:",
        "  ~ n: 1 → 2",
        "  ~ items: list(2 items) → list(3 items)",
        "      ~ items[1]: 2 → 3",
        "      + items[2]: 4",
    ]
    assert tracker.diff("a", "__end__").endswith("No changes.")
    assert tracker.diff("a", "zz") == "No snapshot found for zz"


async def test_objects_are_compared_by_their_attributes() -> None:
    """A dataclass is compared field by field, a value without parts as before and after."""
    tracker = await tracked(Order(1.5), Order(2.5, ["x" * 300]), max_value_length=20)
    text = tracker.diff("__start__", "a")
    assert "  ~ total: 1.5 → 2.5" in text
    assert f"      + lines[0]: {'x' * 17}..." in text

    tracker = await tracked(1, 2, 2)
    assert tracker.diff("__start__", "a").splitlines()[2:] == ["Before: 1", "After:  2"]
    assert tracker.diff("a", "b").endswith("No changes.")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        ([1, 2, 3], "list(3 items)"),
        ((1,), "list(1 items)"),
        ({"a": 1}, "dict(1 keys)"),
        ({1, 2}, "set(2 items)"),
        (Order(), "Order"),
        ("x" * 50, "x" * 17 + "..."),
    ],
)
async def test_values_are_shown_by_type_and_size(value: Any, text: str) -> None:
    """A value in a difference takes one short line."""
    tracker = await tracked({}, {"v": value}, max_value_length=20)

    assert f"  + v: {text}" in tracker.diff("__start__", "a").splitlines()


async def test_values_of_one_type_are_written_out() -> None:
    """This happens where type and size alone would look equal."""
    tracker = await tracked({"at": range(3)}, {"at": range(4)})

    assert "  ~ at: range(0, 3) → range(0, 4)" in tracker.diff("__start__", "a")


async def test_keys_of_any_type_are_compared() -> None:
    """Keys that cannot be sorted together raise no error."""
    tracker = await tracked({1: "x", "a": 1, None: 2}, {1: "y", "a": 1, (1, 2): 3})
    text = tracker.diff("__start__", "a")

    assert [line.strip() for line in text.splitlines()[3:]] == [
        "+ (1, 2): 3",
        "Removed:",
        "- None: 2",
        "Changed:",
        "~ 1: x → y",
    ]
    assert "+1, -1, ~1" in tracker.summary()


async def test_a_summary_counts_the_changes_of_each_step() -> None:
    """Steps that changed the state are listed with counts and a few names."""
    tracker = await tracked(
        {"n": 1}, {"n": 2}, {"n": 2}, dict.fromkeys(("n", "a", "b", "c", "d"), 0)
    )

    assert tracker.summary().splitlines() == [
        "State Changes Summary",
        "",
        "a:",
        "  +0, -0, ~1",
        "  changed: n",
        "",
        "c:",
        "  +4, -0, ~1",
        "  added: a, b, c, ...",
        "  changed: n",
    ]
    assert StateDiffTracker().summary() == "No state snapshots captured"
    assert "a:\n  replaced" in (await tracked(1, 2)).summary()


async def test_a_state_that_cannot_be_copied_is_skipped() -> None:
    """There is no snapshot and no error."""
    lock = threading.Lock()
    tracker = await tracked(Order(lock=lock), Order(lock=lock))

    assert tracker.snapshots == {}
    assert tracker.initial_state is None
    assert tracker.step_order == ["a"]


async def test_snapshots_become_json() -> None:
    """States are exported as plain data, objects with their type."""
    tracker = await tracked(Order(1.5, ["x"]), Plain(), {"n": float("nan")})
    exported = json.loads(tracker.export_json())

    assert exported["__start__"] == {
        "__class__": "Order",
        "total": 1.5,
        "lines": ["x"],
        "lock": None,
    }
    assert exported["a"] == {"__class__": "Plain", "a": 1}
    assert exported["b"] == {"n": "NaN"}


class Plain:
    def __init__(self) -> None:
        self.a = 1


async def test_snapshots_of_a_sub_pipeline_have_the_childs_state() -> None:
    """The copy after a child's step is of the child's state."""
    tracker = StateDiffTracker()
    child: Pipe[Any, Any] = Pipe(None, name="child")
    child.step("x")(lambda state: state.update(inner=True))
    pipe: Pipe[Any, Any] = Pipe(None)
    pipe.sub("s", child)(lambda state: {"of": "child"})
    pipe.add_observer(tracker)
    async with pipe.run({"of": "parent"}) as run:
        await run.wait()

    assert tracker.get_snapshot("s:x") == {"of": "child", "inner": True}
    assert tracker.get_snapshot("s") == {"of": "parent"}


async def test_each_run_has_its_own_history() -> None:
    """Concurrent runs do not mix or erase each other's history, and only a few are kept."""
    tracker = StateDiffTracker(keep=2)

    async def rest(state: Any) -> None:
        await anyio.lowlevel.checkpoint()
        state["by"] = state["name"]

    pipe = observed_chain(tracker, rest)
    runs = [pipe.run({"name": name}) for name in "abc"]
    async with anyio.create_task_group() as tasks:
        for run in runs[:2]:
            tasks.start_soon(run.wait)

    for run, name in zip(runs[:2], "ab", strict=True):
        assert tracker.for_run(run.run_id).get_snapshot("rest")["by"] == name
    await runs[2].wait()
    with pytest.raises(UnknownRunError):
        for run in runs:
            tracker.for_run(run.run_id)


async def test_histories_do_not_grow() -> None:
    """A long loop keeps only the snapshots of its last invocations."""
    tracker = await tracked(
        *({"n": n} for n in range(50)), names="a" * 49, max_snapshots=5
    )

    taken = tracker.for_run("r").invocations
    assert [one.state["n"] for one in taken] == [45, 46, 47, 48, 49]


async def test_many_changes_in_one_key_are_cut() -> None:
    """Below a key the first changes are listed, and the number of the others."""
    tracker = await tracked({"v": list(range(30))}, {"v": list(range(1, 31))})
    lines = tracker.diff("__start__", "a").splitlines()

    assert lines[4:6] == ["      ~ v[0]: 0 → 1", "      ~ v[1]: 1 → 2"]
    assert lines[-1] == "      ... 10 more"


async def test_a_state_that_is_a_list_shows_its_changes() -> None:
    """It is shown before and after, with the places that differ."""
    tracker = await tracked([1, {"k": 1}], [1, {}, 3])

    assert tracker.diff("__start__", "a").splitlines()[2:] == [
        "Before: list(2 items)",
        "After:  list(3 items)",
        "      - [1].k: 1",
        "      + [2]: 3",
    ]
