from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from justpipe_actors import DefinitionError, Pipe
from justpipe_actors._plan.plan import MapNode, StepNode, SubNode, SwitchNode
from justpipe_actors.placements import HerePlacement, ThreadPlacement
from justpipe_actors.specs import StepContext
from justpipe_actors.types import BarrierType


def work() -> str:
    """Return a value."""
    return "work"


def tagging(tag: str) -> Callable[..., Any]:
    """Return a middleware that puts a tag around the result."""

    def middleware(func: Callable[..., Any], ctx: StepContext) -> Callable[..., Any]:
        return lambda **arguments: f"{tag}({func(**arguments)})"

    return middleware


def test_every_kind_of_step_has_its_node() -> None:
    """A plan has one node per step, in order, with the fields of its kind."""
    pipe, child = Pipe[Any, Any](), Pipe[Any, Any]()
    pipe.step("a", to=["s", "s"], barrier_type=BarrierType.ANY, timeout=2)(work)
    pipe.map("m", each="a", max_concurrency=3)(work)
    pipe.switch("s", to={1: "m"}, default="u")(work)
    pipe.sub("u", pipeline=child, barrier_timeout=1)(work)

    a, m, s, u = pipe.plan().nodes.values()

    assert isinstance(a, StepNode)
    assert (a.to, a.join, a.timeout) == (("s", "s"), BarrierType.ANY, 2)
    assert isinstance(m, MapNode)
    assert (m.each, m.max_concurrency, m.routed_by) == ("a", 3, ("s",))
    assert isinstance(s, SwitchNode)
    assert (s.routes, s.targets, s.parents) == ({1: "m"}, ("m", "u"), ("a",))
    assert isinstance(u, SubNode)
    assert (u.child, u.barrier_timeout, u.is_join) == (child, 1, False)


def test_the_roots_keep_their_order() -> None:
    """Runs begin with the roots in the order of registration."""
    pipe = Pipe[Any, Any]()
    for name in "hgfedcba":
        pipe.step(name)(work)

    assert pipe.plan().roots == tuple("hgfedcba")


def test_a_function_that_needs_no_resource_is_called_itself() -> None:
    """A function without resources, placement and middleware has no wrapper."""
    pipe = Pipe[Any, Any]()
    pipe.step("a")(work)

    assert pipe.plan().nodes["a"].func is work


def test_middleware_wraps_from_the_inside_out() -> None:
    """The last middleware added is the outermost."""
    pipe = Pipe[Any, Any](middleware=[tagging("first")])
    pipe.add_middleware(tagging("last"))
    pipe.step(work)

    assert pipe.plan().nodes["work"].func() == "last(first(work))"


def test_middleware_may_leave_a_function_alone() -> None:
    """Middleware that returns None does not wrap the function."""
    pipe = Pipe[Any, Any](middleware=[lambda _func, _ctx: None])
    pipe.step(work)

    assert pipe.plan().nodes["work"].func is work


class Empty:
    """A wrapper that counts as false."""

    def __len__(self) -> int:
        return 0

    def __call__(self) -> str:
        """Return another value."""
        return "wrapped"


def test_a_wrapper_that_is_false_is_used() -> None:
    """Only None means no wrapper; an object of length zero is one."""
    pipe = Pipe[Any, Any](middleware=[lambda _func, _ctx: Empty()])
    pipe.step(work)

    assert pipe.plan().nodes["work"].func() == "wrapped"


def test_one_step_has_one_context_for_all_its_middleware() -> None:
    """All middleware of a step gets one StepContext, with the extra options of the decorator."""
    seen: list[StepContext] = []

    def look(_func: Callable[..., Any], ctx: StepContext) -> None:
        seen.append(ctx)

    pipe = Pipe[Any, Any](name="p", middleware=[look, look])
    pipe.step("a", retries=2, options={"colour": "red"})(work)
    pipe.plan()

    assert seen[0] is seen[1]
    assert seen[0] == StepContext("a", {"colour": "red"}, "p", 2)


def test_a_plan_has_the_name_of_its_pipe() -> None:
    """Observers and middleware get this name."""
    assert Pipe[Any, Any](name="nightly").plan().name == "nightly"


def test_a_definition_is_compiled_once_per_version() -> None:
    """The same plan is returned until the definition changes."""
    pipe = Pipe[Any, Any]()
    pipe.step("a")(work)
    plan = pipe.plan()
    assert pipe.plan() is plan

    pipe.add_middleware(tagging("t"))
    assert pipe.plan() is not plan


def test_an_unknown_placement_is_refused_by_name() -> None:
    """A placement that does not exist is a DefinitionError that lists those that do."""
    pipe = Pipe[Any, Any]()
    pipe.step("a", placement="moon")(work)

    with pytest.raises(
        DefinitionError, match="'moon'; there are: here, process, ray, thread"
    ):
        pipe.plan()


def test_a_step_without_placement_is_called_directly() -> None:
    """Neither no placement nor ``"here"`` wraps the function."""
    pipe = Pipe[Any, Any]()
    pipe.step("a")(work)
    pipe.step("b", placement="here")(work)

    assert [node.func for node in pipe.plan().nodes.values()] == [work, work]
    assert [node.placement for node in pipe.plan().nodes.values()] == [None, None]


async def test_a_placement_is_inside_the_middleware() -> None:
    """The user's function runs where it is placed; middleware runs on the loop."""
    calls: list[str] = []

    class Spy(HerePlacement):
        async def run_sync(self, call: Callable[[], Any], /) -> Any:
            calls.append("placed")
            return await super().run_sync(call)

    def outside(func: Callable[..., Any], _ctx: StepContext) -> Callable[..., Any]:
        async def wrapped(**arguments: Any) -> Any:
            calls.append("wrapped")
            return await func(**arguments)

        return wrapped

    spy = Spy()
    pipe = Pipe[Any, Any](middleware=[outside])
    pipe.step("a", placement=spy)(lambda s: calls.append(s))
    node = pipe.plan().nodes["a"]

    await node.func(s="called")  # type: ignore[misc]

    assert calls == ["wrapped", "placed", "called"]
    assert node.placement is spy


async def test_an_awaitable_from_a_thread_is_awaited_on_the_loop() -> None:
    """The result of a placed function that returns an awaitable is the awaited value."""

    async def later() -> str:
        return "later"

    pipe = Pipe[Any, Any]()
    pipe.step("a", placement=ThreadPlacement())(lambda: later())

    assert await pipe.plan().nodes["a"].func() == "later"  # type: ignore[misc]
