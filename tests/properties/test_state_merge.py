"""The merge of states against a simple model of its rules, on random states and changes."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given, strategies as st

from justpipe_actors._plan.state_copies import Copier
from justpipe_actors._plan.state_merge import (
    Conflict,
    applied,
    assign,
    difference,
    merged,
)


ABSENT: Any = object()

atoms = st.sampled_from([None, True, False, 0, 1, 2, "a", "b"])
values = st.recursive(
    atoms | st.sets(st.sampled_from("abc"), max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)
states = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


def edited(draw: Any, value: Any) -> Any:
    """Return a value after a random step: parts changed, added, removed, or not."""
    if draw(st.integers(0, 2)) == 0:
        return copy.deepcopy(value)
    if isinstance(value, dict):
        new = {k: edited(draw, v) for k, v in value.items() if draw(st.integers(0, 4))}
        if draw(st.booleans()):
            new[draw(st.sampled_from("abcd"))] = draw(values)
        return new
    if isinstance(value, list) and draw(st.booleans()):
        return [*copy.deepcopy(value), *draw(st.lists(values, max_size=2))]
    if isinstance(value, set):
        return value ^ draw(st.sets(st.sampled_from("abc")))
    return draw(values)


def model(base: Any, mine: Any, theirs: Any) -> Any:
    """Merge by the documented rules, in their order, on whole values.

    Raises:
        ValueError: there is a conflict.
    """
    if _same(base, mine):
        return theirs
    if _same(base, theirs):
        return mine
    kinds = {type(mine), type(theirs)}
    if mine is ABSENT and theirs is ABSENT:
        return ABSENT
    if ABSENT in (mine, theirs):
        raise ValueError
    if kinds == {list}:
        start = [] if base is ABSENT else base
        if type(start) is list and mine[: len(start)] == theirs[: len(start)] == start:
            return theirs + mine[len(start) :]
    if kinds == {set} and (base is ABSENT or type(base) is set):
        start = set() if base is ABSENT else base
        return (theirs - (start - mine)) | (mine - start)
    if kinds == {dict} and (base is ABSENT or type(base) is dict):
        start = {} if base is ABSENT else base
        keys = [*theirs, *(key for key in mine if key not in theirs)]
        found = {
            key: model(*(one.get(key, ABSENT) for one in (start, mine, theirs)))
            for key in keys
        }
        return {key: value for key, value in found.items() if value is not ABSENT}
    if all(type(one) is int for one in (mine, theirs)) or not _same(mine, theirs):
        raise ValueError
    return mine


def _same(one: Any, other: Any) -> bool:
    return one is other or (ABSENT not in (one, other) and one == other)


def by_the_library(base: Any, mine: Any, theirs: Any) -> Any:
    """Merge one side's change into the other side, after it was serialised."""
    change = difference(base, mine)
    if change is not None:
        change = pickle.loads(pickle.dumps(change))
        assign(theirs, merged(base, theirs, change))
    return theirs


@given(states, st.data())
def test_the_merge_follows_its_rules(base: dict[str, Any], data: st.DataObject) -> None:
    """For any two changes the merge keeps both, or reports a conflict."""
    mine, theirs = edited(data.draw, base), edited(data.draw, base)
    if not isinstance(mine, dict) or not isinstance(theirs, dict):
        return
    before = copy.deepcopy((base, mine, theirs))
    try:
        expected = model(base, mine, theirs)
    except ValueError:
        with pytest.raises(Conflict):
            by_the_library(base, mine, theirs)
        assert (base, mine, theirs) == before
    else:
        assert by_the_library(base, mine, theirs) == expected
        assert (base, mine) == before[:2]


@given(states, st.data())
def test_a_change_leads_from_the_base_to_the_copy(
    base: dict[str, Any], data: st.DataObject
) -> None:
    """A change that is applied to its base gives the copy."""
    changed = edited(data.draw, base)
    change = difference(base, changed)

    assert (base if change is None else applied(base, change)) == changed


@given(states)
def test_a_copy_is_equal_and_separate(state: dict[str, Any]) -> None:
    """It has no differences and shares no mutable part."""
    copied = Copier().root(state)

    assert copied == state
    assert difference(state, copied) is None
    assert not (_containers(copied) & _containers(state))


def _containers(value: Any) -> set[int]:
    if not isinstance(value, dict | list | set):
        return set()
    inner = value.values() if isinstance(value, dict) else value
    return {id(value)}.union(*map(_containers, inner))
