"""Stored values are restored equal, and values for which that is impossible are refused."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from functools import cached_property
from math import inf, isnan, nan
from pathlib import Path, PurePosixPath
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    TypedDict,
)
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given, strategies as st

from justpipe_actors._util.storable import Storable
from justpipe_actors._util.stored_state import StateParts, fold_state
from justpipe_actors.errors import NotStorable, UnreadableDataError


class Colour(Enum):
    RED = 1
    BLUE = "b"


class Access(Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: int
    y: float = 0.0


class Options(TypedDict):
    size: int
    name: NotRequired[str]


UserId = NewType("UserId", int)


@dataclass
class Page:
    url: str
    colour: Colour = Colour.RED
    parent: Page | None = None
    tags: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Frozen:
    at: datetime
    raw: bytes = b""


@attrs.define
class Cell:
    value: Decimal
    _hidden: int = 3


class Model(pydantic.BaseModel):
    name: str
    page: Page | None = None
    _seen: int = pydantic.PrivateAttr(default=0)


class Struct(msgspec.Struct):
    name: str
    cells: list[Cell] = []


@dataclass
class Everything:
    pages: list[Page]
    by_name: dict[str, Page]
    by_id: dict[int, Colour]
    point: Point
    pair: tuple[int, Colour]
    many: tuple[Decimal, ...]
    either: Page | Cell | str
    mode: Literal["a", "b", 3]
    options: Options
    user: UserId
    path: Path
    ids: frozenset[UUID]
    access: Access
    anything: Any
    seq: Sequence[Page]
    mapping: Mapping[str, int]
    note: Annotated[str | None, "shown"] = None
    took: timedelta = timedelta()
    ratio: float = 0
    untyped: list = field(default_factory=list)  # type: ignore[type-arg]


EVERYTHING = Everything(
    pages=[Page("a", Colour.BLUE, Page("b"), {"x", "y"})],
    by_name={"$": Page("c")},
    by_id={1: Colour.RED},
    point=Point(1, 2.5),
    pair=(1, Colour.BLUE),
    many=(Decimal("1.10"), Decimal(2)),
    either=Cell(Decimal(1)),
    mode=3,
    options={"size": 1},
    user=UserId(3),
    path=Path("folder/a"),
    ids=frozenset({UUID(int=1), UUID(int=2)}),
    access=Access.READ | Access.WRITE,
    anything=[Page("d"), (1, {2}), {3: b"x"}],
    seq=(Page("e"),),
    mapping={"a": 1},
    ratio=1,
    untyped=[1, "two"],
)


def through(value: Any, hint: Any = Any, *types: type) -> Any:
    """Return a value after the way through JSON text."""
    storable = Storable(types)
    text = json.dumps(storable.codec(hint, "state").encode(value))
    return storable.codec(hint, "state").decode(json.loads(text))


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes(timezones=st.sampled_from([None, UTC, ZoneInfo("Europe/Berlin")]))
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.complex_numbers(allow_nan=False)
)
KEYS = st.text() | st.integers() | st.tuples(st.integers(), st.text()) | st.just("$")
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(KEYS, inner)
        | st.sets(st.integers() | st.text())
        | st.frozensets(st.booleans() | st.binary())
    ),
    max_leaves=20,
)


@given(VALUES)
def test_values_without_annotations_are_restored(value: Any) -> None:
    """Builtins of any form are equal, of the same class, and copies."""
    found = through(value)
    assert found == value
    assert type(found) is type(value)


@given(
    st.builds(Page, st.text(), st.sampled_from(Colour), st.none(), st.sets(st.text()))
)
def test_dataclasses_are_restored(page: Page) -> None:
    """An annotated class is a JSON object of its fields, without tags."""
    assert through(page, Page) == page


@given(st.builds(Struct, st.text(), st.lists(st.builds(Cell, st.decimals("-1", "1")))))
def test_structs_are_restored(struct: Struct) -> None:
    """Classes of msgspec and attrs can be nested."""
    assert through(struct, Struct) == struct


def test_every_kind_of_annotation_is_restored() -> None:
    """One state has each annotation that the reference page names."""
    found = through(EVERYTHING, Everything)
    assert found == EVERYTHING
    assert type(found.ratio) is int
    assert type(found.seq) is tuple


def test_models_are_restored_unchanged() -> None:
    """Pydantic models are built without validation, with their private attributes."""
    model = Model(name="a", page=Page("u"))
    model._seen = 4
    model.name = 7  # type: ignore[assignment]
    with pytest.raises(NotStorable, match=r"state\.name .* int"):
        through(model, Model)
    model.name = "b"
    found = through(model, Model)
    assert found == model
    assert found._seen == 4
    assert found.model_fields_set == {"name", "page"}


def test_values_that_json_does_not_have_are_restored() -> None:
    """Examples are infinities, huge integers and lone surrogates."""
    values = [inf, -inf, -0.0, 10**5000, -(2**63), "\ud800"]
    assert through({"a": values})["a"] == values


def test_not_a_number_is_restored() -> None:
    """NaN is equal to nothing, so this is tested separately."""
    assert isnan(through([nan])[0])
    assert isnan(through(nan, float))


def test_time_zones_are_restored() -> None:
    """Summer time and fixed offsets are kept, also in the repeated hour."""
    zone = ZoneInfo("Europe/Berlin")
    moment = datetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=1)
    found = through(moment)
    assert (found, found.tzinfo, found.fold) == (moment, zone, 1)
    offset = timezone(timedelta(hours=2))
    assert through(datetime(2026, 1, 1, tzinfo=offset)).utcoffset() == timedelta(
        hours=2
    )
    assert through(time(1, 2, tzinfo=UTC)) == time(1, 2, tzinfo=UTC)
    assert type(through(date(2026, 1, 1))) is date


def test_classes_may_be_named_for_places_without_annotation() -> None:
    """``types=`` allows a class where no annotation names it."""
    with pytest.raises(NotStorable, match=r"state\[0\] .* Cell"):
        through([Cell(Decimal(1))])
    assert through([Cell(Decimal(1))], Any, Cell) == [Cell(Decimal(1))]
    assert through([Colour.RED], Any, Colour) == [Colour.RED]
    assert through({"a": Page("x")}, Any, Page) == {"a": Page("x")}


class Client:
    pass


@dataclass
class Sub(Page):
    more: int = 0


@dataclass
class Holder:
    pages: dict[str, list[Page]]
    client: Any = None


@pytest.mark.parametrize(
    ("value", "hint", "path"),
    [
        (Holder({"a": [Page("x"), Sub("y")]}), Holder, r"state\.pages\['a'\]\[1\]"),
        (Holder({}, Client()), Holder, r"state\.client"),
        (Holder({"a": [3]}), Holder, r"state\.pages\['a'\]\[0\]"),  # type: ignore[list-item]
        ({"a": Client()}, Any, r"state\['a'\]"),
        ({(1, Client()): 2}, Any, r"state\[\(1, "),
        (Client(), Client, "state cannot"),
        (True, int, "state"),
        (1, bool, "state"),
        ("a", Literal["b"], "state"),
        ((1, 2, 3), tuple[int, int], "state"),
        ({"other": 1}, Options, r"state\['other'\]"),
        ([1], list[str], r"state\[0\]"),
        (lambda: None, Any, "state"),
        (Point(1), Any, "state"),
        ([print], list[Any], r"state\[0\]"),
    ],
)
def test_a_value_that_cannot_be_restored_is_refused(
    value: Any, hint: Any, path: str
) -> None:
    """The message has the path, the class, and the remedy."""
    with pytest.raises(NotStorable, match=path) as caught:
        through(value, hint)
    assert "@pipe.resource" in str(caught.value)


def test_a_value_of_another_class_than_its_annotation_says_names_the_union() -> None:
    """A subclass is stored where a union names it, and the message says so."""
    with pytest.raises(NotStorable, match="name both classes in a union"):
        through(True, int)


def test_a_cycle_is_refused() -> None:
    """A value that contains itself has no text."""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(NotStorable, match="contains itself"):
        through(loop)


def test_attributes_that_are_no_fields_are_refused() -> None:
    """They would be lost; cached properties are computed again."""

    @dataclass
    class Lazy:
        n: int = 1

        @cached_property
        def double(self) -> int:
            return self.n * 2

    lazy = Lazy()
    assert lazy.double == 2
    assert through(lazy, Lazy) == lazy
    lazy.other = 1  # type: ignore[attr-defined]
    with pytest.raises(NotStorable, match=r"state\.other"):
        through(lazy, Lazy)


def test_neither_validators_nor_post_init_run_again() -> None:
    """An object is restored as it was, not as its constructor would make it."""

    @dataclass
    class Counted:
        n: int

        def __post_init__(self) -> None:
            self.n += 1

    counted = Counted(1)
    assert through(counted, Counted).n == 2


def test_data_of_another_type_are_refused() -> None:
    """Reading builds only what was written for this annotation."""
    codec = Storable().codec(Page, "state")
    for data in ({"nothing": 1}, [1], "x", {"$": ["@", "os.system", "ls"]}):
        with pytest.raises(UnreadableDataError):
            codec.decode(data)
    with pytest.raises(UnreadableDataError):
        Storable().codec(Any, "state").decode({"$": ["@", "os.system", "ls"]})


def test_frozen_slotted_classes_are_restored() -> None:
    """It does not matter how a class keeps its fields."""
    frozen = Frozen(datetime(2026, 1, 1, tzinfo=UTC), b"x")
    assert through(frozen, Frozen) == frozen
    assert through(PurePosixPath("a"), PurePosixPath) == PurePosixPath("a")


# -- parts


CHANGES = st.lists(
    st.dictionaries(
        st.sampled_from("abc"),
        st.integers()
        | st.booleans()
        | st.lists(st.text(string.ascii_letters, max_size=9)),
    ),
    min_size=1,
)


@given(CHANGES)
def test_folding_the_changes_gives_the_state(states: list[dict[str, Any]]) -> None:
    """For any changes, the rows in order describe the state."""
    codec = Storable().codec(dict[str, Any], "state")
    parts = StateParts(codec, verify=True)
    texts: list[str | None] = []
    for state in states:
        change = parts.take(state)
        texts.append(change.text() if change else None)
        assert codec.decode(fold_state(texts)) == state


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["append", "set", "pop", "insert", "clear"]),
            st.integers(0, 10**6),
        ),
        max_size=40,
    )
)
def test_long_lists_can_be_folded(changes: list[tuple[str, int]]) -> None:
    """A list that is written in segments is restored after any change."""
    codec = Storable().codec(Any, "state")
    items = ["x" * 50 + str(n) for n in range(400)]
    state: Any = {"log": items, "n": 0}
    parts = StateParts(codec)
    texts: list[str | None] = [parts.take(state).text()]
    for what, where in changes:
        match what:
            case "append":
                items.extend(str(where) * 9 for _ in range(where % 50))
            case "set" if items:
                items[where % len(items)] = "changed"
            case "pop" if items:
                del items[where % len(items) :]
            case "insert":
                items.insert(where % (len(items) + 1), "new")
            case _:
                items.clear()
        state["n"] += 1
        texts.append(parts.take(state).text())
        assert codec.decode(fold_state(texts)) == state


def test_only_changes_are_written() -> None:
    """An unchanged state writes nothing, and an append writes the end of a long list."""
    codec = Storable().codec(Any, "state")
    state: Any = {"log": ["x" * 100] * 1000, "n": 1, "big": "y" * 10_000}
    parts = StateParts(codec)
    assert len(parts.take(state).text()) > 100_000
    assert not parts.take(state)
    state["log"].append("z")
    assert len(parts.take(state).text()) < 9_000
    state["n"] = True  # equal to 1, and not the same
    assert parts.take(state).parts == {"n": True}
    del state["big"]
    assert parts.take(state).gone == ("big",)


def test_a_state_without_fields_is_one_part() -> None:
    """A number, a list and an empty dict are such states."""
    for values in ([1, 2, None], [[1], [1, 2]], [{}, {"a": 1}, {}]):
        codec = Storable().codec(Any, "state")
        parts = StateParts(codec)
        texts = []
        for value in values:
            texts.append(parts.take(value).text())
            assert codec.decode(fold_state(texts)) == value


def test_verifying_finds_a_value_that_is_restored_as_another() -> None:
    """A class without ``__eq__`` is found when it is stored."""

    @dataclass(eq=False)
    class Odd:
        n: int = 0

    parts = StateParts(Storable().codec(Odd, "state"), verify=True)
    with pytest.raises(NotStorable, match="comes back as"):
        parts.take(Odd())
