"""Encoding of events into chunks and back, for any value."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from justpipe_actors import Pipe
from justpipe_actors._publishing.run_metrics import RunMetrics
from justpipe_actors.codec import event_to_plain, to_plain
from justpipe_actors.events import Event, EventType, NodeKind
from justpipe_actors.meta import StepStatus
from justpipe_actors.outcomes import (
    MapMetrics,
    PipelineEndData,
    PipelineTerminalStatus,
    QueueMetrics,
    RuntimeMetrics,
    StepTiming,
    TaskMetrics,
)
from justpipe_actors.storage import InMemoryBackend
from justpipe_actors.storage.chunk_encoder import (
    Encoder,
    apply_changes,
    changes_between,
    encode_end,
)
from justpipe_actors.storage.chunk_format import (
    decode_fields,
    decode_payloads,
    encode_fields,
    event_texts,
)
from justpipe_actors.storage.event_columns import (
    MIN_STREAM_EVENTS,
    encode_meta,
    has_only_text_keys,
    restore_value,
    snapshot_value,
)
from justpipe_actors.storage.recorder import MAX_QUEUED_EVENTS, EventQueue


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)

odd = st.recursive(
    plain | st.floats() | st.binary() | st.sets(st.integers()),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.booleans(), inner)
    ),
    max_leaves=12,
)

name = st.none() | st.text() | st.sampled_from(["run", "run:1", "ru", "run:1[0]"])


@given(plain, plain)
def test_changes_lead_from_one_state_to_the_next(before: Any, after: Any) -> None:
    """For any two states the stored changes make the second of the first."""
    changes = json.loads(json.dumps(changes_between(before, after)))
    kept = json.dumps(before)

    made = apply_changes(before, changes)

    # The order of keys is no content.
    assert json.dumps(made, sort_keys=True) == json.dumps(after, sort_keys=True)
    assert json.dumps(before) == kept


def happened(seq: int, kind: EventType, payload: object, **more: Any) -> Event:
    """Return an event of a step."""
    return Event(
        kind,
        "s",
        payload,
        float(seq),
        "run",
        "run",
        seq=seq,
        node_kind=NodeKind.STEP,
        invocation_id="run:1",
        **more,
    )


def stored(events: list[Event], *, limit: int = 10_000, every: int = 99) -> list[Any]:
    """Return events after they were encoded in chunks and decoded."""
    queue, encoder = EventQueue(stores_states=True), Encoder("run", "full", limit)
    chunks = []
    for n, event in enumerate(events, 1):
        queue.add(event)
        if n % every == 0:
            queue.build_columns()
    chunks = [encoder.chunk(one, allow_references=True) for one in queue.take()]
    payloads = {
        chunk.first + n: payload
        for chunk in chunks
        for n, payload in enumerate(decode_payloads(chunk))
    }
    texts = [
        text for chunk in chunks for text in event_texts("run", chunk, payloads.get)
    ]
    assert len(queue) == queue.queued_bytes == queue.lost_events == 0
    return [json.loads(text) for text in texts]


@given(odd)
def test_the_quick_and_the_careful_conversion_agree(value: Any) -> None:
    """Both ways to JSON give the same for every value."""
    assert stored([happened(1, EventType.TOKEN, value)])[0]["payload"] == to_plain(
        value
    )


@pytest.mark.slow
@given(st.lists(odd))
def test_keys_that_are_no_text_are_noticed(values: list[Any]) -> None:
    """Where ``json`` would write another key than the codec, the codec is used."""
    if has_only_text_keys(values):
        with suppress(ValueError, TypeError):
            text = json.dumps(values, allow_nan=False)
            assert json.loads(text) == to_plain(values)


def test_a_copy_does_not_change_later() -> None:
    """Later changes of the value are not in it."""
    value = {"list": [1, {"k": 2}]}
    copy = snapshot_value(value)
    value["list"].append(3)

    assert restore_value(copy) == {"list": [1, {"k": 2}]}
    assert snapshot_value({"n": 1}) != snapshot_value({"n": True})


@pytest.mark.parametrize("count", [1, 2])
def test_finish_is_encoded_the_same_by_hand(count: int) -> None:
    """Figures of many steps are written without the codec, and are read the same."""
    metrics = RuntimeMetrics(
        QueueMetrics(3),
        TaskMetrics(2, 2, 1),
        {
            's"1': StepTiming(count, 0.25, 0.25, 0.25),
            "s2": StepTiming(1, 1.0, 1.0, 1.0),
        },
        {},
        MapMetrics(0, 0, 0, 0),
        {"start": 1},
        0,
        0,
    )
    end = PipelineEndData(PipelineTerminalStatus.SUCCESS, 0.5, metrics=metrics)

    assert json.loads(encode_end(end)) == to_plain(end)
    (event,) = stored([happened(1, EventType.FINISH, end)])
    assert event["payload"] == to_plain(end)


@pytest.mark.parametrize("others", [0, 1])
def test_the_end_of_a_child_run_is_stored_with_all_its_metrics(others: int) -> None:
    """Wherever it is in a chunk, and if nobody has read its metrics before."""
    counted = RunMetrics(peak_buffered=3, started=2, completed=2)
    end = PipelineEndData(PipelineTerminalStatus.SUCCESS, 0.5, metrics=counted.report())
    expected = to_plain(replace(end, metrics=counted.report()))
    events = [happened(1, EventType.FINISH, end)]
    events += [happened(2, EventType.TOKEN, "t")] * others

    assert stored(events)[0]["payload"] == expected


@pytest.mark.parametrize(
    "meta",
    [
        {"framework": {"duration_s": 0.25, "attempt": 2, "status": StepStatus.ERROR}},
        {"framework": {"duration_s": float("nan"), "attempt": 1, "status": "odd"}},
        {"framework": {"duration_s": 1.0, "attempt": 1, "status": StepStatus.SUCCESS}}
        | {"tags": ["t"]},
        {"data": {"k": {1, 2}}},
        {},
    ],
    ids=str,
)
def test_meta_is_encoded_the_same_by_hand(meta: dict[str, Any]) -> None:
    """The usual meta is written without the codec, and is read the same."""
    text = encode_meta(meta)

    assert text is not None
    assert json.loads(text) == to_plain(meta)


def test_no_meta_is_null() -> None:
    """An event without meta has null in the array of its chunk."""
    assert encode_meta(None) == "null"


@given(st.sampled_from(["r", "run_id", "0123456789abcdef"]), st.lists(name))
def test_shortened_ids_are_restored(run_id: str, names: list[str | None]) -> None:
    """Ids that begin with the run's id are told apart from other texts."""
    ids = [*names, run_id, f"{run_id}:1", f'"{run_id}', None]
    alike: dict[str, object] = {"stage": "$", "scope": names}

    for told in ({}, alike):
        text = encode_fields(run_id, told, {"invocation_id": ids})
        found = decode_fields(run_id, text)
        assert found == {"run_id": run_id, **told, "each": {"invocation_id": ids}}


