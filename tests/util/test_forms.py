"""Forms: the schema of an answer, how it is read, and its errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest

from justpipe_actors._util.forms import Misfit, form_of, plain_of


class Colour(Enum):
    RED = "red"
    BLUE = 2


@dataclass
class Address:
    city: str
    zip: str | None = None


@dataclass
class Person:
    name: str
    address: Address
    tags: list[str] = field(default_factory=list)


@attrs.define
class Cell:
    value: Decimal
    _hidden: int = 3


class Options(TypedDict):
    size: int
    name: NotRequired[str]


class Point(NamedTuple):
    x: int
    y: int = 0


class Model(pydantic.BaseModel):
    age: int = pydantic.Field(ge=18)


class Struct(msgspec.Struct):
    a: int
    b: str = "x"


MOMENT = datetime(2026, 1, 31, 9, tzinfo=UTC)

EXAMPLES: list[tuple[Any, Any, Any]] = [
    (bool, True, True),
    (int, 3, 3),
    (float, 3, 3.0),
    (str, "a", "a"),
    (None, None, None),
    (datetime, MOMENT.isoformat(), MOMENT),
    (date, "2026-01-31", date(2026, 1, 31)),
    (timedelta, 1.5, timedelta(seconds=1.5)),
    (Decimal, "1.10", Decimal("1.10")),
    (UUID, str(UUID(int=1)), UUID(int=1)),
    (Any, {"a": [1]}, {"a": [1]}),
    (Literal["a", 1], 1, 1),
    (Colour, "red", Colour.RED),
    (int | None, None, None),
    (Annotated[int, "age"], 3, 3),
    (list[Colour], [2], [Colour.BLUE]),
    (Sequence[int], [1], [1]),
    (tuple[int, str], [1, "a"], (1, "a")),
    (tuple[int, ...], [1, 2], (1, 2)),
    (dict[str, Colour], {"a": "red"}, {"a": Colour.RED}),
    (dict, {"a": 1}, {"a": 1}),
    (
        Person,
        {"name": "Ada", "address": {"city": "London"}},
        Person("Ada", Address("London")),
    ),
    (Person | Cell, {"value": 2}, Cell(Decimal(2))),
    (Cell, {"value": "2", "hidden": 4}, Cell(Decimal(2), 4)),
    (Options, {"size": 1}, {"size": 1}),
    (Point, {"x": 1}, Point(1)),
    (Model, {"age": 20}, Model(age=20)),
    (Struct, {"a": 1}, Struct(1)),
]


@pytest.mark.parametrize(
    ("hint", "plain", "value"), EXAMPLES, ids=lambda one: str(one)[:20]
)
def test_answers_become_values_of_the_form(hint: Any, plain: Any, value: Any) -> None:
    """JSON is read as a value of the type, and a value is accepted unchanged."""
    form = form_of(hint)
    found = form.load(plain)
    assert found == value
    assert type(found) is type(value)
    assert isinstance(form.schema, dict)
    if hint is not Cell:  # whose private field has another name in JSON
        assert form.load(plain_of(value)) == value


@pytest.mark.parametrize(
    ("hint", "plain", "words"),
    [
        (bool, 1, "answer must be true or false, not 1"),
        (int, True, "answer must be an integer"),
        (int, 1.0, "answer must be an integer"),
        (str, 1, "answer must be a text"),
        (datetime, "tomorrow", "answer must be a time"),
        (Decimal, "abc", "answer must be a number"),
        (Literal["a"], "b", "answer must be one of 'a'"),
        (Colour, [1], "answer must be one of 'red', 2"),
        (list[int], [1, "a"], r"answer\[1\] must be an integer"),
        (tuple[int, int], [1], "answer must be a list of 2"),
        (dict[str, int], {"a": "b"}, r"answer\.a must be an integer"),
        (Person, {"name": "Ada"}, "answer lacks address"),
        (
            Person,
            {"name": "Ada", "address": {"city": "x", "town": "y"}},
            r"answer\.address has no field town",
        ),
        (int | None, "a", "answer must be an integer.*or answer must be null"),
        (Model, {"age": 3}, "greater than or equal to 18"),
    ],
)
def test_an_answer_that_does_not_fit_is_described(
    hint: Any, plain: Any, words: str
) -> None:
    """The text has the path and what would fit."""
    with pytest.raises(Misfit, match=words):
        form_of(hint).load(plain)


def test_the_schema_has_what_a_program_needs_to_draw_a_form() -> None:
    """It has names, types, choices and required fields."""
    assert form_of(Person).schema == {
        "type": "object",
        "title": "Person",
        "properties": {
            "name": {"type": "string"},
            "address": {
                "type": "object",
                "title": "Address",
                "properties": {
                    "city": {"type": "string"},
                    "zip": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                },
                "required": ["city"],
                "additionalProperties": False,
            },
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["name", "address"],
        "additionalProperties": False,
    }
    assert form_of(Literal["a", "b"]).schema == {"enum": ["a", "b"]}


@pytest.mark.parametrize("hint", [object.__init__, type(lambda: 0), set])
def test_a_type_that_cannot_be_a_form_is_refused(hint: Any) -> None:
    """The message names the type and what forms are made of."""
    with pytest.raises(TypeError, match="is no form"):
        form_of(hint)
