"""What is stored is what was: copies, changes, places and rows, for any value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from justpipe_actors.codec import event_to_plain, to_plain, to_text
from justpipe_actors.events import Event, EventType, NodeKind
from justpipe_actors.meta import StepStatus
from justpipe_actors.records import EventRow, Place, TokenRow
from justpipe_actors.storage.backlog import Backlog
from justpipe_actors.storage.changes import changed, changes_between
from justpipe_actors.storage.copying import Copy, copied, meta_text
from justpipe_actors.storage.encoding import Encoder
from justpipe_actors.storage.rows import event_texts, place_text, read_place


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


@given(odd)
def test_a_copy_says_what_the_codec_says(value: Any) -> None:
    """The quick way to JSON and the careful one agree on every value."""
    copy = copied(value)
    text = copy.text() if isinstance(copy, Copy) else to_text(copy)

    assert json.loads(text) == to_plain(value)


def test_a_copy_is_of_its_moment() -> None:
    """What happens to the value later does not reach the copy."""
    value = {"list": [1, {"k": 2}]}
    copy = copied(value)
    value["list"].append(3)

    assert isinstance(copy, Copy)
    assert copy.value() == {"list": [1, {"k": 2}]}
    assert copied({"n": 1}) != copied({"n": True})


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


@given(
    st.builds(
        Place,
        st.text(),
        name,
        name,
        st.text(),
        name,
        name,
        name,
        st.integers(),
        st.lists(st.text()).map(tuple),
    )
)
def test_a_place_comes_back(place: Place) -> None:
    """Shortened ids are told from ids that look like them."""
    assert read_place("run", place_text("run", place)) == place


def happened(seq: int, kind: EventType, payload: object) -> Event:
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
    )


@given(st.lists(st.text() | st.integers() | st.none(), max_size=30), st.integers(1, 9))
def test_rows_are_the_events_again(payloads: list[Any], flush_every: int) -> None:
    """However tokens are gathered, the rows' texts are the events', one by one."""
    backlog = Backlog(flush_every)
    events = [happened(n, EventType.TOKEN, p) for n, p in enumerate(payloads, 1)]
    for event in events:
        if type(event.payload) is str:
            backlog.gather(event)
        else:
            backlog.add(event, copied(event.payload))
    backlog.spill()
    rows = Encoder("full", 10_000).rows(backlog.take())

    assert all(isinstance(row, EventRow | TokenRow) for row in rows)
    texts = event_texts("run", rows)
    assert [json.loads(text) for text in texts] == [event_to_plain(e) for e in events]
    assert backlog.weight == 0
