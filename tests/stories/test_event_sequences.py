"""Whole sequences of events that users can rely on, on both backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from justpipe_actors import (
    DefinitionError,
    Event,
    EventType,
    Pipe,
    Raise,
    Retry,
    Skip,
    Stop,
    Suspend,
)
from justpipe_actors.types import BarrierType

from ..helpers import SUCCESS, do_nothing, end_of, event_words, run_pipe


def inv(event: Event) -> tuple[str, str | None, str | None, int]:
    """Return (invocation, parent, owner, attempt) without the ids of runs."""

    def short(ident: str | None) -> str | None:
        return ident and ident.rsplit(":", 1)[1]

    return (
        short(event.invocation_id) or "-",
        short(event.parent_invocation_id),
        short(event.owner_invocation_id),
        event.attempt,
    )


def chain_of(*steps: Callable[..., Any], **options: Any) -> Pipe[Any, Any]:
    """Return a pipe that runs functions one after the other."""
    pipe: Pipe[Any, Any] = Pipe(dict, **options)
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        pipe.step(step.__name__, to=following)(step)
    return pipe


def failing_as(name: str) -> Callable[..., None]:
    """Return a step function with a name that fails."""

    def step(state: dict[str, Any]) -> None:
        failing(state)

    step.__name__ = name
    return step


def named(name: str) -> Callable[..., None]:
    """Return a step function with a name that does nothing."""

    def step(state: dict[str, Any]) -> None:
        return None

    step.__name__ = name
    return step


async def test_a_chain_with_a_stream() -> None:
    """Steps follow one another, and tokens come between the events of their step."""

    async def b(state: dict[str, Any]) -> Any:
        yield 1
        yield 2

    events = await run_pipe(chain_of(named("a"), b))

    assert event_words(events) == [
        "START system",
        "STEP_START a",
        "STEP_END a",
        "STEP_START b",
        "TOKEN b",
        "TOKEN b",
        "STEP_END b",
        "FINISH SUCCESS",
    ]
    assert [e.payload for e in events if e.type is EventType.TOKEN] == [1, 2]
    assert [inv(e)[0] for e in events[1:7]] == ["1", "1", "2", "2", "2", "2"]


async def test_tokens_and_successors_carry_ids() -> None:
    """A token names its invocation; a successor names the invocation before it."""

    async def b(state: dict[str, Any]) -> Any:
        yield 1

    events = await run_pipe(chain_of(named("a"), b))
    start_b = next(
        e for e in events if (e.type, e.stage) == (EventType.STEP_START, "b")
    )
    token = next(e for e in events if e.type is EventType.TOKEN)

    assert inv(start_b) == ("2", "1", "2", 1)
    assert token.invocation_id == start_b.invocation_id


def diamond(**join: Any) -> Pipe[Any, Any]:
    """Return a -> [b, c] -> d where c waits for ``state["go"]``."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.step("a", to=["b", "c"])(do_nothing)
    pipe.step("b", to="d")(do_nothing)

    @pipe.step(to="d")
    async def c(state: dict[str, Any]) -> None:
        await anyio.sleep(state.get("delay", 0))

    pipe.step("d", **join)(do_nothing)
    return pipe


async def test_a_diamond_joins_once() -> None:
    """A join of all parents starts once, after both parents have ended."""
    words = event_words(await run_pipe(diamond()))

    assert words[:3] == ["START system", "STEP_START a", "STEP_END a"]
    assert sorted(words[3:7]) == sorted(
        ["STEP_START b", "STEP_END b", "STEP_START c", "STEP_END c"]
    )
    assert words[7:] == ["STEP_START d", "STEP_END d", "FINISH SUCCESS"]


@pytest.mark.virtual_time
async def test_an_any_join_starts_at_the_first_parent() -> None:
    """The end of the second parent starts nothing."""
    words = event_words(
        await run_pipe(diamond(barrier_type=BarrierType.ANY), {"delay": 1})
    )

    assert words.index("STEP_END d") < words.index("STEP_END c")
    assert words.count("STEP_START d") == 1


