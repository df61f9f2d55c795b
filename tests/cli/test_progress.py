"""Events become rows of the progress view: steps at work, counts, failures."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from justpipe_actors import Event, EventType
from justpipe_actors.cli.formatting import Canvas, draw, select_rows
from justpipe_actors.cli.progress import Mark, Progress, outline
from justpipe_actors.outcomes import PipelineEndData, PipelineTerminalStatus


SURVEY = {
    "nodes": {
        "join": {"kind": "step", "targets": []},
        "work": {"kind": "step", "targets": []},
        "right": {"kind": "step", "targets": ["join"]},
        "fan": {"kind": "map", "targets": ["left", "right", "work"]},
        "left": {"kind": "step", "targets": ["join"]},
        "child": {"kind": "sub", "targets": []},
    },
    "topology": {"fan": ["left", "right"], "left": ["join"], "right": ["join"]},
}


def heard(*events: Event) -> Progress:
    """Return the rows after some events."""
    progress = outline(SURVEY)
    for event in events:
        progress.on_event(event)
    return progress


def start(stage: str, at: float = 0.0, attempt: int = 1) -> Event:
    """Begin an invocation."""
    return Event(EventType.STEP_START, stage, timestamp=at, attempt=attempt)


def end(stage: str, at: float = 1.0) -> Event:
    """End an invocation with success."""
    return Event(EventType.STEP_END, stage, timestamp=at)


def error(stage: str, text: str = "boom", **framework: object) -> Event:
    """End an invocation with an error."""
    meta = {"framework": framework}
    return Event(EventType.STEP_ERROR, stage, text, timestamp=1.0, meta=meta)


def fan(kind: EventType, count: int | None) -> Event:
    """Begin or complete the map."""
    return Event(kind, "fan", {"target": "work", "item_count": count})


def finish() -> Event:
    """End the run."""
    return Event(
        EventType.FINISH, "system", PipelineEndData(PipelineTerminalStatus.SUCCESS, 1.0)
    )


def test_rows_exist_before_anything_begins() -> None:
    """Every step has a row, before its successors; a map's worker is below the map."""
    rows = outline(SURVEY).rows.values()

    assert [(row.name, row.depth) for row in rows] == [
        ("fan", 0),
        ("work", 1),
        ("left", 0),
        ("right", 0),
        ("join", 0),
        ("child", 0),
    ]


def test_cycles_have_rows_too() -> None:
    """Steps of a cycle are listed once, in the order of registration."""
    circle = {"kind": "step", "targets": []}
    described = {
        "nodes": {"a": circle, "b": circle},
        "topology": {"a": ["b"], "b": ["a"]},
    }

    assert list(outline(described).rows) == ["a", "b"]


def test_invocations_are_counted() -> None:
    """A step counts begins and ends; its time is from the first begin to the last end."""
    progress = heard(start("left", 1.0), start("left", 2.0), end("left", 4.0))

    row = progress.rows["left"]
    assert (row.started, row.done, row.running) == (2, 1, 1)
    assert row.seconds(now=9.0) == 8.0
    progress.on_event(end("left", 5.0))
    assert row.seconds(now=9.0) == 4.0
    assert row.mark(is_over=False) is Mark.DONE


def test_attempts_are_no_invocations() -> None:
    """A further attempt belongs to the same invocation."""
    row = heard(start("left"), start("left", attempt=2), end("left")).rows["left"]

    assert (row.started, row.done, row.retried, row.running) == (1, 1, 1, 0)


def test_steps_of_a_lost_process_are_counted_once() -> None:
    """When a durable run is taken up, its open steps and maps begin again."""
    begin = start("left", attempt=2)
    items = fan(EventType.MAP_START, 3)
    recovered = Event(EventType.RECOVERED, "system", timestamp=9.0)

    progress = heard(start("left"), begin, items, recovered)
    row, fan_row = progress.rows["left"], progress.rows["fan"]
    assert (row.started, row.running, row.interrupted) == (0, 0, 1)
    assert fan_row.items == 0

    for event in (begin, items, end("left")):
        progress.on_event(event)
    assert (row.started, row.running, row.done) == (1, 0, 1)
    assert fan_row.items == 3


