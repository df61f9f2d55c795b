from __future__ import annotations

from typing import Any

import pytest

from justpipe_actors import DefinitionError, Pipe
from justpipe_actors.errors import DefinitionErrorGroup, PipelineValidationWarning
from justpipe_actors.middleware import reads
from justpipe_actors.types import BarrierType


def no_items() -> list[object]:
    """Return no items to map over."""
    return []


def build(
    *, state_type: Any = dict, strict: Any = True, **edges: Any
) -> Pipe[Any, Any]:
    """Return a pipe of steps that do nothing, with these successors."""
    pipe = Pipe[Any, Any](state_type, strict=strict)
    for name, to in edges.items():
        pipe.step(name, to=to.split() if to else None)(lambda: None)
    return pipe


def problems(pipe: Pipe[Any, Any], **options: Any) -> list[str]:
    """Return the errors of a pipe, as texts."""
    with pytest.raises(DefinitionError) as caught:
        pipe.validate(**options)
    if isinstance(caught.value, DefinitionErrorGroup):
        return [str(problem) for problem in caught.value.exceptions]
    return [str(caught.value)]


def remarks(pipe: Pipe[Any, Any], **options: Any) -> list[str]:
    """Return the warnings of a pipe, as texts."""
    with pytest.warns(PipelineValidationWarning) as caught:
        pipe.validate(**options)
    return [str(one.message) for one in caught]


def test_a_sound_pipe_has_no_warnings() -> None:
    """A diamond is such a pipe."""
    build(a="b c", b="d", c="d", d="").validate()


def test_an_empty_pipe_is_accepted() -> None:
    """Without steps nothing is checked, not even the start."""
    build().validate(start="nowhere")


def test_an_unknown_successor_comes_with_a_suggestion() -> None:
    """The message names both steps, lists the known names and suggests one."""
    (text,) = problems(build(fetch="stroe", store=""), allow_multi_root=True)

    assert "'fetch' targets unknown step 'stroe'" in text
    assert "Available steps: fetch, store." in text
    assert "Did you mean 'store'?" in text


def test_all_problems_are_reported_together() -> None:
    """Several mistakes are one error whose text and exceptions have all of them, in order."""
    pipe = build(a="x y")
    pipe.map("m", each="z")(no_items)

    texts = problems(pipe)

    assert [text.split(".")[0] for text in texts] == [
        "Step 'a' targets unknown step 'x'",
        "Step 'a' targets unknown step 'y'",
        "Map 'm' maps over unknown step 'z'",
        "Multiple root steps detected: a, m",
    ]


def test_one_problem_is_not_a_group() -> None:
    """A single mistake is raised alone, with the step's name."""
    with pytest.raises(DefinitionError) as caught:
        build(a="x").validate()

    assert type(caught.value) is DefinitionError
    assert caught.value.step_name == "a"


def test_problems_come_in_the_order_of_the_definition() -> None:
    """The order does not depend on the hash seed."""
    edges: dict[str, Any] = {name: f"x{name}" for name in "hgfedcba"}

    texts = problems(build(**edges), allow_multi_root=True)

    assert [text.split("'")[1] for text in texts] == list("hgfedcba")


def test_a_worker_may_have_no_successors() -> None:
    """A worker of a map with its own ``to`` is refused, with the remedy."""
    pipe = build(w="z", z="")
    pipe.map("m", each="w")(no_items)

    (text,) = problems(pipe)

    assert "put to= on the map" in text


@pytest.mark.parametrize(
    ("routes", "default"), [({1: "nowhere"}, None), ({1: "a"}, "nowhere")]
)
def test_an_unknown_route_is_named(routes: Any, default: str | None) -> None:
    """A route or default to an unknown step is refused by its name."""
    pipe = build(a="")
    pipe.switch("s", to=routes, default=default)(lambda: 1)

    texts = problems(pipe, allow_multi_root=True)

    assert "routes to unknown step 'nowhere'" in texts[0]


def test_the_results_of_a_switch_function_are_not_checked() -> None:
    """They are not known before a run."""
    pipe = build()
    pipe.switch("s", to=lambda value: "nowhere")(lambda: 1)

    pipe.validate()


def test_a_pipe_needs_an_entry_point() -> None:
    """It has none where every step is a successor."""
    texts = problems(build(a="b", b="a"))

    assert "no entry points found" in texts[0]


def test_the_start_must_exist() -> None:
    """An unknown ``start`` is refused with the name that was given."""
    (text,) = problems(build(a=""), start="b")

    assert "run(start=...) references unknown step 'b'" in text


def test_several_roots_are_listed_in_order() -> None:
    """Several entry points are refused unless they are allowed explicitly."""
    pipe = build(b="", a="")

    assert problems(pipe)[0].startswith("Multiple root steps detected: a, b")
    pipe.validate(allow_multi_root=True)
    pipe.validate(start="a")


