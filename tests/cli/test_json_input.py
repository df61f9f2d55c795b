"""JSON input becomes the state of a pipe, or a list of its errors."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from io import StringIO
from pathlib import Path
from typing import Any, Literal, TypedDict
from uuid import UUID

import attrs
import pytest

from justpipe_actors.cli import json_input
from justpipe_actors.cli.errors import InvalidValue
from justpipe_actors.cli.json_input import (
    JsonArgument,
    build_default,
    build_value,
    read_json,
)


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: float = 0.0


@dataclass
class Everything:
    name: str
    point: Point | None = None
    words: list[str] = field(default_factory=list)
    pair: tuple[int, str] = (0, "")
    numbers: set[int] = field(default_factory=set)
    table: dict[str, bool] = field(default_factory=dict)
    where: Path = Path()
    price: Decimal = Decimal(0)
    key: UUID | None = None
    colour: Colour = Colour.RED
    mode: Literal["a", "b"] = "a"
    anything: Any = None
    later: int = field(default=0, init=False)


@attrs.frozen
class Sealed:
    size: int


class Sized(TypedDict):
    size: int


class Typed(Sized, total=False):
    note: str


class Plain:
    def __init__(self, root: Path, limit: int | None = None, *rest: Any) -> None:
        self.facts = (root, limit)


class Model:
    """The methods of pydantic that are used."""

    @classmethod
    def model_validate(cls, value: Any) -> Model:
        if value == {"good": True}:
            return cls()
        error = ValueError("bad model")
        error.errors = lambda: [{"loc": ("a", 0), "msg": "is wrong"}]  # type: ignore[attr-defined]
        raise error


def made(wanted: Any, value: object) -> Any:
    """Build a value as ``--state`` does."""
    return build_value(wanted, JsonArgument("--state", value))


def problems(wanted: Any, value: object) -> tuple[str, ...]:
    """Return the errors of a value."""
    with pytest.raises(InvalidValue) as refused:
        made(wanted, value)
    return refused.value.problems


def test_every_kind_of_field() -> None:
    """Dataclasses are filled with all types that JSON can represent."""
    value = {
        "name": "it",
        "point": {"x": 1, "y": 2},
        "words": ["a"],
        "pair": [1, "b"],
        "numbers": [1, 1],
        "table": {"yes": True},
        "where": "src",
        "price": "1.50",
        "key": "00000000-0000-0000-0000-000000000007",
        "colour": "red",
        "mode": "b",
        "anything": {"free": [1]},
    }

    assert made(Everything, value) == Everything(
        name="it",
        point=Point(1, 2.0),
        words=["a"],
        pair=(1, "b"),
        numbers={1},
        table={"yes": True},
        where=Path("src"),
        price=Decimal("1.50"),
        key=UUID(int=7),
        mode="b",
        anything={"free": [1]},
    )


def test_every_kind_of_type() -> None:
    """attrs classes, typed dicts, models, plain classes and containers are filled, too."""
    assert made(Sealed, {"size": 1}) == Sealed(1)
    assert made(Typed, {"size": 1}) == {"size": 1}
    assert isinstance(made(Model, {"good": True}), Model)
    assert made(Plain, {"root": "src"}).facts == (Path("src"), None)
    assert made(dict[str, list[int]], {"a": [1]}) == {"a": [1]}
    assert made(dict, {"a": object}) == {"a": object}
    assert made(int | None, None) is None
    for wanted in (Any, object, type(None)):
        assert made(wanted, [1]) == [1]


@pytest.mark.parametrize(
    ("wanted", "value", "expected"),
    [
        (int, "5", "expected an integer and not a string"),
        (int, True, "expected an integer and not true or false"),
        (bool, "false", "expected true or false and not a string"),
        (str, 5, "expected a string and not an integer"),
        (float, "1", "expected a number and not a string"),
        (list[str], "abc", "expected a list and not a string"),
        (tuple[int, ...], "1", "expected a list and not a string"),
        (set[str], "abc", "expected a list and not a string"),
        (Sealed, 3, "expected an object and not an integer"),
        (Plain, [], "expected an object and not a list"),
    ],
)
def test_json_values_are_not_converted(
    wanted: Any, value: object, expected: str
) -> None:
    """Text does not become a number, and so on."""
    assert problems(wanted, value) == (expected,)


def test_every_problem_is_named() -> None:
    """All problems are reported, each with its path and a suggestion."""
    value = {"nam": "x", "point": {"x": "1"}, "words": [1, "a", 2]}  # codespell:ignore

    assert problems(Everything, value) == (
        "name: missing",
        "point.x: expected an integer and not a string",
        "words[0]: expected a string and not an integer",
        "words[2]: expected a string and not an integer",
        "there is no 'nam'. Did you mean 'name'?",  # codespell:ignore
    )
    assert problems(Plain, {"rot": 1, "limit": "x"}) == (
        "root: missing",
        "there is no 'rot'. Did you mean 'root'?",
        "limit: expected an integer and not a string",
    )
    assert problems(Model, {}) == ("a.0: is wrong",)


def test_defaults_are_enough() -> None:
    """Without JSON a type is made of its defaults, or the required fields are named."""
    assert build_default(type(None), "--state") is None
    assert build_default(dict, "--state") == {}
    for wanted, missing in ((Everything, "name"), (Plain, "root"), (Typed, "size")):
        with pytest.raises(
            InvalidValue, match=f"missing, and {wanted.__name__} needs {missing}"
        ):
            build_default(wanted, "--state")


def test_the_remedy_describes_the_type() -> None:
    """The message ends with the fields of the type and how to pass them."""
    with pytest.raises(InvalidValue) as refused:
        build_default(Plain, "--state")

    assert refused.value.message.endswith(
        "Plain has: root: Path, limit: int | None (optional). "
        "Pass JSON, @FILE, or - for standard input."
    )


def test_json_comes_from_three_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are the option itself, a file, and standard input."""
    (tmp_path / "it.json").write_text('{"a": 1}')
    monkeypatch.setattr(sys, "stdin", StringIO('{"a": 1}'))

    for text in ('{"a": 1}', f"@{tmp_path / 'it.json'}", "-"):
        assert read_json(text, "--state").value == {"a": 1}


