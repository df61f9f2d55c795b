"""What is stored is what was: copies, changes, places and rows, for any value."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

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
from justpipe_actors.storage.chunk_encoder import (
    Encoder,
    changed,
    changes_between,
    end_text,
)
from justpipe_actors.storage.chunk_format import (
    event_texts,
    fields_text,
    payloads_of,
    read_fields,
)
from justpipe_actors.storage.event_columns import (
    SHARED,
    copied,
    has_text_keys,
    meta_text,
    value_of,
)
from justpipe_actors.storage.recorder import LONGEST, Backlog


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
    """Whatever two states are, the changes between them make one the other."""
    changes = json.loads(json.dumps(changes_between(before, after)))
    kept = json.dumps(before)

    made = changed(before, changes)

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
    """Return events as they come out of the chunks they went into."""
    backlog, encoder = Backlog(keeps_states=True), Encoder("run", "full", limit)
    chunks = []
    for n, event in enumerate(events, 1):
        backlog.add(event)
        if n % every == 0:
            backlog.close()
    chunks = [encoder.chunk(one, may_refer=True) for one in backlog.take()]
    payloads = {
        chunk.first + n: payload
        for chunk in chunks
        for n, payload in enumerate(payloads_of(chunk))
    }
    texts = [
        text for chunk in chunks for text in event_texts("run", chunk, payloads.get)
    ]
    assert len(backlog) == backlog.weight == backlog.lost == 0
    return [json.loads(text) for text in texts]


@given(odd)
def test_a_copy_says_what_the_codec_says(value: Any) -> None:
    """The quick way to JSON and the careful one agree on every value."""
    assert stored([happened(1, EventType.TOKEN, value)])[0]["payload"] == to_plain(
        value
    )


@given(st.lists(odd))
def test_keys_that_are_no_texts_are_noticed(values: list[Any]) -> None:
    """What ``json`` would write is what the codec writes, or the keys say that it is not."""
    if has_text_keys(values):
        with suppress(ValueError, TypeError):
            text = json.dumps(values, allow_nan=False)
            assert json.loads(text) == to_plain(values)


def test_a_copy_is_of_its_moment() -> None:
    """What happens to the value later does not reach the copy."""
    value = {"list": [1, {"k": 2}]}
    copy = copied(value)
    value["list"].append(3)

    assert value_of(copy) == {"list": [1, {"k": 2}]}
    assert copied({"n": 1}) != copied({"n": True})


@pytest.mark.parametrize("count", [1, 2])
def test_what_finish_says_is_written_the_same_by_hand(count: int) -> None:
    """Figures of many steps are written without the codec, and read the same."""
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

    assert json.loads(end_text(end)) == to_plain(end)
    (event,) = stored([happened(1, EventType.FINISH, end)])
    assert event["payload"] == to_plain(end)


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
def test_meta_is_written_the_same_by_hand(meta: dict[str, Any]) -> None:
    """The usual meta is written without the codec, and reads the same."""
    text = meta_text(meta)

    assert text is not None
    assert json.loads(text) == to_plain(meta)


def test_no_meta_is_null() -> None:
    """An event without meta has null in the array of its chunk."""
    assert meta_text(None) == "null"


@given(st.sampled_from(["r", "run_id", "0123456789abcdef"]), st.lists(name))
def test_shortened_ids_come_back(run_id: str, names: list[str | None]) -> None:
    """Ids that begin with the run's are told from texts that look like short ones."""
    ids = [*names, run_id, f"{run_id}:1", f'"{run_id}', None]
    alike: dict[str, object] = {"stage": "$", "scope": names}

    for told in ({}, alike):
        text = fields_text(run_id, told, {"invocation_id": ids})
        found = read_fields(run_id, text)
        assert found == {"run_id": run_id, **told, "each": {"invocation_id": ids}}


def test_long_ids_are_shortened() -> None:
    """A run's id is not repeated in each of its invocations."""
    run_id = "0123456789abcdef"
    ids = [f"{run_id}:1", f"{run_id}:2"]

    text = fields_text(
        run_id, {}, {"invocation_id": ids, "owner_invocation_id": ids[:]}
    )

    assert run_id not in text
    assert read_fields(run_id, text)["each"]["owner_invocation_id"] == ids


@given(
    st.lists(st.text() | st.integers() | st.none() | st.just({"k": "v" * 300})),
    st.integers(1, 9),
    st.integers(1, 20),
)
def test_chunks_are_the_events_again(
    payloads: list[Any], every: int, numbered_anew_at: int
) -> None:
    """However events are cut into chunks, their texts are the events', one by one."""
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


def test_a_stream_of_tokens_is_known_to_be_alike() -> None:
    """Tokens of a kin have a chunk of their own, cut at what comes between."""
    events = [happened(1, EventType.STEP_START, None)]
    for n in range(2, 2 + SHARED):
        events.append(happened(n, EventType.TOKEN, "t"))
    events.append(happened(2 + SHARED, EventType.STEP_END, {}))
    backlog = Backlog(keeps_states=True)
    backlog.knows_kin = True
    for event in events:
        backlog.add(event)

    assert [len(one) for one in backlog.take()] == [1, SHARED, 1]
    assert stored(events) == [event_to_plain(event) for event in events]


def test_what_hooks_have_broken_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Events that are none any more are lost, and said to be; others are not."""
    backlog = Backlog(keeps_states=True)
    backlog.add(replace(happened(1, EventType.TOKEN, "t"), type="odd"))  # type: ignore[arg-type]
    backlog.close()
    backlog.add(happened(2, EventType.TOKEN, "t"))

    assert [one.first for one in backlog.take()] == [2]
    assert backlog.lost == 1
    assert "Lost 1 events" in caplog.text


def test_a_backlog_knows_when_it_is_long() -> None:
    """Many events, or heavy ones, are to be closed; closing them lightens the list."""
    backlog = Backlog(keeps_states=True)
    heavy = backlog.add(happened(1, EventType.STEP_END, ["x" * 1_000_000]))
    told = [backlog.is_long]
    backlog.close()
    told.append(backlog.is_long)
    assert backlog.weight > 1_000_000

    for n in range(LONGEST):
        backlog.add(happened(n, EventType.TOKEN, "t"))
    told.append(backlog.is_long)
    assert [heavy, *told] == [True, True, False, True]
    backlog.drop()
    assert backlog.lost == LONGEST + 1