def test_the_time_without_a_process_is_not_counted() -> None:
    """A step that begins again takes as long as it takes then."""
    lost = heard(start("left", at=1.0), start("right", at=2.0), end("right", at=4.0))
    for event in (
        start("right", at=5.0),
        Event(EventType.RECOVERED, "system", timestamp=105.0),
        start("left", at=106.0),
        start("right", at=107.0),
        end("left", at=108.0),
        end("right", at=109.0),
    ):
        lost.on_event(event)

    assert lost.rows["left"].seconds(now=200.0) == 2.0
    assert lost.rows["right"].seconds(now=200.0) == 7.0


def test_maps_count_their_items() -> None:
    """Items of all laps are added up; a generator leaves the total unknown."""
    known = heard(fan(EventType.MAP_START, 3), fan(EventType.MAP_START, 2))
    assert (known.rows["fan"].items, known.rows["fan"].uncounted_maps) == (5, 0)

    unknown = heard(fan(EventType.MAP_START, None))
    assert (unknown.rows["fan"].items, unknown.rows["fan"].uncounted_maps) == (0, 1)
    unknown.on_event(fan(EventType.MAP_COMPLETE, 7))
    assert (unknown.rows["fan"].items, unknown.rows["fan"].uncounted_maps) == (7, 0)


def test_the_steps_of_a_child_are_below_it() -> None:
    """Rows of a sub-pipeline appear when they begin, in order."""
    progress = heard(start("child"), start("child:b"), start("child:a"), start("late"))

    assert list(progress.rows)[-4:] == ["child", "child:b", "child:a", "late"]
    assert progress.rows["child:a"].depth == 1


def test_failures_are_shown() -> None:
    """A failure has its type and its line, where the event has them."""
    trace = 'Traceback:\n  File "/x/y.py", line 3, in work\n    raise\n'
    progress = heard(
        start("left"),
        error("left", error_type="ValueError", traceback=trace),
        error("startup"),
    )

    first, second = progress.failures
    assert (first.error, first.location) == ("ValueError: boom", "/x/y.py:3 in work")
    assert (second.step, second.error, second.location) == ("startup", "boom", "")
    assert progress.rows["startup"].mark(is_over=True) is Mark.FAILED


def test_open_steps_of_an_ended_run_are_interrupted() -> None:
    """Steps that never began are not taken."""
    progress = heard(start("left"), start("right"), end("right"), finish())

    marks = {n: r.mark(is_over=True) for n, r in progress.rows.items()}
    assert marks["left"] is Mark.CUT_OFF
    assert marks["right"] is Mark.DONE
    assert marks["join"] is Mark.NOT_TAKEN


def test_waiting_joins_name_their_missing_parents() -> None:
    """They do so until the join is released."""
    wait = Event(EventType.BARRIER_WAIT, "join", {"waiting_for": ["right"]})
    progress = heard(wait)
    assert progress.rows["join"].waiting_for == ("right",)

    progress.on_event(Event(EventType.BARRIER_RELEASE, "join", {"duration": 1.0}))
    assert not progress.rows["join"].waiting_for


def test_running_steps_are_shown_first() -> None:
    """With too little room, steps that have not begun are left out first, then ended ones."""
    rows = list(heard(start("left"), start("right"), end("right")).rows.values())

    assert [row.name for row in select_rows(rows, 3, is_over=False)] == [
        "left",
        "right",
    ]
    assert len(select_rows(rows, 6, is_over=False)) == 6


STAGES = st.sampled_from(
    ["fan", "work", "left", "child", "child:x", "a\x1b[2Jb", "漢" * 40]
)
EVENTS = st.one_of(
    st.builds(start, STAGES, st.floats(0, 1e6), st.integers(1, 3)),
    st.builds(end, STAGES, st.floats(0, 1e6)),
    st.builds(error, STAGES, st.text()),
    st.builds(
        fan,
        st.sampled_from([EventType.MAP_START, EventType.MAP_COMPLETE]),
        st.none() | st.integers(0, 10**9),
    ),
    st.builds(finish),
)


@pytest.mark.slow
@given(
    st.lists(EVENTS, max_size=30),
    st.integers(20, 200),
    st.integers(3, 50),
    st.booleans(),
)
def test_lines_fit(
    events: list[Event], width: int, height: int, has_only_ascii: bool
) -> None:
    """No line is wider than the terminal, and none moves the cursor."""
    progress = heard(*events)

    lines = list(draw(progress, Canvas(width, height, has_only_ascii), now=2e6))

    assert len(lines) <= height
    for line in lines:
        assert line.cell_len <= width
        assert line.plain.isprintable()
