"""What the decorators of ``Pipe`` accept, and that a refused definition is not registered."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from justpipe_actors import DefinitionError, Pipe, Stop
from justpipe_actors.specs import BarrierType


AnyPipe = Pipe[Any, Any]


def work() -> None:
    """Stand for a step."""


async def work_async() -> None:
    """Stand for an async step."""


class AsyncObject:
    async def __call__(self) -> None:
        """Stand for an async step without a name."""


def names(pipe: AnyPipe) -> list[str]:
    """Return the names of a pipe's steps."""
    return [info.name for info in pipe.steps()]


def test_a_decorator_returns_the_function_itself() -> None:
    """All four decorators return the function that they were given."""
    pipe = AnyPipe()

    assert pipe.step(work) is work
    assert pipe.step("b")(work) is work
    assert pipe.map("m", each="b")(work) is work
    assert pipe.switch("s", to={1: "b"})(work) is work
    assert pipe.sub("u", pipeline=AnyPipe())(work) is work
    assert names(pipe) == ["work", "b", "m", "s", "u"]


def test_a_bare_step_with_options_registers() -> None:
    """``pipe.step(f, timeout=1)`` registers at once, options included."""
    pipe = AnyPipe()
    pipe.step(work, timeout=1, to="b", retries=2)

    (info,) = pipe.steps()
    assert (info.name, info.timeout, info.retries) == ("work", 1, 2)
    assert info.targets == ["b"]


@pytest.mark.parametrize("kind", ["map", "switch", "sub"])
def test_a_composite_decorator_needs_its_parentheses(kind: str) -> None:
    """``@pipe.map`` without arguments is refused, not ignored."""
    pipe = AnyPipe()

    with pytest.raises(DefinitionError, match=rf"@pipe\.{kind}\(\.\.\.\)"):
        getattr(pipe, kind)(work)

    assert names(pipe) == []


def unknown(one: Any, two: Any) -> None:
    """Have one unknown parameter more than allowed."""


REFUSED: dict[str, Callable[[AnyPipe], object]] = {
    "map without each": lambda p: p.map("a")(work),
    "bad each": lambda p: p.map("a", each=5)(work),  # type: ignore[arg-type]
    "bad window": lambda p: p.map("a", each="w", max_concurrency="3")(work),  # type: ignore[arg-type]
    "negative window": lambda p: p.map("a", each="w", max_concurrency=-1)(work),
    "switch without to": lambda p: p.switch("a")(work),
    "bad switch": lambda p: p.switch("a", to=5)(work),  # type: ignore[arg-type]
    "bad route": lambda p: p.switch("a", to={1: 5})(work),
    "Stop instance as route": lambda p: p.switch("a", to={1: Stop()})(work),
    "bad default": lambda p: p.switch("a", to={1: "b"}, default=5)(work),  # type: ignore[arg-type]
    "sub without pipeline": lambda p: p.sub("a")(work),
    "dict as to": lambda p: p.step("a", to={1: "b"})(work),  # type: ignore[call-overload]
    "name of another type": lambda p: p.step(5)(work),  # type: ignore[call-overload]
    "not a function": lambda p: p.step("a")(5),  # type: ignore[type-var]
    "nameless non-function": lambda p: p.step()(5),  # type: ignore[type-var]
    "unknown parameters": lambda p: p.step(unknown),
    "handler with unknown": lambda p: p.step("a", on_error=lambda item: item)(work),
    "handler of another type": lambda p: p.step("a", on_error=5)(work),  # type: ignore[call-overload]
    "no concurrency": lambda p: p.step("a", concurrency=0)(work),
    "concurrency as text": lambda p: p.step("a", concurrency="4")(work),  # type: ignore[call-overload]
    "concurrency as flag": lambda p: p.step("a", concurrency=True)(work),
    "bad placement": lambda p: p.step("a", placement=5)(work),  # type: ignore[call-overload]
    "async in a thread": lambda p: p.step("a", placement="thread")(work_async),
    "async object": lambda p: p.step("a", placement="thread")(AsyncObject()),
    "async partial": lambda p: p.step("a", placement="thread")(partial(AsyncObject())),
}


@pytest.mark.parametrize("define", REFUSED.values(), ids=REFUSED)
def test_a_refused_decoration_registers_nothing(
    define: Callable[[AnyPipe], object],
) -> None:
    """Each mistake is a DefinitionError, and no part of the step is registered."""
    pipe = AnyPipe()

    with pytest.raises(DefinitionError):
        define(pipe)

    assert names(pipe) == []
    pipe.step("a")(work)
    assert names(pipe) == ["a"]


def test_a_nameless_callable_can_be_a_duplicate() -> None:
    """Two objects of one class have one name, which is a DefinitionError."""
    pipe = AnyPipe()
    pipe.step()(AsyncObject())

    with pytest.raises(DefinitionError, match="'AsyncObject' is already registered"):
        pipe.step()(AsyncObject())


