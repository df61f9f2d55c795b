"""Record classes that get their methods from attrs or dataclasses at the first use."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import pprint
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, ClassVar

import attrs
import pytest

from justpipe_actors._util import lazy_classes
from justpipe_actors._util.lazy_classes import dataclass, define, frozen


@frozen
class Point:
    """A point."""

    ORIGIN: ClassVar[int] = 0
    x: int
    y: int = attrs.field(default=2)


@dataclass
class Box:
    """A public record."""

    width: int
    tags: list[str] = dataclasses.field(default_factory=list)
    height: int = 1


@dataclass(frozen=True)
class Label:
    """A public record that cannot change."""

    text: str = ""


def test_a_frozen_record_compares_prints_and_matches() -> None:
    """Fields, defaults, comparison, hash, text and patterns are those of attrs."""
    point = Point(1)

    assert point == Point(1, 2)
    assert point != Point(2)
    assert hash(point) == hash(Point(1))
    assert repr(point) == "Point(x=1, y=2)"
    assert attrs.evolve(point, y=5) == Point(1, 5)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        point.x = 3  # type: ignore[misc]
    match point:
        case Point(x, y):
            assert (x, y) == (1, 2)


def props_of(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the facts that ``attrs.inspect`` gives of a class."""
    props = attributes.get("__attrs_props__")
    if props is None:  # of an older attrs
        return {}
    return {name: getattr(props, name) for name in props.__slots__}


@pytest.mark.parametrize("options", [{}, {"eq": False}, {"eq": False, "repr": False}])
@pytest.mark.parametrize("decorator", ["define", "frozen"])
def test_a_class_ends_as_attrs_makes_it(
    decorator: str, options: dict[str, Any]
) -> None:
    """After the first use it has the attributes that attrs gives it, and no others."""

    def made_by(module: Any) -> dict[str, Any]:
        @getattr(module, decorator)(**options)
        class Record:
            """Two fields."""

            number: int
            text: str = "x"

        made: Any = Record
        assert made(1).text == "x"
        assert repr(made(1)) != repr(made(2))
        return {**vars(Record)}

    own, original = made_by(lazy_classes), made_by(attrs)
    assert props_of(own) == props_of(original)
    assert own.keys() == original.keys()
    assert {name: type(value).__name__ for name, value in own.items()} == {
        name: type(value).__name__ for name, value in original.items()
    }


@pytest.mark.parametrize("options", [{}, {"frozen": True}, {"eq": False}])
def test_a_class_ends_as_dataclasses_make_it(options: dict[str, bool]) -> None:
    """It has the attributes that the module dataclasses gives it, so its functions work."""

    def made_by(module: Any) -> dict[str, Any]:
        @module.dataclass(**options)
        class Record:
            """Two fields."""

            number: int
            text: str = dataclasses.field(default="x")
            tags: list[str] = dataclasses.field(default_factory=list)

        made: Any = Record
        assert made(1).tags == []
        assert repr(made(1)) != repr(made(2))
        return {**vars(Record)}

    own, original = made_by(lazy_classes), made_by(dataclasses)
    params = "__dataclass_params__"
    assert repr(own[params]) == repr(original[params])
    assert own.keys() == original.keys()
    assert {name: type(value).__name__ for name, value in own.items()} == {
        name: type(value).__name__ for name, value in original.items()
    }
    assert own["text"] == "x"


FIRST_USES: dict[str, Callable[[Any], object]] = {
    "a call": lambda kind: kind(1),
    "its fields": attrs.fields,
    "the question": attrs.has,
    "its signature": lambda kind: inspect.signature(kind).parameters["number"],
    "a pattern": lambda kind: kind.__match_args__,
    "a comparison": lambda kind: kind.__new__(kind) != 3,
}


@pytest.mark.parametrize("use", FIRST_USES.values(), ids=FIRST_USES)
def test_any_use_may_be_the_first(use: Any) -> None:
    """Whatever is done with a class first, it is complete afterwards."""

    @frozen
    class Record:
        number: int

    assert use(Record) is not None
    assert Record(1) == Record(1)
    assert repr(Record(1)).endswith("Record(number=1)")


