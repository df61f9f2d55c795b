"""How two changes of one state are merged, part by part."""

from __future__ import annotations

import operator
import pickle
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from types import SimpleNamespace
from typing import Annotated, Any, TypedDict

import attrs
import pydantic
import pytest

from justpipe_actors import DefinitionError, Merge, Shared
from justpipe_actors._plan import state_merge as merging
from justpipe_actors._plan.merge_rules import DEFAULT, Rule, root_rule
from justpipe_actors._plan.state_copies import Copier
from justpipe_actors._plan.state_merge import (
    Appended,
    Change,
    Conflict,
    Parts,
    difference,
)
from justpipe_actors._plan.state_parts import parts_of
from justpipe_actors.merge import MISSING


@dataclass
class Page:
    url: str
    title: str = ""
    hits: int = 0


@attrs.define
class Site:
    name: str
    pages: list[str] = attrs.field(factory=list)


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")

    name: str = ""
    total: Annotated[int, Merge.add] = 0
    tags: set[str] = pydantic.Field(default_factory=set)
    _seen: list[str] = pydantic.PrivateAttr(default_factory=list)


@dataclass
class Report:
    title: str = ""
    pages: list[Page] = field(default_factory=list)
    index: dict[str, Page] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    best: Page | None = None
    site: Site = field(default_factory=lambda: Site("a"))
    model: Model = field(default_factory=Model)
    done: Annotated[int, Merge.add] = 0
    count: int = 0
    is_done: bool = False
    lock: Annotated[Any, Shared] = None

    @cached_property
    def size(self) -> int:
        return len(self.pages)


def copied(state: Any, rule: Rule = DEFAULT) -> Any:
    """Return a copy as a step gets one."""
    return Copier().root(state, rule)


def merge(state: Any, *edits: Any, rule: Rule | None = None) -> Any:
    """Let every edit change its own copy, then commit them in order; return the state."""
    rule = root_rule(type(state)) if rule is None else rule
    base = copied(state, rule)
    copies = [copied(state, rule) for _ in edits]
    for edit, copy in zip(edits, copies, strict=True):
        edit(copy)
    for copy in copies:
        change = difference(base, copy, rule)
        if change is not None:
            change = pickle.loads(pickle.dumps(change))
            merging.assign(state, merging.merged(base, state, change, rule))
    return state


def conflict(state: Any, *edits: Any, rule: Rule | None = None) -> str:
    """Return where and why the edits cannot be merged."""
    with pytest.raises(Conflict) as caught:
        merge(state, *edits, rule=rule)
    return merging.path_text(caught.value.path) + ": " + caught.value.problem


def put(name: str, value: object) -> Any:
    """Return an edit that sets an attribute."""
    return lambda state: setattr(state, name, value)


def test_a_change_of_one_side_is_taken() -> None:
    """Changes of different parts are both kept."""
    state = merge(Report(), put("title", "a"), put("count", 3), put("best", Page("u")))

    assert (state.title, state.count, state.best) == ("a", 3, Page("u"))


def test_both_append_to_a_list() -> None:
    """The list then has all new elements, in commit order."""
    state = Report(pages=[Page("a")])

    merge(
        state,
        lambda s: s.pages.append(Page("b")),
        lambda s: s.pages.extend([Page("c"), Page("d")]),
    )

    assert [page.url for page in state.pages] == ["a", "b", "c", "d"]


def test_equal_elements_are_appended_by_both() -> None:
    """Two steps that append an equal element make two elements."""
    assert merge({"log": []}, *[lambda s: s["log"].append("x")] * 3) == {
        "log": ["x"] * 3
    }


def test_a_list_that_was_changed_in_the_middle_conflicts() -> None:
    """The elements before the appended ones must be unchanged."""
    text = conflict(
        Report(pages=[Page("a")]),
        lambda s: s.pages.append(Page("b")),
        lambda s: s.pages.clear(),
    )

    assert text == "pages: the lists differ in more than what was appended"


def test_sets_keep_additions_and_removals_of_both() -> None:
    """A set has the elements that either side added, without those that either side removed."""
    state = Report(tags={"a", "b"})

    merge(
        state,
        lambda s: s.tags.update("c"),
        lambda s: s.tags.discard("a"),
        lambda s: s.tags.update("d"),
    )

    assert state.tags == {"b", "c", "d"}


def test_dicts_are_merged_by_key() -> None:
    """A key that one side changed, added or removed is as that side left it."""
    state = {"a": 1, "b": 2, "c": {"x": 1, "y": 2}}

    merge(
        state,
        lambda s: (s.pop("a"), s.update(d=4)),
        lambda s: (s["c"].pop("x"), s.update(b=3)),
        lambda s: s["c"].update(z=None),
    )

    assert state == {"b": 3, "c": {"y": 2, "z": None}, "d": 4}