@pytest.mark.virtual_time
async def test_a_join_in_time() -> None:
    """BARRIER_WAIT has the counts, and BARRIER_RELEASE comes before the step starts."""
    events = await run_pipe(diamond(barrier_timeout=10), {"delay": 1})
    words = event_words(events)
    wait = next(e for e in events if e.type is EventType.BARRIER_WAIT)
    release = next(e for e in events if e.type is EventType.BARRIER_RELEASE)

    assert wait.payload == {
        "timeout": 10,
        "dependencies": ["b", "c"],
        "expected_count": 2,
        "completed_count": 1,
        "waiting_for": ["c"],
    }
    assert release.payload == {"duration": pytest.approx(1, abs=0.01)}
    assert words.index("BARRIER_RELEASE d") < words.index("STEP_START d")
    metrics = end_of(events).metrics
    assert metrics is not None
    assert (metrics.barriers["d"].waits, metrics.barriers["d"].releases) == (1, 1)


@pytest.mark.virtual_time
async def test_a_join_too_late() -> None:
    """A join that timed out fails and never runs; the late parent goes on."""
    events = await run_pipe(diamond(barrier_timeout=1), {"delay": 5})
    words = event_words(events)
    error = next(e for e in events if e.type is EventType.STEP_ERROR)

    assert "Barrier timeout" in error.payload
    assert error.invocation_id is None
    assert "STEP_START d" not in words
    assert words[-2:] == ["STEP_END c", "FINISH FAILED"]
    assert end_of(events).failed_step == "d"


@pytest.mark.virtual_time
async def test_a_handled_join_timeout() -> None:
    """A handler that returns None leaves the join out, and the run succeeds."""

    def on_error(error: Exception) -> None:
        assert isinstance(error, TimeoutError)

    events = await run_pipe(diamond(barrier_timeout=1, on_error=on_error), {"delay": 5})

    assert event_words(events)[-1] == "FINISH SUCCESS"
    assert not [e for e in events if e.type is EventType.STEP_ERROR]
    metrics = end_of(events).metrics
    assert metrics is not None
    assert metrics.barriers["d"].timeouts == 1


def failing(state: dict[str, Any]) -> None:
    """Fail."""
    msg = "boom"
    raise ValueError(msg)


async def test_a_failure_prunes_what_follows() -> None:
    """By default no successor of a failed step runs."""
    events = await run_pipe(chain_of(failing_as("a"), named("b")))
    end = end_of(events)

    assert event_words(events) == [
        "START system",
        "STEP_START a",
        "STEP_ERROR a",
        "FINISH FAILED",
    ]
    assert (end.error, end.failed_step, len(end.errors)) == ("boom", "a", 1)
    assert events[2].meta is not None
    assert events[2].meta["framework"]["status"] == "error"
    assert events[2].meta["framework"]["error_type"] == "ValueError"


async def test_successors_run_with_on_failure_continue() -> None:
    """With on_failure="continue" the successors of a failed step run."""
    words = event_words(
        await run_pipe(chain_of(failing_as("a"), named("b"), on_failure="continue"))
    )

    assert words[2:] == ["STEP_ERROR a", "STEP_START b", "STEP_END b", "FINISH FAILED"]


@pytest.mark.parametrize(
    ("answer", "following"),
    [(None, ["STEP_START b", "STEP_END b"]), (Skip(), [])],
    ids=["none", "skip"],
)
async def test_a_handled_failure(answer: Any, following: list[str]) -> None:
    """A handler's result counts as the step's; Skip prunes the successors."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.step("a", to="b", on_error=lambda error: answer)(failing)
    pipe.step("b")(do_nothing)
    events = await run_pipe(pipe)

    assert event_words(events)[1:] == [
        "STEP_START a",
        "STEP_END a",
        *following,
        "FINISH SUCCESS",
    ]
    assert events[2].meta is not None
    assert events[2].meta["framework"]["status"] == "error"


async def test_a_dynamic_return() -> None:
    """A step that was returned by name runs instead of the static successors."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.step("a", to="b")(lambda state: "x")
    pipe.step("b")(do_nothing)
    pipe.step("x")(do_nothing)
    events = await run_pipe(pipe, start="a")

    assert event_words(events)[1:] == [
        "STEP_START a",
        "STEP_END a",
        "STEP_START x",
        "STEP_END x",
        "FINISH SUCCESS",
    ]
    assert inv(events[3]) == ("2", "1", "2", 1)