def test_a_record_that_is_not_compared_compiles_no_comparison() -> None:
    """Making a record builds what that needs; comparing it builds the rest, once."""

    @frozen
    class Record:
        number: int

    made = Record(1)
    waiting = {name for name in vars(Record) if name in {"__eq__", "__repr__"}}
    assert {type(vars(Record)[name]).__name__ for name in waiting} == {"_Placeholder"}

    assert made == Record(1)
    assert hash(made) == hash(Record(1))
    assert inspect.isfunction(vars(Record)["__repr__"])


def test_a_record_has_slots_and_can_be_referenced_weakly() -> None:
    """It takes as much memory as one of attrs."""
    point = Point(1)

    assert not hasattr(point, "__dict__")
    assert weakref.ref(point)() is point


def test_a_record_can_keep_a_computed_value() -> None:
    """A cached property of a record with slots is computed once."""

    @frozen
    class Record:
        number: int

        @cached_property
        def doubled(self) -> list[int]:
            return [self.number * 2]

    record = Record(2)
    assert record.doubled == [4]
    assert record.doubled is record.doubled


def test_records_can_be_extended() -> None:
    """A record has the fields of its base, and ``super()`` means the base."""

    @define(eq=False)
    class Base:
        start: int
        seen: list[int] = attrs.field(factory=list, init=False)

        def __attrs_post_init__(self) -> None:
            self.seen.append(self.start)

        def name(self) -> str:
            return "base"

    @define(eq=False)
    class Named(Base):
        label: str

        def name(self) -> str:
            return f"{super().name()} of {self.label}"

    named = Named(3, "x")
    assert (named.start, named.seen, named.name()) == (3, [3], "base of x")
    assert not hasattr(named, "__dict__")


def test_a_plain_subclass_calls_the_initialiser() -> None:
    """A class that extends a record without a decorator works as with the originals."""

    class Parcel(Box):
        def __init__(self, sender: str) -> None:
            super().__init__(4)
            self.sender = sender

    @dataclasses.dataclass
    class Crate(Box):
        weight: int = 7

    assert (Parcel("me").width, Parcel("me").sender) == (4, "me")
    assert Crate(1, [], 2, 3) == Crate(1, [], 2, 3)
    assert [field.name for field in dataclasses.fields(Crate)][-1] == "weight"


def test_a_dataclass_behaves_as_one() -> None:
    """Users compare, replace and inspect the public records."""
    box = Box(1)

    assert box == Box(1, [], 1)
    assert box.tags is not Box(1).tags
    assert dataclasses.replace(box, height=9).height == 9
    assert dataclasses.asdict(box) == {"width": 1, "tags": [], "height": 1}
    assert dataclasses.is_dataclass(Box)
    assert {Label("a"), Label("a")} == {Label("a")}
    with pytest.raises(TypeError, match="unhashable"):
        hash(box)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(Label(), "text", "x")  # noqa: B010
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(Label(), "other", "x")  # noqa: B010


def test_pprint_breaks_a_record_into_lines() -> None:
    """It asks the class whether its text was written by the decorator."""

    @dataclass
    class Shelf:
        name: str
        books: list[str]

    shelf = Shelf("novels", ["Emma", "Middlemarch", "Persuasion"])

    lines = pprint.pformat(shelf, width=40).splitlines()

    assert [line.strip() for line in lines][-1] == "'Persuasion'])"
    assert len(lines) == 4


@pytest.mark.parametrize("record", [Point(1), Box(2), Label("a")])
def test_a_record_can_be_copied_and_pickled(record: object) -> None:
    """Records go to other processes and are copied with a state."""
    assert copy.copy(record) == record
    assert copy.deepcopy(record) == record
    assert pickle.loads(pickle.dumps(record)) == record


def test_threads_may_use_a_class_first_at_the_same_time() -> None:
    """Each of two threads sees either no method or the complete class."""

    def first_use() -> bool:
        @dataclass(frozen=True)
        class Record:
            number: int
            tags: list[str] = dataclasses.field(default_factory=list)

        with ThreadPoolExecutor(8) as threads:
            made = [*threads.map(Record, range(8))]
        return [record.number for record in made] == [*range(8)]

    assert all(first_use() for _ in range(20))