def test_records_are_merged_by_attribute() -> None:
    """Nested dataclasses, attrs and pydantic objects are merged part by part."""
    state = Report(best=Page("a"))

    merge(
        state,
        lambda s: (put("title", "t")(s.best), s.site.pages.append("x")),
        lambda s: (put("url", "b")(s.best), put("name", "n")(s.site)),
        lambda s: (s.model.tags.add("x"), put("total", 2)(s.model)),
        lambda s: (put("total", 3)(s.model), put("name", "m")(s.model)),
    )

    assert state.best == Page("b", "t")
    assert state.site == Site("n", ["x"])
    assert (state.model.name, state.model.total, state.model.tags) == ("m", 5, {"x"})


def test_a_pydantic_state_keeps_private_and_extra_attributes() -> None:
    """All attributes of a model are merged, and its set of assigned fields is right."""
    state = Model(extra=1)  # type: ignore[call-arg]

    merge(
        state,
        lambda s: s._seen.append("a"),
        lambda s: (s._seen.append("b"), put("extra", 2)(s)),
        put("name", "n"),
    )

    assert (state._seen, state.extra, state.name) == (["a", "b"], 2, "n")  # type: ignore[attr-defined]
    assert "name" in state.model_fields_set


def test_one_number_changed_by_both_conflicts() -> None:
    """One of two increments would be lost; the conflict has the remedy, and none for a bool."""
    once = [put("count", 1), put("count", 1)]

    assert conflict(Report(), *once) == (
        "count: both set the number, and one of them would be lost"
    )
    assert merge(Report(), put("is_done", True), put("is_done", True)).is_done is True
    assert "number" in conflict(
        {"n": Decimal(1)}, *[lambda s: s.update(n=Decimal(2))] * 2
    )


def test_equal_values_are_kept() -> None:
    """Two steps that set one part to equal values do not conflict."""
    state = merge(Report(), put("title", "x"), put("title", "x"))

    assert state.title == "x"


def test_different_values_conflict() -> None:
    """Two steps that set one part to different values conflict."""
    assert conflict(Report(), put("title", "x"), put("title", "y")) == (
        "title: the values differ"
    )
    assert conflict({"a": {"b c": 1}}, lambda s: s["a"].update({"b c": "x"}),
                    lambda s: s["a"].update({"b c": None})) == (
        "a['b c']: the values are of different types, str and NoneType"
    )  # fmt: skip


def test_a_key_that_both_removed_is_removed() -> None:
    """A key that one removed and the other changed is a conflict."""
    assert merge({"a": 1}, *[lambda s: s.pop("a")] * 2) == {}
    for edits in ([lambda s: s.pop("a"), lambda s: s.update(a=2)],
                  [lambda s: s.update(a=2), lambda s: s.pop("a")]):  # fmt: skip
        assert (
            conflict({"a": 1}, *edits) == "a: one removed it and the other changed it"
        )


def test_none_is_a_value() -> None:
    """A key that is set to None exists."""
    assert merge({"a": 1}, lambda s: s.update(a=None)) == {"a": None}
    assert merge({}, lambda s: s.update(a=None)) == {"a": None}


def test_both_may_fill_an_empty_container() -> None:
    """Two steps may both add the first element to a list, a set or a dict."""
    state = merge(
        {},
        lambda s: (
            s.setdefault("l", []).append(1),
            s.setdefault("d", {}).update(a="1"),
        ),
        lambda s: (
            s.setdefault("l", []).append(2),
            s.setdefault("d", {}).update(b="2"),
        ),
        lambda s: s.setdefault("s", set()).add(1),
        lambda s: s.setdefault("s", set()).add(2),
    )

    assert state == {"l": [1, 2], "d": {"a": "1", "b": "2"}, "s": {1, 2}}


def test_attributes_added_at_run_time_are_merged() -> None:
    """An attribute that no class declares is kept; a cached property is not merged."""
    state = Report()
    merge(
        state,
        put("extra", 1),
        lambda s: (s.pages.append(Page("a")), s.size),
        lambda s: (s.pages.append(Page("b")), s.size),
    )

    assert state.extra == 1  # type: ignore[attr-defined]
    assert state.size == 2


def test_any_object_with_attributes_is_a_state() -> None:
    """The state need not be a dataclass: its attributes are its parts."""

    class Slotted:
        __slots__ = ("__secret", "a", "b")

        def __init__(self) -> None:
            self.a: list[int] = []
            self.__secret = 0

    state = Slotted()
    merge(state, lambda s: s.a.append(1), lambda s: (s.a.append(2), put("b", 3)(s)))

    assert (state.a, state.b) == ([1, 2], 3)  # type: ignore[attr-defined]
    assert merge(SimpleNamespace(a=1), put("a", 2), put("b", 3)) == SimpleNamespace(
        a=2, b=3
    )


