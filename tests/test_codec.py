"""The codec: everything becomes plain data, known types are restored."""

from __future__ import annotations

import json
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, IntEnum
from typing import Any, NoReturn

import attrs
import pytest
from hypothesis import given, strategies as st

from justpipe_actors.codec import (
    CUT,
    CYCLE,
    EVENT_KEYS,
    Limits,
    event_to_plain,
    from_plain,
    from_text,
    to_plain,
    to_text,
)
from justpipe_actors.errors import UnreadableDataError
from justpipe_actors.events import Event, EventType, NodeKind
from justpipe_actors.failures import (
    FailureKind,
    FailureReason,
    FailureRecord,
    FailureSource,
)
from justpipe_actors.outcomes import (
    BarrierMetrics,
    Diagnostic,
    MapMetrics,
    PipelineEndData,
    PipelineTerminalStatus,
    QueueMetrics,
    RuntimeMetrics,
    StepTiming,
    TaskMetrics,
)
from justpipe_actors.records import RunQuery, RunRecord


class Hostile:
    """Raises on every operation."""

    def __str__(self) -> NoReturn:
        raise RuntimeError("no text")

    __repr__ = __str__

    def __eq__(self, other: object) -> NoReturn:
        raise RuntimeError("no comparison")

    def __hash__(self) -> int:
        return 1


class Model:
    """Looks like a pydantic model."""

    def model_dump(self) -> dict[str, Any]:
        return {"name": "ada", "age": 36}


class Broken(Model):
    def model_dump(self) -> dict[str, Any]:
        raise RuntimeError("not now")

    def __str__(self) -> str:
        return "broken model"


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class LoudText(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "not what it holds"


@dataclass
class Point:
    x: int
    y: Any = None


@attrs.define
class Box:
    content: Any
    unset: int = attrs.field(init=False)


@dataclass
class Bag:
    items: list[Any] = field(default_factory=list)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        ("text", "text"),
        (LoudText("held"), "held"),
        (7, 7),
        (Level.HIGH, 3),
        (Colour.RED, "red"),
        (1.5, 1.5),
        ((1, (2,)), [1, [2]]),
        (deque([1, 2]), [1, 2]),
        (OrderedDict(a=1), {"a": 1}),
        (Point(1, Point(2)), {"x": 1, "y": {"x": 2, "y": None}}),
        (Box(Colour.RED), {"content": "red"}),
        (Model(), {"name": "ada", "age": 36}),
        (Broken(), "broken model"),
        (b"abc", "b'abc'"),
        ({1: {2}, "s": (1, 2)}, {"1": "{2}", "s": [1, 2]}),
        (frozenset({"b", "a"}), "{'a', 'b'}"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (timedelta(minutes=1), 60.0),
        (ValueError("boom"), "boom"),
        (Point, str(Point)),
        (1 + 2j, "(1+2j)"),
    ],
)
def test_every_kind_of_value_has_a_plain_form(value: object, expected: object) -> None:
    """Each row of the table in the codec's docstring is tested."""
    assert to_plain(value) == expected


def test_numbers_that_json_cannot_represent_become_text() -> None:
    """NaN, infinities and numbers with too many digits are kept as text."""
    values = [float("nan"), float("inf"), float("-inf"), 10**5000]

    assert json.loads(to_text(values)) == [
        "NaN",
        "Infinity",
        "-Infinity",
        "<int of 16610 bits>",
    ]


def test_keys_of_several_types_lose_nothing() -> None:
    """Keys with the same text are told apart by their types."""
    mixed = {1: "int", "1": "text", None: "none", 1.5: "float", (1, 2): 3}

    assert to_plain(mixed) == {
        "1": "int",
        "1 (str)": "text",
        "null": "none",
        "1.5": "float",
        "[1, 2]": 3,
    }


def test_an_object_that_raises_is_replaced() -> None:
    """An error in __str__, __repr__ or __eq__ affects only that object."""
    plain = to_plain({"bad": Hostile(), "set": {Hostile()}, "good": 1})

    stand_in = "<Hostile whose text raised RuntimeError>"
    assert plain == {"bad": stand_in, "set": "{" + stand_in + "}", "good": 1}