@pytest.mark.skipif(os.name != "posix", reason="needs /dev/fd")
def test_json_comes_from_a_pipe_of_the_shell() -> None:
    """Such as the one of ``<(command)``."""
    reader, writer = os.pipe()
    try:
        os.write(writer, b'{"a": 1}')
        os.close(writer)
        assert read_json(f"@/dev/fd/{reader}", "--state").value == {"a": 1}
    finally:
        os.close(reader)


@pytest.mark.skipif(os.name != "posix", reason="needs /dev/zero")
def test_a_device_is_refused() -> None:
    """Some have no end."""
    with pytest.raises(InvalidValue, match=r"^--state: /dev/zero is a device and not"):
        read_json("@/dev/zero", "--state")


def test_input_that_is_too_long_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This holds for files and for standard input; up to the limit both are read."""
    monkeypatch.setattr(json_input, "LONGEST", 9)
    path = tmp_path / "it.json"
    for text, is_read in (("[1, 2, 3]", True), ("[1, 2, 34]", False)):
        path.write_text(text)
        for source, name in ((f"@{path}", str(path)), ("-", "standard input")):
            monkeypatch.setattr(sys, "stdin", StringIO(text))
            if is_read:
                assert read_json(source, "--state").value == [1, 2, 3]
                continue
            with pytest.raises(InvalidValue) as refused:
                read_json(source, "--state")
            assert f"{name} has more than 9 characters." in refused.value.message


@pytest.mark.parametrize("text", ["{", "@/no/such/file", "", json.dumps("x")[:-1]])
def test_text_that_is_not_json_is_refused(text: str) -> None:
    """The message names the option."""
    with pytest.raises(InvalidValue, match=r"^--context: "):
        read_json(text, "--context")
