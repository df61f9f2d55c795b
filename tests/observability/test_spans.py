"""Which start event and which end event make a span."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given, strategies as st

from justpipe_actors import Event, EventType, Pipe, Retry
from justpipe_actors._util.text import invocation_label
from justpipe_actors.observability.spans import SpanCollector, SpanStatus, collect_spans


START, END = EventType.STEP_START, EventType.STEP_END


def event(kind: EventType, at: float, stage: str = "a", **ids: Any) -> Event:
    """Return an event at a time."""
    return Event(kind, stage, timestamp=at, **ids)


async def events_of(pipe: Pipe[Any, Any], **options: Any) -> list[Event]:
    """Run a pipe and return its events."""
    async with pipe.run({}, **options) as run:
        return [event async for event in run]


def test_old_events_are_paired_first_in_first_out() -> None:
    """Starts at 0 and 10 with ends at 20 and 30 are two spans of 20 seconds."""
    spans = collect_spans(
        [event(START, 0), event(START, 10), event(END, 20), event(END, 30)]
    )

    assert [span.seconds for span in spans] == [20, 20]


def test_events_are_paired_by_invocation() -> None:
    """Crossing invocations of one step keep their own ends."""
    spans = collect_spans(
        [
            event(START, 0, invocation_id="r:1"),
            event(START, 1, invocation_id="r:2"),
            event(END, 5, invocation_id="r:2"),
            event(END, 9, invocation_id="r:1"),
        ]
    )

    assert [(s.invocation_id, s.seconds) for s in spans] == [("r:1", 9), ("r:2", 4)]


async def test_every_map_worker_has_a_span() -> None:
    """Three concurrent workers are three spans, named after their items."""
    pipe: Pipe[Any, Any] = Pipe(None)

    async def work(item: Any) -> None:
        await anyio.lowlevel.checkpoint()

    pipe.map("m", each="w")(lambda state: [1, 2, 3])
    pipe.step("w")(work)
    spans = collect_spans(await events_of(pipe))

    assert sorted(span.label for span in spans) == ["m", "w[0]", "w[1]", "w[2]"]
    assert {span.status for span in spans} == {SpanStatus.DONE}


async def test_a_retried_attempt_ends_where_the_next_begins() -> None:
    """Attempts are spans of their own; only the last one ends with the invocation."""
    pipe: Pipe[Any, Any] = Pipe(None)
    answers = iter([Retry(), Retry(), None])
    pipe.step("a")(lambda state: next(answers))
    first, second, third = collect_spans(await events_of(pipe))

    assert (first.status, second.status) == (SpanStatus.RETRIED, SpanStatus.RETRIED)
    assert (third.status, third.attempt) == (SpanStatus.DONE, 3)
    assert (first.end, second.end) == (second.start, third.start)


@pytest.mark.virtual_time
async def test_failed_and_unfinished_spans_are_marked() -> None:
    """A span that a timeout interrupts is unfinished."""
    pipe: Pipe[Any, Any] = Pipe(None, allow_multi_root=True)

    def fail(state: Any) -> None:
        raise ValueError("boom")

    pipe.step("bad")(fail)
    pipe.step("slow")(anyio.sleep_forever)
    spans = collect_spans(await events_of(pipe, timeout=0.01))

    assert {span.stage: span.status for span in spans} == {
        "bad": SpanStatus.FAILED,
        "slow": SpanStatus.UNFINISHED,
    }
    assert all(span.end is not None for span in spans)


async def test_a_childs_end_closes_only_the_childs_spans() -> None:
    """FINISH of a sub-pipeline does not close spans of the parent."""
    finish = event(EventType.FINISH, 5, "s:system", origin_run_id="child")
    spans = collect_spans(
        [
            event(START, 0, "s", invocation_id="top:1"),
            event(START, 1, "s:x", invocation_id="child:1"),
            finish,
            event(END, 6, "s", invocation_id="top:1"),
        ]
    )

    assert [(s.stage, s.end, s.status.value) for s in spans] == [
        ("s", 6, "done"),
        ("s:x", 5, "unfinished"),
    ]


def test_ends_without_a_start_make_no_span() -> None:
    """Examples are a join that timed out, a failed hook and a second end."""
    assert collect_spans([event(EventType.STEP_ERROR, 1), event(END, 2)]) == []
    assert collect_spans([event(END, 2, invocation_id="r:1")]) == []


def test_a_clock_that_is_set_back_makes_no_negative_span() -> None:
    """The shortest length of a span is zero."""
    (span,) = collect_spans([event(START, 10), event(END, 4)])

    assert (span.start, span.seconds) == (10, 0)


def test_the_number_of_spans_is_bounded() -> None:
    """A run of a hundred thousand laps keeps the last spans and counts the others."""
    collector = SpanCollector(max_spans=5)
    for lap in range(100):
        collector.note(event(START, lap, invocation_id=f"r:{lap}"))
        collector.note(event(END, lap, invocation_id=f"r:{lap}"))

    assert [span.start for span in collector] == [95, 96, 97, 98, 99]
    assert collector.dropped == 95


def test_labels_name_the_item() -> None:
    """A worker is named by its items, outermost first; its successors are not."""
    assert invocation_label("w", ()) == "w"
    assert invocation_label("leaf", ("inner[0]", "leaf[1]")) == "inner[0]/leaf[1]"
    assert invocation_label("s:w", ("s", "w[2]")) == "s:w[2]"
    assert invocation_label("after", ("w[2]",)) == "after"


KINDS = [START, END, EventType.STEP_ERROR, EventType.CANCELLED]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(KINDS),
            st.sampled_from("ab"),
            st.integers(1, 4) | st.none(),
            st.floats(0, 100),
        )
    )
)
def test_every_start_has_one_span_in_any_order_of_events(told: Any) -> None:
    """No span has a negative length, and all are closed at the end."""
    events, seen = [], set()
    for kind, stage, number, at in told:
        invocation = None if number is None else f"r:{stage}{number}"
        if kind is START and invocation in seen:
            continue  # an invocation starts once
        if kind is START and invocation is not None:
            seen.add(invocation)
        events.append(event(kind, at, stage, invocation_id=invocation))
    finish = event(EventType.FINISH, 50, "system")
    spans = collect_spans([*events, finish])

    assert len(spans) == sum(one.type is START for one in events)
    assert all(span.end is not None and span.seconds >= 0 for span in spans)
    assert [span.start for span in spans] == sorted(span.start for span in spans)


def test_steps_at_work_in_a_lost_process_are_interrupted() -> None:
    """Their spans end at the last event of that process; later attempts are other spans."""
    recovered = Event(EventType.RECOVERED, "system", timestamp=100, seq=2**40 + 1)
    spans = collect_spans(
        [
            event(START, 0, "done", invocation_id="r:1"),
            event(END, 5, "done", invocation_id="r:1"),
            event(START, 6, invocation_id="r:2"),
            event(EventType.TOKEN, 8),
            recovered,
            event(START, 101, invocation_id="r:2"),
            event(END, 103, invocation_id="r:2"),
        ]
    )

    assert [(s.stage, s.start, s.end, s.status.value) for s in spans] == [
        ("done", 0, 5, "done"),
        ("a", 6, 8, "interrupted"),
        ("a", 101, 103, "done"),
    ]
    assert spans[1].last_seq == recovered.seq
