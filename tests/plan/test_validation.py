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
    """Return what is wrong with a pipe, as texts."""
    with pytest.raises(DefinitionError) as caught:
        pipe.validate(**options)
    if isinstance(caught.value, DefinitionErrorGroup):
        return [str(problem) for problem in caught.value.exceptions]
    return [str(caught.value)]


def remarks(pipe: Pipe[Any, Any], **options: Any) -> list[str]:
    """Return what a pipe is warned about, as texts."""
    with pytest.warns(PipelineValidationWarning) as caught:
        pipe.validate(**options)
    return [str(one.message) for one in caught]


def test_a_sound_pipe_is_accepted_in_silence() -> None:
    """A diamond has nothing to complain about."""
    build(a="b c", b="d", c="d", d="").validate()


def test_an_empty_pipe_is_accepted() -> None:
    """Without steps there is nothing to check, not even the start."""
    build().validate(start="nowhere")


def test_an_unknown_successor_comes_with_a_suggestion() -> None:
    """The message names both steps, lists what there is and guesses what was meant."""
    (text,) = problems(build(fetch="stroe", store=""), allow_multi_root=True)

    assert "'fetch' targets unknown step 'stroe'" in text
    assert "Available steps: fetch, store." in text
    assert "Did you mean 'store'?" in text


def test_all_problems_are_reported_together() -> None:
    """Several mistakes are one error whose text and exceptions hold them all, in order."""
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
    """A single mistake is raised as it is, with the step's name."""
    with pytest.raises(DefinitionError) as caught:
        build(a="x").validate()

    assert type(caught.value) is DefinitionError
    assert caught.value.step_name == "a"


def test_the_same_problems_come_in_the_same_order() -> None:
    """What is reported follows the definition and not the hash seed."""
    edges: dict[str, Any] = {name: f"x{name}" for name in "hgfedcba"}

    texts = problems(build(**edges), allow_multi_root=True)

    assert [text.split("'")[1] for text in texts] == list("hgfedcba")


def test_a_worker_may_have_no_successors() -> None:
    """A map's worker with a ``to`` of its own is a trap, and the remedy is told."""
    pipe = build(w="z", z="")
    pipe.map("m", each="w")(no_items)

    (text,) = problems(pipe)

    assert "put to= on the map" in text


@pytest.mark.parametrize(
    ("routes", "default"), [({1: "nowhere"}, None), ({1: "a"}, "nowhere")]
)
def test_an_unknown_route_is_named(routes: Any, default: str | None) -> None:
    """A route or default that leads to no step is refused by name."""
    pipe = build(a="")
    pipe.switch("s", to=routes, default=default)(lambda: 1)

    texts = problems(pipe, allow_multi_root=True)

    assert "routes to unknown step 'nowhere'" in texts[0]


def test_a_callable_switch_is_not_guessed_at() -> None:
    """What a function may answer is never validated."""
    pipe = build()
    pipe.switch("s", to=lambda value: "nowhere")(lambda: 1)

    pipe.validate()


def test_a_pipe_needs_an_entry() -> None:
    """Where every step is a successor, no entry point is found."""
    texts = problems(build(a="b", b="a"))

    assert "no entry points found" in texts[0]


def test_the_start_must_exist() -> None:
    """An unknown ``start`` is refused in the words of the call."""
    (text,) = problems(build(a=""), start="b")

    assert "run(start=...) references unknown step 'b'" in text


def test_several_roots_are_listed_in_order() -> None:
    """Several entry points are refused unless they are said to be meant."""
    pipe = build(b="", a="")

    assert problems(pipe)[0].startswith("Multiple root steps detected: a, b")
    pipe.validate(allow_multi_root=True)
    pipe.validate(start="a")


def test_several_roots_are_a_remark_where_it_is_not_strict() -> None:
    """A lenient pipe only warns of them, even when they are allowed."""
    (text,) = remarks(build(b="", a=""), strict=False, allow_multi_root=True)

    assert text.startswith("Multiple root steps detected: a, b")


def test_a_cycle_of_static_edges_is_printed_as_a_path() -> None:
    """A cycle that no run could leave is shown step by step."""
    (text,) = problems(build(a="b", b="c", c="b"))

    assert "b -> c -> b" in text


def test_a_cycle_through_a_route_is_a_loop() -> None:
    """A cycle that a switch or a returned name closes is legal."""
    pipe = build(a="b", b="s")
    pipe.switch("s", to={1: "b"})(lambda: 1)
    pipe.step("named", to="back")(lambda: "back")
    pipe.step("back", to=[], routes=["named"])(lambda: "named")

    pipe.validate(start="a")


def test_a_cycle_apart_is_printed_too() -> None:
    """Steps that only lead to each other by static edges are a cycle."""
    texts = problems(build(a="", c="b", b="c"))

    assert any("c -> b -> c" in text for text in texts)


def starved(**options: Any) -> Pipe[Any, Any]:
    """Return a pipe with a join of ``reader`` and ``writer``."""
    pipe = build(reader="join", writer="join")
    pipe.step("join", **options)(lambda: None)
    return pipe


def test_a_join_must_be_able_to_open() -> None:
    """Starting behind a parent of an ALL join is refused, or warned of if lenient."""
    expected = (
        "Step 'join' requires ALL parents, but start='reader' "
        "cannot reach parent(s): writer."
    )

    assert problems(starved(), start="reader") == [expected]
    assert remarks(starved(), start="reader", strict=False) == [expected]


def test_an_any_join_needs_one_parent() -> None:
    """An ANY join may be started from any of its parents."""
    starved(barrier_type=BarrierType.ANY).validate(start="reader")