@pytest.mark.parametrize("from_handler", [False, True], ids=["step", "handler"])
async def test_retry(*, from_handler: bool) -> None:
    """Attempts of one invocation share an owner, and only the last one has an end."""
    pipe: Pipe[Any, Any] = Pipe(dict)

    def a(state: dict[str, Any]) -> Any:
        state["calls"] = state.get("calls", 0) + 1
        if state["calls"] > 2:
            return None
        if from_handler:
            raise ValueError
        return Retry()

    pipe.step("a", to="b", on_error=(lambda error: Retry()) if from_handler else None)(
        a
    )
    pipe.step("b")(do_nothing)
    events = await run_pipe(pipe)

    assert event_words(events)[1:-1] == [
        *["STEP_START a"] * 3,
        "STEP_END a",
        "STEP_START b",
        "STEP_END b",
    ]
    assert [inv(e) for e in events[1:5]] == [
        ("1", None, "1", 1),
        ("2", "1", "1", 2),
        ("3", "2", "1", 3),
        ("3", "2", "1", 3),
    ]


@pytest.mark.parametrize(
    ("answer", "words"),
    [(Stop, []), (Stop(), []), (Suspend("later"), ["SUSPEND a"])],
    ids=["class", "instance", "suspend"],
)
async def test_stop_and_suspend(answer: Any, words: list[str]) -> None:
    """Stop and Suspend end the run with success after their own step."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.step("a", to="b")(lambda state: answer)
    pipe.step("b")(do_nothing)

    assert event_words(await run_pipe(pipe))[1:] == [
        "STEP_START a",
        *words,
        "STEP_END a",
        "FINISH SUCCESS",
    ]


def routed(*, join: dict[str, Any]) -> Pipe[Any, Any]:
    """Return a switch to x -> x2 or to y, both followed by z."""
    pipe: Pipe[Any, Any] = Pipe(dict)

    @pipe.switch(to={"a": "x", "b": "y"})
    def s(state: dict[str, Any]) -> Any:
        return state["way"]

    pipe.step("x", to="x2")(do_nothing)
    pipe.step("x2", to="z")(do_nothing)
    pipe.step("y", to="z")(do_nothing)
    pipe.step("z", **join)(do_nothing)
    return pipe


@pytest.mark.virtual_time
@pytest.mark.parametrize("way", ["a", "b"])
async def test_exclusive_branches_meet_in_a_join(way: str) -> None:
    """A join after a switch runs once, without a timeout."""
    words = event_words(
        await run_pipe(routed(join={"barrier_timeout": 5}), {"way": way})
    )

    ran = [word.split()[1] for word in words if word.startswith("STEP_END")]
    assert ran == ["s", *(["x", "x2"] if way == "a" else ["y"]), "z"]
    assert words[-1] == "FINISH SUCCESS"


async def test_exclusive_branches_of_a_switch_function_meet_in_a_join() -> None:
    """The join runs although one of its parents never does."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.switch("s", to=lambda value: value)(lambda state: "x")
    pipe.step("x", to="z")(do_nothing)
    pipe.step("y", to="z")(do_nothing)
    pipe.step("z")(do_nothing)

    assert "STEP_END z" in event_words(await run_pipe(pipe, start="s"))


async def test_a_switch_without_a_matching_route_fails() -> None:
    """The value has no route, and there is no default."""
    events = await run_pipe(routed(join={}), {"way": "c"})

    assert event_words(events)[1:] == ["STEP_START s", "STEP_ERROR s", "FINISH FAILED"]
    assert "matches no route" in events[2].payload