def test_types_of_dicts_are_kept() -> None:
    """A defaultdict keeps its default, an OrderedDict its order."""
    state = merge(
        {"d": defaultdict(list), "o": OrderedDict(a=1)},
        lambda s: (s["d"]["x"].append(1), s["o"].update(b=2)),
        lambda s: (s["d"]["x"].append(2), s["o"].update(c=3)),
    )

    assert state["d"]["x"] == [1, 2]
    assert state["d"]["new"] == []
    assert list(state["o"]) == ["a", "b", "c"]


def test_lists_and_sets_are_states_too() -> None:
    """A state without parts is merged as one value, in place."""
    log: list[int] = [1]
    merge(log, lambda s: s.append(2), lambda s: s.append(3))
    seen = {1, 2}
    merge(seen, lambda s: s.add(3), lambda s: s.discard(1))

    assert (log, seen) == ([1, 2, 3], {2, 3})


def by_url(base: Any, committed: list[Page], changed: list[Page]) -> list[Page]:
    """Keep the last page of each address."""
    return list({page.url: page for page in [*committed, *changed]}.values())


class Crawl(TypedDict, total=False):
    pages: Annotated[list[Page], Merge(by_url)]
    words: Annotated[Counter[str], Merge.add]
    hits: dict[str, Annotated[int, Merge.add]]
    best: Annotated[int, Merge(max)]


def test_a_merge_function_decides() -> None:
    """An annotated part is merged by its function, also a list that both extended."""
    state: Crawl = {"pages": [], "words": Counter(), "hits": {}, "best": 0}

    merge(
        state,
        lambda s: (s["pages"].append(Page("a")), s["words"].update("aab")),
        lambda s: (s["pages"].append(Page("a", "t")), s["words"].update("ab")),
        lambda s: (s["hits"].update(a=2), s.update(best=5)),
        lambda s: (s["hits"].update(a=3, b=1), s.update(best=4)),
        rule=root_rule(Crawl),
    )

    assert state == {
        "pages": [Page("a", "t")],
        "words": Counter(a=3, b=2),
        "hits": {"a": 5, "b": 1},
        "best": 5,
    }


def test_a_plain_dict_has_merge_functions_by_key() -> None:
    """``merge=`` names them; they get a marker for a missing value."""
    seen: list[object] = []

    def note(base: object, committed: object, changed: object) -> object:
        seen.append((base, committed, changed))
        return MISSING if changed is MISSING else f"{committed}{changed}"

    rule = root_rule(dict, {"a": note, "b": Merge.last, "c": operator.add})
    state = {"b": 1, "c": "x", "d": 1}
    merge(
        state,
        lambda s: s.update(a="x", b=2, c="y"),
        lambda s: s.update(a="y", b=3, c="z"),
        rule=rule,
    )

    assert state == {"a": "xy", "b": 3, "c": "yz", "d": 1}
    assert seen == [(Merge.MISSING, "x", "y")]


@pytest.mark.parametrize(
    ("merge_", "values", "expected"),
    [
        (Merge.add, (1, 3, 4), 6),
        (Merge.add, (MISSING, 3, 4), 7),
        (Merge.add, ("a", "ab", "ac"), "abc"),
        (Merge.add, ((), (1,), (2,)), (1, 2)),
        (Merge.add, ([], [1], [2]), NotImplemented),
        (Merge.add, (1, MISSING, 2), NotImplemented),
        (Merge.add, ("ab", "abc", "x"), NotImplemented),
        (Merge.union, ({1}, {1, 2}, {3}), {1, 2, 3}),
        (Merge.union, ([1], [1, 2], [1, 3]), [1, 2, 3]),
        (Merge.union, ({}, {"a": 1}, {"b": 2}), {"a": 1, "b": 2}),
        (Merge.union, (1, MISSING, 2), 2),
        (Merge.union, (1.0, 2.0, 3.0), NotImplemented),
        (Merge.last, (1, 2, 3), 3),
    ],
)  # fmt: skip
def test_ready_made_merge_functions(
    merge_: Merge, values: Any, expected: object
) -> None:
    """``Merge.add`` adds, ``Merge.union`` unites, and ``Merge.last`` keeps the last value."""
    assert merge_(*values) == expected
    assert pickle.loads(pickle.dumps(merge_))(*values) == expected


def test_shared_parts_are_passed_by_reference() -> None:
    """A part that is annotated as shared is one object everywhere and never merged."""
    lock: list[int] = []
    state = Report(lock=lock)

    merge(state, lambda s: s.lock.append(1), put("lock", object()))

    assert state.lock is lock
    assert lock == [1]