def test_long_ids_are_shortened() -> None:
    """A run's id is not repeated in each of its invocations."""
    run_id = "0123456789abcdef"
    ids = [f"{run_id}:1", f"{run_id}:2"]

    text = encode_fields(
        run_id, {}, {"invocation_id": ids, "owner_invocation_id": ids[:]}
    )

    assert run_id not in text
    assert decode_fields(run_id, text)["each"]["owner_invocation_id"] == ids


@given(
    st.lists(st.text() | st.integers() | st.none() | st.just({"k": "v" * 300})),
    st.integers(1, 9),
    st.integers(1, 20),
)
def test_chunks_contain_all_events(
    payloads: list[Any], every: int, numbered_anew_at: int
) -> None:
    """However events are divided into chunks, each is restored with its text."""
    events = [
        happened(
            n if n < numbered_anew_at else n + 5,
            EventType.STEP_END if isinstance(payload, dict) else EventType.TOKEN,
            payload,
            meta={"data": {"n": n}} if n % 3 == 0 else None,
        )
        for n, payload in enumerate(payloads, 1)
    ]

    assert stored(events, every=every) == [event_to_plain(event) for event in events]


def test_tokens_of_one_stream_share_a_chunk() -> None:
    """The chunk ends at the next event that differs."""
    events = [happened(1, EventType.STEP_START, None)]
    for n in range(2, 2 + MIN_STREAM_EVENTS):
        events.append(happened(n, EventType.TOKEN, "t"))
    events.append(happened(2 + MIN_STREAM_EVENTS, EventType.STEP_END, {}))
    queue = EventQueue(stores_states=True)
    queue.tokens_are_unchanged = True
    for event in events:
        queue.add(event)

    assert [len(one) for one in queue.take()] == [1, MIN_STREAM_EVENTS, 1]
    assert stored(events) == [event_to_plain(event) for event in events]


def test_events_that_hooks_made_invalid_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They are lost and reported; the others are stored."""
    queue = EventQueue(stores_states=True)
    queue.add(replace(happened(1, EventType.TOKEN, "t"), type="odd"))  # type: ignore[arg-type]
    queue.build_columns()
    queue.add(happened(2, EventType.TOKEN, "t"))

    assert [one.first for one in queue.take()] == [2]
    assert queue.lost_events == 1
    assert "Lost 1 events" in caplog.text


def test_a_backlog_has_a_limit() -> None:
    """Many or large events close it, and closing empties the list."""
    queue = EventQueue(stores_states=True)
    heavy = queue.add(happened(1, EventType.STEP_END, ["x" * 1_000_000]))
    told = [queue.is_batch_full]
    queue.build_columns()
    told.append(queue.is_batch_full)
    assert queue.queued_bytes > 1_000_000

    for n in range(MAX_QUEUED_EVENTS):
        queue.add(happened(n, EventType.TOKEN, "t"))
    told.append(queue.is_batch_full)
    assert [heavy, *told] == [True, True, False, True]
    queue.drop()
    assert queue.lost_events == MAX_QUEUED_EVENTS + 1


async def test_user_exceptions_are_not_stored() -> None:
    """FINISH has the texts of failures, not the exception objects."""
    child: Pipe[Any, Any] = Pipe(dict, name="child")

    @child.step
    async def fail() -> None:
        error = ValueError("boom")
        error.token = "hunter2"  # type: ignore[attr-defined]
        raise error

    store = InMemoryBackend()
    pipe: Pipe[Any, Any] = Pipe(dict, name="P", persist=True, storage=store)
    pipe.sub("nested", pipeline=child)(lambda state: {})
    async with pipe.run({}) as run:
        await run.wait()

    texts = [event.data for event in store.get_events(run.run_id)]
    assert len(texts) > 3
    assert not [text for text in texts if "hunter2" in text or "_exceptions" in text]