def mapped(items: Any, worker: Callable[..., Any], **options: Any) -> Pipe[Any, Any]:
    """Return a map over items with a worker and a step after it."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.map("m", each="w", to="after", **options)(lambda state: items)
    pipe.step("w")(worker)
    pipe.step("after")(do_nothing)
    return pipe


def work(state: dict[str, Any], item: Any) -> None:
    """Note the item."""
    state.setdefault("seen", []).append(item)


async def test_a_map() -> None:
    """MAP_COMPLETE comes after the last worker and before the map's end."""
    state: dict[str, Any] = {}
    events = await run_pipe(mapped(["p", "q"], work), state)
    words = event_words(events)
    by_word = dict(zip(words, events, strict=True))

    assert state["seen"] == ["p", "q"]
    assert words[:4] == [
        "START system",
        "STEP_START m",
        "MAP_START m",
        "MAP_WORKER w[0]",
    ]
    assert words[-5:] == [
        "MAP_COMPLETE m",
        "STEP_END m",
        "STEP_START after",
        "STEP_END after",
        "FINISH SUCCESS",
    ]
    assert by_word["MAP_START m"].payload == {"target": "w", "item_count": 2}
    assert by_word["MAP_COMPLETE m"].payload["item_count"] == 2
    starts = [e for e in events if (e.type, e.stage) == (EventType.STEP_START, "w")]
    assert [e.scope for e in starts] == [("w[0]",), ("w[1]",)]
    assert [inv(e)[1:] for e in starts] == [("1", "1", 1), ("1", "1", 1)]


async def test_an_empty_map() -> None:
    """An empty map starts, completes and ends in that order."""
    assert event_words(await run_pipe(mapped([], work)))[1:] == [
        "STEP_START m",
        "MAP_START m",
        "MAP_COMPLETE m",
        "STEP_END m",
        "STEP_START after",
        "STEP_END after",
        "FINISH SUCCESS",
    ]


async def test_a_failed_worker() -> None:
    """The other workers go on, the map completes, and its successors are pruned."""

    def w(state: dict[str, Any], item: int) -> None:
        if item == 1:
            raise ValueError(item)

    events = await run_pipe(mapped([0, 1, 2], w))
    words = event_words(events)

    assert words.count("STEP_END w") == 2
    assert words[-3:] == ["MAP_COMPLETE m", "STEP_END m", "FINISH FAILED"]
    assert [record.step for record in end_of(events).errors] == ["w"]


async def test_a_worker_that_skips() -> None:
    """Skip from a worker concerns its item; the successors of the map run."""
    words = event_words(await run_pipe(mapped([1, 2], lambda state, item: Skip())))

    assert words[-3:] == ["STEP_START after", "STEP_END after", "FINISH SUCCESS"]


async def test_every_item_has_its_own_attempts() -> None:
    """Two hundred items may each retry once under a limit of two."""
    pipe: Pipe[Any, Any] = Pipe(dict, max_retries=2)
    pipe.map("m", each="w")(lambda state: range(200))

    @pipe.step
    def w(state: dict[int, bool], item: int) -> Any:
        if not state.get(item):
            state[item] = True
            return Retry()
        return None

    events = await run_pipe(pipe)

    assert event_words(events)[-1] == "FINISH SUCCESS"
    assert {e.attempt for e in events if e.stage == "w"} == {1, 2}


def child_of(child: Pipe[Any, Any], **options: Any) -> Pipe[Any, Any]:
    """Return a pipe with a sub step s and a step after it."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.sub("s", pipeline=child, to="after", **options)(lambda state: state)
    pipe.step("after")(do_nothing)
    return pipe


async def test_a_sub_pipeline() -> None:
    """A child's events are forwarded with its lineage and with numbers of the parent."""
    events = await run_pipe(child_of(chain_of(named("x"), named("y"))))

    assert event_words(events)[1:] == [
        "STEP_START s",
        "START s:system",
        "STEP_START s:x",
        "STEP_END s:x",
        "STEP_START s:y",
        "STEP_END s:y",
        "FINISH s:system",
        "STEP_END s",
        "STEP_START after",
        "STEP_END after",
        "FINISH SUCCESS",
    ]
    inner = events[3]
    assert inner.run_id == events[0].run_id
    assert inner.origin_run_id == inner.parent_run_id != inner.run_id
    assert inner.parent_invocation_id == events[1].invocation_id
    assert inner.scope == ("s",)


async def test_three_levels() -> None:
    """Names, scopes and origins contain all levels."""
    deep = chain_of(named("z"))
    mid: Pipe[Any, Any] = Pipe(dict)
    mid.sub("mid", pipeline=deep)(lambda state: state)
    top: Pipe[Any, Any] = Pipe(dict)
    top.sub("top", pipeline=mid)(lambda state: state)
    events = await run_pipe(top)
    inner = next(e for e in events if e.stage == "top:mid:z")

    assert inner.scope == ("top", "mid")
    assert len({inner.run_id, inner.parent_run_id, inner.origin_run_id}) == 3