def test_several_roots_are_a_warning_if_not_strict() -> None:
    """A pipe that is not strict warns of them, even when they are allowed."""
    (text,) = remarks(build(b="", a=""), strict=False, allow_multi_root=True)

    assert text.startswith("Multiple root steps detected: a, b")


def test_a_cycle_of_static_edges_is_printed_as_a_path() -> None:
    """No run could leave such a cycle; it is shown step by step."""
    (text,) = problems(build(a="b", b="c", c="b"))

    assert "b -> c -> b" in text


def test_a_cycle_through_a_route_is_a_loop() -> None:
    """A cycle that a switch or a returned name closes is allowed."""
    pipe = build(a="b", b="s")
    pipe.switch("s", to={1: "b"})(lambda: 1)
    pipe.step("named", to="back")(lambda: "back")
    pipe.step("back", to=[], routes=["named"])(lambda: "named")

    pipe.validate(start="a")


def test_a_cycle_without_an_entry_is_printed_too() -> None:
    """Steps that lead only to each other by static edges are a cycle."""
    texts = problems(build(a="", c="b", b="c"))

    assert any("c -> b -> c" in text for text in texts)


def starved(**options: Any) -> Pipe[Any, Any]:
    """Return a pipe whose join has the parents ``reader`` and ``writer``."""
    pipe = build(reader="join", writer="join")
    pipe.step("join", **options)(lambda: None)
    return pipe


def test_a_join_must_be_able_to_open() -> None:
    """Starting after a parent of an ALL join is refused, or a warning if not strict."""
    expected = (
        "Step 'join' requires ALL parents, but start='reader' "
        "cannot reach parent(s): writer."
    )

    assert problems(starved(), start="reader") == [expected]
    assert remarks(starved(), start="reader", strict=False) == [expected]


def test_an_any_join_needs_one_parent() -> None:
    """A run may start at any parent of an ANY join."""
    starved(barrier_type=BarrierType.ANY).validate(start="reader")


def test_switches_and_maps_are_no_parents_of_a_join() -> None:
    """Only ``to`` makes a parent, so an edge of a route or worker gives no false error."""
    pipe = build(a="z", z="")
    pipe.switch("s", to={1: "z"})(lambda: 1)
    pipe.map("m", each="z")(no_items)

    pipe.validate(start="a")


def hungry() -> Pipe[Any, Any]:
    """Return a pipe whose step ``eat`` needs an item."""
    pipe = build(a="eat")
    pipe.step("eat")(lambda item: item)
    return pipe


def test_only_workers_get_items() -> None:
    """An unknown parameter of a step that no map calls is refused by name."""
    (text,) = problems(hungry())

    assert "Step 'eat' has a parameter 'item' that nothing supplies" in text
    assert remarks(hungry(), strict=False) == [text]


def test_the_type_that_does_not_fit_is_named() -> None:
    """A parameter of another type than the state's is refused with both types."""
    pipe: Pipe[Any, Any] = Pipe(dict[str, int])

    @pipe.step
    def eat(row: list[int]) -> None:
        """Take a list, which fits no type of the pipe."""

    (text,) = problems(pipe)
    assert "list[int] does not fit the state's type dict[str, int]" in text


def test_the_only_root_gets_no_item() -> None:
    """A pipe that can begin only with such a step is refused, too."""
    pipe = build()
    pipe.step("eat")(lambda item: item)

    assert "'item' that nothing supplies" in problems(pipe)[0]


def test_a_route_passes_no_item() -> None:
    """A step that a switch starts is not a worker."""
    pipe = build()
    pipe.step("eat")(lambda item: item)
    pipe.switch("s", to={1: "eat"})(lambda: 1)

    assert "'item' that nothing supplies" in problems(pipe)[0]


def test_a_worker_may_take_its_item() -> None:
    """A step that a map names as its worker is accepted, also as a successor."""
    pipe = hungry()
    pipe.map("m", each="eat")(no_items)

    pipe.validate(allow_multi_root=True)


def test_a_step_that_may_be_mapped_at_run_time_is_accepted() -> None:
    """A step at which no run begins may get its item from a map at run time."""
    pipe = build(a="")
    pipe.step("eat")(lambda item: item)

    pipe.validate(start="a")


def test_no_root_of_several_gets_an_item() -> None:
    """Where every root begins, a root that needs an item is refused before any run."""
    pipe = build(a="")
    pipe.step("eat")(lambda item: item)

    found = problems(pipe, allow_multi_root=True)
    assert "'eat' has a parameter 'item' that nothing supplies" in found[0]


def mapped(worker: Any, kind: Any = dict) -> Pipe[Any, Any]:
    """Return a pipe with a map over a worker."""
    pipe: Pipe[Any, Any] = Pipe(kind)
    pipe.map("each", each="work")(lambda: [1])
    pipe.step("work")(worker)
    return pipe


def _takes_a_row(row: dict[str, Any]) -> None: ...