def test_switches_and_maps_are_no_parents_of_a_join() -> None:
    """Only ``to`` makes a parent, so a route or worker edge raises no false alarm."""
    pipe = build(a="z", z="")
    pipe.switch("s", to={1: "z"})(lambda: 1)
    pipe.map("m", each="z")(no_items)

    pipe.validate(start="a")


def hungry() -> Pipe[Any, Any]:
    """Return a pipe whose step ``eat`` wants an item."""
    pipe = build(a="eat")
    pipe.step("eat")(lambda item: item)
    return pipe


def test_only_workers_get_items() -> None:
    """An unknown parameter of a step that nobody maps over is refused by name."""
    (text,) = problems(hungry())

    assert "Step 'eat' has a parameter 'item' that nothing supplies" in text
    assert remarks(hungry(), strict=False) == [text]


def test_the_type_that_fits_nothing_is_named() -> None:
    """A parameter of another type than the state's is refused with both types."""
    pipe: Pipe[Any, Any] = Pipe(dict[str, int])

    @pipe.step
    def eat(row: list[int]) -> None:
        """Ask for a list, where nothing is one."""

    (text,) = problems(pipe)
    assert "list[int] does not fit the state's type dict[str, int]" in text


def test_the_only_root_gets_no_item() -> None:
    """A pipe that can only begin with such a step is refused, too."""
    pipe = build()
    pipe.step("eat")(lambda item: item)

    assert "'item' that nothing supplies" in problems(pipe)[0]


def test_a_route_gives_no_item() -> None:
    """A step started by a switch is not a worker."""
    pipe = build()
    pipe.step("eat")(lambda item: item)
    pipe.switch("s", to={1: "eat"})(lambda: 1)

    assert "'item' that nothing supplies" in problems(pipe)[0]


def test_a_worker_may_ask_for_its_item() -> None:
    """What some map names as its worker is left alone, even as a successor."""
    pipe = hungry()
    pipe.map("m", each="eat")(no_items)

    pipe.validate(allow_multi_root=True)


def test_a_step_that_is_only_mapped_over_dynamically_is_left_alone() -> None:
    """A step at which the run does not begin may get its item while the run goes on."""
    pipe = build(a="")
    pipe.step("eat")(lambda item: item)

    pipe.validate(start="a")


def test_none_of_several_roots_gets_an_item() -> None:
    """Where every root begins, one that needs an item is refused before any run."""
    pipe = build(a="")
    pipe.step("eat")(lambda item: item)

    found = problems(pipe, allow_multi_root=True)
    assert "'eat' has a parameter 'item' that nothing supplies" in found[0]


def test_a_run_cannot_start_at_a_map_worker() -> None:
    """A worker that is named in ``start=`` would get no item."""
    pipe = build()
    pipe.map("each", each="work")(lambda: [1])
    pipe.step("work")(lambda item: item)

    pipe.validate()
    (text,) = problems(pipe, start="work")

    assert "parameter 'item' that nothing supplies" in text


def test_five_thousand_steps_in_a_row_are_validated() -> None:
    """The length of a chain is no limit."""
    edges: dict[str, Any] = {f"n{i}": f"n{i + 1}" for i in range(4999)}
    pipe = build(**edges, n4999="")

    pipe.validate()
    assert len(pipe.plan().reachable("n0")) == 5000


# -- options that nobody reads


def wrap(func: Any, ctx: Any) -> Any:
    """Wrap nothing, and say nothing about the options it reads."""
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
def test_an_option_that_looks_misspelt(option: str, meant: str) -> None:
    """It would do nothing, in silence; so it is refused, with the one that was meant."""
    pipe = Pipe[Any, Any](dict)
    options: dict[str, Any] = {option: 3}
    pipe.step("a", **options)(lambda: None)
    (text,) = problems(pipe)

    assert f"Step 'a' has an option '{option}'" in text
    assert f"Did you mean '{meant}'?" in text


@pytest.mark.parametrize("option", ["tag", "cache", "owner"])
def test_an_option_that_looks_like_no_other(option: str) -> None:
    """It is refused, too, when all middleware says what it reads; else it is accepted."""
    options: dict[str, Any] = {option: 3}
    pipe = Pipe[Any, Any](dict)
    pipe.step("a", **options)(lambda: None)
    (text,) = problems(pipe)
    assert f"Step 'a' has an option '{option}' that nothing reads." in text

    pipe = Pipe[Any, Any](dict, middleware=[wrap])
    pipe.step("a", **options)(lambda: None)
    pipe.validate()


def test_options_by_the_kind_of_the_step() -> None:
    """An option of a map is none of a step's, and the other way round it is one."""
    pipe = Pipe[Any, Any](dict)
    pipe.map("a", each="b", max_concurrency=2, timeout=3)(no_items)
    pipe.step("b")(lambda item: None)
    pipe.validate()


def test_an_option_that_middleware_says_to_read() -> None:
    """However much it looks like another one, it is read."""
    read = reads("time_out")(wrap)
    pipe = Pipe[Any, Any](dict, middleware=[read])
    pipe.step("a", time_out=3)(lambda: None)  # type: ignore[call-overload]
    pipe.validate()

    pipe = Pipe[Any, Any](dict, middleware=[reads()(lambda func, ctx: func)])
    pipe.step("a", time_out=3)(lambda: None)  # type: ignore[call-overload]
    (text,) = problems(pipe)
    assert "@reads('time_out')" in text


def test_an_option_that_middleware_may_read() -> None:
    """Middleware that does not say what it reads may be who reads it: that is a remark."""
    pipe = Pipe[Any, Any](dict, middleware=[lambda func, ctx: func])
    pipe.step("a", time_out=3, tag="x")(lambda: None)  # type: ignore[call-overload]
    (text,) = remarks(pipe)

    assert "'time_out'" in text