async def test_a_failed_child_fails_its_step() -> None:
    """There is one last event per sub step, the child's own exception, and one record."""
    events = await run_pipe(child_of(chain_of(failing_as("x"), named("y"))))
    end = end_of(events)

    assert event_words(events)[1:] == [
        "STEP_START s",
        "START s:system",
        "STEP_START s:x",
        "STEP_ERROR s:x",
        "FINISH s:system",
        "STEP_ERROR s",
        "FINISH FAILED",
    ]
    assert (end.failed_step, end.error, len(end.errors)) == ("s:x", "boom", 1)


async def test_the_handler_of_a_sub_is_called() -> None:
    """It gets the child's exception and may handle it."""
    seen: list[Exception] = []
    pipe = child_of(
        chain_of(failing_as("x")), on_error=lambda error: seen.append(error)
    )
    events = await run_pipe(pipe)

    assert event_words(events)[-1] == "FINISH SUCCESS"
    assert [type(error) for error in seen] == [ValueError]


async def test_an_invalid_child() -> None:
    """A child with wrong wiring is a failure of its sub step."""
    child: Pipe[Any, Any] = Pipe(dict)
    child.step("x", to="nowhere")(do_nothing)
    events = await run_pipe(child_of(child))

    assert event_words(events)[1:] == ["STEP_START s", "STEP_ERROR s", "FINISH FAILED"]
    assert "targets unknown step 'nowhere'" in events[2].payload


async def test_a_child_that_suspends() -> None:
    """The parent ends with success, too."""
    child = chain_of(named("x"))
    child = Pipe(dict)
    child.step("x")(lambda state: Suspend("later"))

    assert event_words(await run_pipe(child_of(child)))[-3:] == [
        "FINISH s:system",
        "STEP_END s",
        "FINISH SUCCESS",
    ]


async def test_a_failed_startup() -> None:
    """After a failed startup hook there is no START and no step."""
    pipe = chain_of(named("a"))
    pipe.on_startup(failing)
    events = await run_pipe(pipe)
    end = end_of(events)

    assert event_words(events) == ["STEP_ERROR startup", "FINISH FAILED"]
    assert end.error == "Startup hook failed: boom"


async def test_an_empty_pipe() -> None:
    """A pipe without steps fails its validation."""
    events = await run_pipe(Pipe(dict))

    assert event_words(events) == ["STEP_ERROR system", "FINISH FAILED"]
    assert end_of(events).failure_kind.value == "validation"


@pytest.mark.virtual_time
async def test_a_run_timeout() -> None:
    """A run that takes too long is interrupted and ends as TIMEOUT."""

    async def slow(state: dict[str, Any]) -> None:
        await anyio.sleep_forever()

    words = event_words(await run_pipe(chain_of(slow), timeout=3600))

    assert words[1:] == ["STEP_START slow", "TIMEOUT system", "FINISH TIMEOUT"]


async def test_a_cancelled_token() -> None:
    """A step that checks a cancelled token ends the run as CANCELLED."""

    async def a(cancel: Any) -> None:
        await cancel.checkpoint()

    pipe = chain_of(a, named("b"))
    pipe.cancellation_token.cancel("enough")
    events = await run_pipe(pipe)

    assert event_words(events)[1:] == [
        "STEP_START a",
        "CANCELLED a",
        "FINISH CANCELLED",
    ]
    assert events[2].payload == "enough"


async def test_a_failed_shutdown() -> None:
    """A failed shutdown hook fails a run; the failure of a step comes first."""
    good, bad = chain_of(named("a")), chain_of(failing)
    for pipe in (good, bad):
        pipe.on_shutdown(failing)

    assert event_words(await run_pipe(good))[-2:] == [
        "STEP_ERROR shutdown",
        "FINISH FAILED",
    ]
    assert [r.kind.value for r in end_of(await run_pipe(bad)).errors] == [
        "step",
        "shutdown",
    ]