def test_topology_is_a_copy() -> None:
    """Changing the returned ``topology`` changes no edge of the pipe."""
    pipe = AnyPipe()
    pipe.step(work, to=["b", "b"])

    pipe.topology["work"].clear()

    assert pipe.topology == {"work": ["b", "b"]}


def test_routes_are_copied_and_their_functions_named() -> None:
    """A switch keeps its own copy of the routes, with the names of functions, and ``Stop``."""
    pipe = AnyPipe()
    routes: dict[Any, Any] = {1: work, 2: Stop}
    pipe.switch("s", to=routes, default=work_async)(lambda: 1)
    routes[3] = "late"

    assert pipe.registry.steps["s"].routes == {1: "work", 2: Stop}
    assert [info.targets for info in pipe.steps()] == [["work", "work_async"]]
    assert pipe.topology == {}


def test_known_options_are_not_among_the_extras() -> None:
    """Middleware sees only the options that the engine does not know."""
    pipe = AnyPipe()
    given: dict[str, Any] = {"timeout": 1, "retries": 2, "colour": "red"}
    pipe.step("a", concurrency=3, placement="thread", **given)(work)

    options = pipe.registry.steps["a"].options
    assert options.extra == {"colour": "red"}
    assert (options.timeout, options.retries) == (1, 2)
    assert (options.concurrency, options.placement) == (3, "thread")
    assert options.barrier_type is BarrierType.ALL


@pytest.mark.parametrize("word", ["1", "true", "YES", " on "])
def test_debug_and_persist_can_come_from_the_environment(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable turns a flag on unless the constructor turns it off."""
    monkeypatch.setenv("JUSTPIPE_ACTORS_DEBUG", word)
    monkeypatch.setenv("JUSTPIPE_ACTORS_PERSIST", word)

    pipe = AnyPipe(persist=False)

    assert (pipe.debug, pipe.persist) == (True, False)


def test_on_failure_is_one_of_three_words() -> None:
    """An unknown policy is refused when the pipe is made."""
    with pytest.raises(DefinitionError, match="'prune', 'continue' or 'stop'"):
        AnyPipe(on_failure="explode")  # type: ignore[arg-type]


async def test_a_pipe_is_frozen_by_its_first_run() -> None:
    """After a run every decorator raises an error; reading the definition still works."""
    pipe = AnyPipe()
    pipe.step(work)
    decorate = pipe.step("late")
    async with pipe.run({}) as run:
        await run.wait()

    for mutate in (pipe.step, pipe.map, pipe.switch, pipe.sub):
        with pytest.raises(RuntimeError, match="frozen after first run"):
            mutate("x")
    with pytest.raises(RuntimeError, match="frozen after first run"):
        decorate(work)

    pipe.validate()
    assert pipe.describe()["roots"] == ["work"]


def test_the_type_of_the_context_may_be_left_out() -> None:
    """``Pipe[State]`` accepts any context, for type checkers and at run time."""
    pipe = Pipe[dict[str, int]](dict)
    other = Pipe(dict, list)

    assert (pipe.state_type, pipe.context_type) == (dict, type(None))
    assert (other.state_type, other.context_type) == (dict, list)


METHODS = [
    *("step", "map", "switch", "sub", "resource", "on_startup", "on_shutdown"),
    *("on_error", "add_middleware", "add_event_hook", "add_observer"),
]
"""What is called on a pipe to define it."""


@pytest.mark.parametrize("method", METHODS)
def test_a_decorator_of_the_class_itself_is_refused(method: str) -> None:
    """The message names the function and says to make a pipe first."""

    def load(state: Any) -> None: ...

    with pytest.raises(DefinitionError) as caught:
        getattr(Pipe, method)(load)

    message = str(caught.value)
    assert f"Pipe.{method} was used on the class Pipe for 'load' (" in message
    assert "make a pipe first, such as 'pipe = Pipe(dict)'" in message
    assert message.endswith(f"pipe.{method}.")


@pytest.mark.parametrize("given", [(), ("load",)])
def test_a_decorator_with_arguments_of_the_class_itself_is_refused(given: Any) -> None:
    """It is refused before there is a function to name."""
    with pytest.raises(
        DefinitionError, match="was used on the class Pipe: make a pipe"
    ):
        getattr(Pipe, "step")(*given, to="store")  # noqa: B009 - checkers refuse it, too


def test_a_subclass_may_call_the_decorator_of_its_base() -> None:
    """It passes its object, so there is a pipe."""

    class Logged(Pipe[Any, Any]):
        def step(self, *args: Any, **named: Any) -> Any:
            return Pipe.step(self, *args, **named)

    pipe = Logged(dict)
    pipe.step("load")(lambda state: None)

    assert list(pipe.registry.steps) == ["load"]