def test_cycles_end() -> None:
    """A container inside itself is marked; a container that occurs twice is not."""
    loop: list[object] = [1]
    loop.append(loop)
    shared = [0]

    assert to_plain(loop) == [1, CYCLE]
    assert to_plain([shared, shared]) == [[0], [0]]


def test_depth_and_size_are_bounded() -> None:
    """A deep or endless value is cut at the limits."""
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]

    assert to_text(deep).count("[") == Limits().depth
    assert to_plain([1, 2, 3, 4], Limits(values=3)) == [1, 2, 3, CUT]
    assert to_plain({"a": 1, "b": 2}, Limits(values=1)) == {"a": 1, CUT: CUT}


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.builds(Hostile)
    | st.sampled_from([Colour.RED, Level.HIGH])
    | st.builds(Model),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers() | st.none(), inner)
        | st.builds(Point, st.integers(), inner)
        | st.builds(Bag, st.lists(inner))
        | st.tuples(inner, inner)
    ),
    max_leaves=12,
)


@given(anything)
def test_anything_becomes_strict_json(value: object) -> None:
    """For any value the text is strict JSON, and plain data stay unchanged."""
    plain = to_plain(value)

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(constant)

    assert json.loads(to_text(value), parse_constant=refuse) == plain
    assert to_plain(plain) == plain


def test_events_are_written_in_a_fixed_order() -> None:
    """The object of an event has fifteen keys, with enums as their values."""
    event = Event(EventType.TOKEN, "s", b"abc", 1.0, "r", seq=3, scope=("a", "b"))

    plain = event_to_plain(event)

    assert tuple(plain) == EVENT_KEYS
    assert (plain["type"], plain["node_kind"]) == ("token", "system")
    assert to_text(plain).endswith(
        '"attempt": 1, "scope": ["a", "b"], "meta": null, "payload": "b\'abc\'"}'
    )


END = PipelineEndData(
    PipelineTerminalStatus.FAILED,
    1.5,
    error="boom",
    reason=FailureReason.STEP_ERROR,
    failure_kind=FailureKind.STEP,
    failure_source=FailureSource.USER_CODE,
    failed_step="a",
    errors=[
        FailureRecord(
            FailureKind.STEP,
            FailureSource.USER_CODE,
            FailureReason.STEP_ERROR,
            "boom",
            "a",
        )
    ],
    metrics=RuntimeMetrics(
        QueueMetrics(1),
        TaskMetrics(2, 2, 1),
        {"a": StepTiming(1, 0.5, 0.5, 0.5)},
        {"j": BarrierMetrics(1, 1, 0, 0.1, 0.1)},
        MapMetrics(0, 0, 0, 0),
        {"start": 1},
        0,
        0,
    ),
    diagnostics=[Diagnostic("j", "pruned", ("a",), "Join 'j' did not run.")],
)
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "record",
    [
        END,
        Event(EventType.STEP_END, "a", {"n": 1}, 1.0, "r", node_kind=NodeKind.STEP),
        RunQuery(labels=("failed",), since=MOMENT),
        RunRecord(
            "r", MOMENT, MOMENT, timedelta(seconds=2), PipelineTerminalStatus.FAILED
        ),
    ],
    ids=lambda record: type(record).__name__,
)
def test_known_types_are_restored(record: object) -> None:
    """Records survive the way through JSON text."""
    assert from_text(to_text(record), type(record)) == record


def test_data_that_do_not_fit_are_refused() -> None:
    """The error names the type and the problem, and has the cause."""
    with pytest.raises(UnreadableDataError, match="PipelineEndData") as caught:
        from_plain({"status": "odd"}, PipelineEndData)
    assert caught.value.__cause__ is not None

    with pytest.raises(UnreadableDataError, match="no Event"):
        from_text("{", Event)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000, "9" * 5000, ""])
def test_text_that_cannot_be_parsed_is_refused(text: str) -> None:
    """This includes deeply nested text and numbers of thousands of digits."""
    with pytest.raises(UnreadableDataError):
        from_text(text, Event)