async def test_an_unknown_target() -> None:
    """A step that returns an unknown name fails."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.step("a")(lambda state: "zz")
    events = await run_pipe(pipe)

    assert event_words(events)[1:] == [
        "STEP_START a",
        "STEP_ERROR a",
        "FINISH FAILED",
    ]
    assert end_of(events).failed_step == "a"


async def test_a_loop_around_a_diamond() -> None:
    """Each lap runs all steps and begins at attempt 1."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.step("a", to=["b", "c"])(do_nothing)
    pipe.step("b", to="d")(do_nothing)
    pipe.step("c", to="d")(do_nothing)

    @pipe.step
    def d(state: dict[str, Any]) -> Any:
        state["laps"] = state.get("laps", 0) + 1
        return "a" if state["laps"] < 3 else None

    events = await run_pipe(pipe)
    ended = [e.stage for e in events if e.type is EventType.STEP_END]

    assert {name: ended.count(name) for name in "abcd"} == dict.fromkeys("abcd", 3)
    assert {e.attempt for e in events} == {1}


async def test_two_branches_that_name_one_step() -> None:
    """The step starts twice and ends twice, and its successors run twice."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.step("r", to=["a", "b"])(do_nothing)
    pipe.step("a")(lambda state: "x")
    pipe.step("b")(lambda state: "x")
    pipe.step("x", to="y")(do_nothing)
    pipe.step("y")(do_nothing)
    ended = [
        w
        for w in event_words(await run_pipe(pipe, start="r"))
        if w.startswith("STEP_END")
    ]

    assert ended.count("STEP_END x") == ended.count("STEP_END y") == 2


async def test_nested_maps() -> None:
    """An inner map has its own name, and its item is its owner."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.map("outer", each="inner", to="after", max_concurrency=1)(lambda state: [1, 2])
    pipe.map("inner", each="leaf")(lambda state, item: [item * 10, item * 10 + 1])
    pipe.step("leaf")(work)
    pipe.step("after")(do_nothing)
    state: dict[str, Any] = {}
    events = await run_pipe(pipe, state)
    words = event_words(events)

    assert state["seen"] == [10, 11, 20, 21]
    assert [w for w in words if w.startswith("MAP_") and "WORKER" not in w] == [
        "MAP_START outer",
        "MAP_START inner",
        "MAP_COMPLETE inner",
        "MAP_START inner",
        "MAP_COMPLETE inner",
        "MAP_COMPLETE outer",
    ]
    leaf = next(e for e in events if (e.type, e.stage) == (EventType.STEP_END, "leaf"))
    assert leaf.scope == ("inner[0]", "leaf[0]")


@pytest.mark.parametrize("where", ["step", "handler", "exhausted"])
async def test_raise_is_the_same_as_raising(where: str) -> None:
    """There is one STEP_ERROR with ids, and the run is FAILED."""
    error = ValueError("mine")
    pipe: Pipe[Any, Any] = Pipe(dict, max_retries=1)
    answers: dict[str, Any] = {
        "step": lambda state: Raise(error),
        "handler": failing,
        "exhausted": lambda state: Retry(),
    }
    handler = (lambda error: Raise(ValueError("mine"))) if where == "handler" else None
    pipe.step("a", to="b", on_error=handler)(answers[where])
    pipe.step("b")(do_nothing)
    events = await run_pipe(pipe)

    assert event_words(events)[1:] == ["STEP_START a", "STEP_ERROR a", "FINISH FAILED"]
    assert events[2].invocation_id is not None
    if where != "exhausted":
        assert events[2].payload == "mine"


async def test_a_join_that_cannot_run_is_named() -> None:
    """A join with a skipped parent does not run, and FINISH names it."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.step("a", to=["b", "c"])(do_nothing)
    pipe.step("b", to="d")(do_nothing)
    pipe.step("c", to="d")(lambda state: Skip())
    pipe.step("d", to="e")(do_nothing)
    pipe.step("e")(do_nothing)
    events = await run_pipe(pipe)
    (found,) = end_of(events).diagnostics

    assert (found.step, found.kind, found.parents) == ("d", "pruned", ("c",))
    assert end_of(events).status is SUCCESS


async def test_a_map_over_the_limit_fails_before_it_starts() -> None:
    """The length of a source is compared with max_map_items first."""
    pipe: Pipe[Any, Any] = Pipe(dict, max_map_items=3)
    pipe.map("m", each="w")(lambda state: range(4))
    pipe.step("w")(work)
    events = await run_pipe(pipe)

    assert event_words(events)[1:] == ["STEP_START m", "STEP_ERROR m", "FINISH FAILED"]
    assert "exceeded maximum of 3 items" in events[2].payload


async def test_definition_errors_come_at_the_first_event() -> None:
    """Nothing starts before the first event is read, and there a wrong graph raises."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.step("a", to="nowhere")(do_nothing)
    run = pipe.run({})

    with pytest.raises(DefinitionError, match="targets unknown step 'nowhere'"):
        await anext(run)