def test_a_merge_function_is_synchronous() -> None:
    """An ``async def`` is refused, and a function that returns an awaitable fails."""

    async def later(base: object, committed: object, changed: object) -> object:
        return changed

    with pytest.raises(DefinitionError, match="without async"):
        Merge(later)
    with pytest.raises(DefinitionError, match="takes a function, not int"):
        Merge(3)  # type: ignore[arg-type]
    rule = root_rule(dict, {"a": lambda *values: later(*values)})
    with pytest.raises(TypeError, match="'a' returned coroutine"):
        merge({}, lambda s: s.update(a=1), lambda s: s.update(a=2), rule=rule)


def test_an_error_of_a_merge_function_names_the_part() -> None:
    """The traceback says which part was merged."""
    rule = root_rule(dict, {"a": lambda *_: 1 / 0})

    with pytest.raises(ZeroDivisionError) as caught:
        merge({}, lambda s: s.update(a=1), lambda s: s.update(a=2), rule=rule)

    assert caught.value.__notes__ == ["Merge(<lambda>) was merging 'a' of the state."]


def test_merge_names_fields_that_exist() -> None:
    """A misspelt field in ``merge=`` is refused with a suggestion."""
    with pytest.raises(DefinitionError, match="Did you mean 'pages'"):
        root_rule(Report, {"page": Merge.last})


def test_nothing_is_assigned_before_all_is_merged() -> None:
    """A conflict in one part leaves the others as they were."""
    state = {"a": 1, "b": "x"}
    conflict(state, lambda s: s.update(b="y"), lambda s: s.update(a=2, b="z"))

    assert state == {"a": 1, "b": "y"}


def test_a_change_is_as_small_as_what_was_changed() -> None:
    """It has only the appended elements of a list, and the changed keys of a dict."""
    base = {"log": list(range(1000)), "pages": {str(n): n for n in range(1000)}}
    changed = copied(base)
    changed["log"].append(1000)
    changed["pages"]["7"] = 0

    change = difference(base, changed)

    assert isinstance(change, Parts)
    assert isinstance(change.changes["log"], Appended)
    assert len(pickle.dumps(change)) < 400
    assert merging.applied(base, change) == changed
    assert merging.changed_keys(change) == [("log",), ("pages", "7")]


def test_a_state_may_contain_itself() -> None:
    """Cycles are copied and compared like other values."""
    state: dict[str, Any] = {"n": 1}
    state["me"] = state
    changed = copied(state)

    assert changed["me"] is changed
    assert difference(state, changed) is None
    changed["n"] = 2
    assert merging.changed_keys(difference(state, changed)) == [("n",)]  # type: ignore[arg-type]


def test_a_comparison_that_fails_is_a_difference() -> None:
    """Values whose comparison raises, or returns no bool, count as different."""

    class Array:
        def __init__(self, error: bool) -> None:
            self.error = error

        def __eq__(self, other: object) -> Any:
            if self.error:
                raise ValueError
            return [True]

        __hash__ = None  # type: ignore[assignment]

    for error in (True, False):
        change: Change | None = difference({"a": Array(error)}, {"a": Array(error)})
        assert change is not None


def test_annotations_that_cannot_be_resolved_are_refused() -> None:
    """Otherwise a merge function could be ignored without notice."""
    scope: dict[str, Any] = {"__name__": "nowhere"}
    code = "class S:\n a: 'Annotated[list, Merge(f)]'\n b: 'Unknown'"
    exec(code, scope)

    with pytest.raises(
        DefinitionError, match=r"S\.a: the annotation .* top of the module"
    ):
        root_rule(scope["S"])


def test_immutable_values_are_not_copied() -> None:
    """Text, numbers, tuples and frozen objects are their own copies."""

    @dataclass(frozen=True)
    class Point:
        x: object

    fixed = [
        1,
        "a",
        (1, (2,)),
        frozenset({1}),
        Point(1),
        attrs.make_class("F", ["x"], frozen=True)(1),
    ]
    open_ = [[1], ([1],), Point([1]), Page("a"), {1}]
    copies = copied({"all": fixed + open_})["all"]

    assert all(one is two for one, two in zip(fixed, copies, strict=False))
    assert not any(
        one is two for one, two in zip(open_, copies[len(fixed) :], strict=True)
    )
    assert copies == fixed + open_


def test_an_object_that_occurs_twice_is_copied_once() -> None:
    """Both references lead to the same copy."""
    page = Page("a")
    copy = copied(Report(pages=[page], best=page))

    assert copy.best is copy.pages[0]
    assert copy.best is not page


def test_copies_follow_the_classes_own_copying() -> None:
    """``__deepcopy__`` or a class's own pickling makes the copy."""

    @dataclass
    class Counted:
        copies: int = 0

        def __deepcopy__(self, memo: object) -> Counted:
            return Counted(self.copies + 1)

    assert copied({"a": Counted()})["a"].copies == 1
    assert copied(Counted()).copies == 1
    assert dict(parts_of(Counted(3))) == {"copies": 3}