def _takes_a_plain_dict(row: dict) -> None: ...  # type: ignore[type-arg]


def _takes_state_and_row(state: dict, row: dict) -> None: ...  # type: ignore[type-arg]


@pytest.mark.parametrize("worker", [_takes_a_plain_dict, _takes_state_and_row])
def test_a_worker_whose_item_goes_nowhere_is_warned_about(worker: Any) -> None:
    """A parameter of the state's type receives the state, and not the item."""
    with pytest.warns(PipelineValidationWarning) as caught:
        mapped(worker).validate()
    (warning,) = caught
    text = str(warning.message)

    assert warning.filename == __file__
    assert text == (
        "Worker 'work' of map 'each' gets no item: its parameter 'row' has the state's "
        "type dict and receives the state. Leave out the annotation of the item, or name "
        "the parameter state."
    )


class _Page:
    """A state of the user's own."""


def _takes_the_page(page: _Page) -> None: ...


def _takes_the_state(state: dict) -> None: ...  # type: ignore[type-arg]


@pytest.mark.parametrize(
    ("worker", "kind"),
    [
        (_takes_a_row, dict),
        (_takes_the_page, _Page),
        (_takes_the_state, dict),
        (lambda: None, dict),
        pytest.param(lambda state, row: None, dict, id="untyped"),
    ],
)
def test_a_worker_may_do_without_its_item(worker: Any, kind: Any) -> None:
    """No warning comes where the author may have meant it."""
    mapped(worker, kind).validate()


def test_a_run_cannot_start_at_a_map_worker() -> None:
    """A worker that ``start=`` names would get no item."""
    pipe = build()
    pipe.map("each", each="work")(lambda: [1])
    pipe.step("work")(lambda item: item)

    pipe.validate()
    (text,) = problems(pipe, start="work")

    assert "parameter 'item' that nothing supplies" in text


def test_five_thousand_steps_in_a_row_are_validated() -> None:
    """Validation is not recursive."""
    edges: dict[str, Any] = {f"n{i}": f"n{i + 1}" for i in range(4999)}
    pipe = build(**edges, n4999="")

    pipe.validate()
    assert len(pipe.plan().reachable("n0")) == 5000


# -- options that nobody reads


def wrap(func: Any, ctx: Any) -> Any:
    """Wrap nothing, and do not declare the options that it reads."""
    return func


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("time_out", "timeout"),
        ("timeouts", "timeout"),
        ("retires", "retries"),
        ("max_concurrency", "concurrency"),
        ("barier_timeout", "barrier_timeout"),
        ("retry_wait_mim", "retry_wait_min"),
    ],
)
def test_an_option_that_looks_misspelt_is_refused(option: str, meant: str) -> None:
    """The error suggests the right spelling."""
    pipe = Pipe[Any, Any](dict)
    options: dict[str, Any] = {option: 3}
    pipe.step("a", **options)(lambda: None)
    (text,) = problems(pipe)

    assert f"Step 'a' has an option '{option}'" in text
    assert f"Did you mean '{meant}'?" in text


@pytest.mark.parametrize("option", ["tag", "cache", "owner"])
def test_an_option_that_nothing_reads_is_refused(option: str) -> None:
    """It is accepted if some middleware does not declare what it reads."""
    options: dict[str, Any] = {option: 3}
    pipe = Pipe[Any, Any](dict)
    pipe.step("a", **options)(lambda: None)
    (text,) = problems(pipe)
    assert f"Step 'a' has an option '{option}' that nothing reads." in text

    pipe = Pipe[Any, Any](dict, middleware=[wrap])
    pipe.step("a", **options)(lambda: None)
    pipe.validate()


def test_options_depend_on_the_kind_of_the_step() -> None:
    """An option of a map is unknown for a step, and the reverse."""
    pipe = Pipe[Any, Any](dict)
    pipe.map("a", each="b", max_concurrency=2, timeout=3)(no_items)
    pipe.step("b")(lambda item: None)
    pipe.validate()


def test_an_option_that_middleware_declares_is_accepted() -> None:
    """This holds even if it looks like a misspelt one."""
    read = reads("time_out")(wrap)
    pipe = Pipe[Any, Any](dict, middleware=[read])
    pipe.step("a", time_out=3)(lambda: None)  # type: ignore[call-overload]
    pipe.validate()

    pipe = Pipe[Any, Any](dict, middleware=[reads()(lambda func, ctx: func)])
    pipe.step("a", time_out=3)(lambda: None)  # type: ignore[call-overload]
    (text,) = problems(pipe)
    assert "@reads('time_out')" in text


def test_an_option_that_middleware_may_read_is_a_warning() -> None:
    """Middleware that does not declare its options may read it."""
    pipe = Pipe[Any, Any](dict, middleware=[lambda func, ctx: func])
    pipe.step("a", time_out=3, tag="x")(lambda: None)  # type: ignore[call-overload]
    (text,) = remarks(pipe)

    assert "'time_out'" in text