async def test_the_definition_is_frozen_by_the_first_run() -> None:
    """After its first event a pipe refuses every change."""
    pipe = chain_of(named("a"))
    await run_pipe(pipe)

    with pytest.raises(RuntimeError, match="frozen after first run"):
        pipe.step("b")
    with pytest.raises(RuntimeError, match="frozen after first run"):
        pipe.add_event_hook(lambda event: event)


async def test_a_map_function_that_raises() -> None:
    """There are no events of items, and the successors are pruned."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.map("m", each="w", to="after")(failing)
    pipe.step("w")(work)
    pipe.step("after")(do_nothing)

    assert event_words(await run_pipe(pipe))[1:] == [
        "STEP_START m",
        "STEP_ERROR m",
        "FINISH FAILED",
    ]


async def test_a_branch_beside_a_suspended_one_finishes() -> None:
    """The running step ends, and its successors do not start."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.step("r", to=["a", "b"])(do_nothing)
    suspending = anyio.Event()

    @pipe.step("a", to="x")
    def a(state: dict[str, Any]) -> Any:
        suspending.set()
        return Suspend("later")

    @pipe.step("b", to="y")
    async def b(state: dict[str, Any]) -> Any:
        await suspending.wait()
        yield 1

    pipe.step("x")(do_nothing)
    pipe.step("y")(do_nothing)
    words = event_words(await run_pipe(pipe))

    assert sorted(words[3:-1]) == sorted(
        [
            *["STEP_START a", "SUSPEND a", "STEP_END a"],
            *["STEP_START b", "TOKEN b", "STEP_END b"],
        ]
    )
    assert words[-1] == "FINISH SUCCESS"


async def test_two_steps_check_one_token() -> None:
    """Each step that checks a cancelled token has its own event."""

    async def answer(cancel: Any) -> None:
        await anyio.lowlevel.checkpoint()
        await cancel.checkpoint()

    pipe: Pipe[Any, Any] = Pipe(dict, allow_multi_root=True)
    pipe.step("a")(answer)
    pipe.step("b")(answer)
    pipe.cancellation_token.cancel("enough")
    words = event_words(await run_pipe(pipe))

    assert sorted(words[1:-1]) == [
        *["CANCELLED a", "CANCELLED b"],
        *["STEP_START a", "STEP_START b"],
    ]
    assert words[-1] == "FINISH CANCELLED"


@pytest.mark.virtual_time
async def test_a_failure_before_a_run_timeout() -> None:
    """The status is TIMEOUT, and the failure is listed."""

    async def slow(state: dict[str, Any]) -> None:
        await anyio.sleep_forever()

    pipe: Pipe[Any, Any] = Pipe(dict, allow_multi_root=True)
    pipe.step("f")(failing)
    pipe.step("s")(slow)
    end = end_of(await run_pipe(pipe, timeout=60))

    assert (end.status.name, end.error, len(end.errors)) == ("TIMEOUT", None, 1)


async def test_a_self_loop() -> None:
    """Every lap of a step that returns its own name starts and ends, at attempt 1."""
    pipe: Pipe[Any, Any] = Pipe(dict)

    @pipe.step("l", to="after")
    def loop(state: dict[str, Any]) -> Any:
        state["laps"] = state.get("laps", 0) + 1
        return "l" if state["laps"] < 3 else None

    pipe.step("after")(do_nothing)
    events = await run_pipe(pipe)

    assert event_words(events)[1:-1] == [
        *["STEP_START l", "STEP_END l"] * 3,
        *["STEP_START after", "STEP_END after"],
    ]
    assert [inv(e) for e in events[1:7:2]] == [
        ("1", None, "1", 1),
        ("2", "1", "2", 1),
        ("3", "2", "3", 1),
    ]
