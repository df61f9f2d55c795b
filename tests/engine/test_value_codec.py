"""The values of a journal are decoded by the types that a pipe's functions declare."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from justpipe_actors import Meta, Pipe
from justpipe_actors._engine.value_codec import StorableValues
from justpipe_actors.errors import NotStorable


@dataclass
class Page:
    url: str


@dataclass
class Report:
    pages: list[Page] = field(default_factory=list)


@dataclass
class Context:
    user: str
    meta: Meta | None = None


@dataclass
class Bound:
    meta: Meta
    user: str


pipe = Pipe[Report, Any](Report, Context, name="report")


@pipe.map(each="read")
async def pages(state: Report) -> list[Page]:
    """Return the items."""
    return state.pages


@pipe.step()
async def read(state: Report, page: Page) -> None:
    """Use an item."""


CODEC = StorableValues()


def test_states_and_items_are_decoded_by_their_types() -> None:
    """The pipe's state type and the worker's free parameter declare the types."""
    plan = pipe.plan()
    stored = json.loads(json.dumps(CODEC.dump_state(plan, Report([Page("a")]))))
    assert stored == {"pages": [{"url": "a"}]}
    assert CODEC.load_state(plan, stored) == Report([Page("a")])
    item = json.loads(json.dumps(CODEC.dump_item(plan, "read", Page("b"))))
    assert CODEC.load_item(plan, "read", item) == Page("b")
    with pytest.raises(NotStorable, match="item of 'read'"):
        CODEC.dump_item(plan, "read", "b")


def test_a_context_is_stored_without_its_meta() -> None:
    """An attribute typed ``Meta`` is bound again by the process that takes the run up."""
    noted = Pipe(Report, Bound, name="noted").plan()
    stored = CODEC.dump_context(noted, Bound(object(), "ada"))  # type: ignore[arg-type]
    assert stored == {"meta": None, "user": "ada"}
    assert CODEC.load_context(noted, stored).user == "ada"
    assert CODEC.load_context(noted, CODEC.dump_context(noted, None)) is None


def test_a_pipe_without_a_state_type_takes_builtins() -> None:
    """No type is declared, so only builtins can be decoded."""
    plan = Pipe(name="bare").plan()
    state = {"a": (1, {2})}
    assert CODEC.load_state(plan, CODEC.dump_state(plan, state)) == state
    with pytest.raises(NotStorable, match="Report"):
        StorableValues().dump_state(plan, Report())


def test_other_values_need_no_type() -> None:
    """Kept results and the like are builtins, or classes that the journal was given."""
    value = {"a": b"x"}
    assert CODEC.load_value(CODEC.dump_value(value, "plan")) == value
    with pytest.raises(NotStorable, match=r"plan\['a'\]"):
        StorableValues().dump_value({"a": Page("x")}, "plan")
    known = StorableValues([Page])
    assert known.load_value(known.dump_value(Page("x"), "plan")) == Page("x")
