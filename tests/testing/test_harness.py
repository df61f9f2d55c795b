"""``TestPipe``: which functions are mocked, and that the pipe itself is not changed."""

from __future__ import annotations

import warnings
from typing import Any

import anyio
import pytest

from justpipe_actors import (
    DefinitionError,
    EventType,
    Pipe,
    Retry,
    Skip,
    Stop,
    Suspend,
    TestPipe,
    TestResult,
)
from justpipe_actors.types import PipelineTerminalStatus


State = dict[str, Any]


def two_steps() -> Pipe[State, Any]:
    """Return a -> b, each of which writes to the state."""
    pipe: Pipe[State, Any] = Pipe(dict, dict, log_state=False)

    @pipe.step(to="b")
    async def a(state: State) -> None:
        state["a"] = "real"

    @pipe.step
    async def b(state: State, context: Any) -> None:
        state["b"] = "real"

    return pipe


def with_child(child: Pipe[Any, Any]) -> Pipe[State, Any]:
    """Return a pipe whose only step runs another one."""
    pipe: Pipe[State, Any] = Pipe(dict, log_state=False)

    @pipe.sub("owner", pipeline=child)
    async def owner(state: State) -> State:
        return state

    return pipe


# -- steps


async def test_a_mock_gets_the_original_parameters_as_keywords() -> None:
    """It is called with the parameters of the step's function."""
    with TestPipe(two_steps()) as harness:
        mock = harness.mock("b")
        result = await harness.run({}, {"k": 1})

    mock.assert_awaited_once_with(state={"a": "real"}, context={"k": 1})
    assert result.final_state == {"a": "real"}
    assert result.status is PipelineTerminalStatus.SUCCESS


async def test_the_pipe_under_test_is_never_changed() -> None:
    """Mocks belong to the harness: a run of the pipe itself is the real one."""
    pipe = two_steps()
    harness = TestPipe(pipe)
    harness.mock("a")

    beside = await TestPipe(pipe).run({})
    mocked = await harness.run({})

    assert beside.final_state == {"a": "real", "b": "real"}
    assert mocked.final_state == {"b": "real"}
    assert not pipe.registry.is_frozen


async def test_harnesses_do_not_affect_each_other() -> None:
    """Two concurrent tests of one pipe use their own mocks only."""
    pipe = two_steps()
    results: dict[str, TestResult[State]] = {}

    async def trial(mark: str) -> None:
        async def effect(state: State, context: Any) -> None:
            await anyio.lowlevel.checkpoint()
            state["b"] = mark

        with TestPipe(pipe) as harness:
            harness.mock("b", side_effect=effect)
            await anyio.lowlevel.checkpoint()
            async with pipe.run({}) as run:
                events = [event async for event in run]
            results[mark] = TestResult(events, events[-2].payload)

    async with anyio.create_task_group() as tasks:
        for mark in ("one", "two"):
            tasks.start_soon(trial, mark)

    assert results["one"].final_state["b"] == "one"
    assert results["two"].final_state["b"] == "two"


async def test_as_a_context_manager_it_replaces_the_pipe_everywhere() -> None:
    """Code under test that runs the pipe gets the mocks until the block ends."""
    pipe = two_steps()

    async def application() -> State:
        state: State = {}
        await pipe.run(state).wait()
        return state

    with TestPipe(pipe) as harness:
        harness.mock("a")
        inside = await application()
    after = await application()

    assert inside == {"b": "real"}
    assert after == {"a": "real", "b": "real"}


async def test_leaving_an_inner_harness_restores_the_outer_one() -> None:
    """Harnesses can be nested, and the inner one has the outer one's mocks, too."""
    pipe = two_steps()
    with TestPipe(pipe) as outer:
        outer_a = outer.mock("a", side_effect=lambda state: state.update(a="outer"))
        with TestPipe(pipe) as inner:
            inner.mock("b")
            nested = await inner.run({})
        await pipe.run({}).wait()

    assert nested.final_state == {"a": "outer"}
    assert outer_a.call_count == 2


async def test_the_last_mock_of_a_step_counts_and_restore_removes_all() -> None:
    """Restoring twice does no harm."""
    harness = TestPipe(two_steps())
    first = harness.mock("a")
    second = harness.mock("a", side_effect=lambda state: state.update(a="second"))
    mocked = await harness.run({})
    harness.restore()
    harness.restore()
    real = await harness.run({})

    assert mocked.final_state["a"] == "second"
    assert real.final_state["a"] == "real"
    assert (first.call_count, second.call_count) == (0, 1)


async def test_an_unknown_step_is_refused_with_the_known_names() -> None:
    """The message suggests the nearest name."""
    child = two_steps()
    harness = TestPipe(with_child(child))
    with pytest.raises(
        ValueError, match=r"'ownr'.*owner, owner:a.*Did you mean 'owner'"
    ):
        harness.mock("ownr")


@pytest.mark.virtual_time
async def test_middleware_wraps_the_mock() -> None:
    """Retry middleware gets the errors of a mock."""
    pipe: Pipe[State, Any] = Pipe(dict, log_state=False)
    pipe.step("flaky", retries=2)(lambda state: None)

    harness = TestPipe(pipe)
    mock = harness.mock("flaky", side_effect=[ValueError("once"), None])
    result = await harness.run({})

    assert mock.call_count == 2
    assert result.failed_steps == []
    assert result.find_error() is None


@pytest.mark.parametrize(
    ("answer", "status", "ran"),
    [
        (None, "success", ["a", "b"]),
        ("c", "success", ["a", "c"]),
        (Skip(), "success", ["a"]),
        (Stop, "success", ["a"]),
        (Suspend("later"), "success", ["a"]),
    ],
)
async def test_results_of_a_mock_have_the_same_meaning(
    answer: Any, status: str, ran: list[str]
) -> None:
    """Signals and routes work as from functions."""
    pipe = two_steps()
    pipe.step("c", to=None)(lambda state: None)
    pipe.allow_multi_root = True

    result = await run_mocked(pipe, "a", answer, start="a")

    assert result.status is PipelineTerminalStatus(status)
    assert result.order == ran


async def run_mocked(
    pipe: Pipe[Any, Any], step: str, answer: Any, **options: Any
) -> TestResult[Any]:
    """Run a pipe with one step mocked."""
    harness = TestPipe(pipe)
    harness.mock(step, answer)
    return await harness.run({}, **options)


async def test_a_retrying_mock_is_called_again() -> None:
    """``Retry()`` from a mock makes another attempt."""
    harness = TestPipe(two_steps())
    mock = harness.mock("a", side_effect=[Retry(), None])
    result = await harness.run({})

    assert mock.call_count == 2
    assert result.call_count("a") == 2
    assert result.call_count("b") == 1


async def test_an_async_generator_as_side_effect_streams() -> None:
    """Each item is a token, and the stream is one call."""

    async def stream(state: State) -> Any:
        yield "x"
        yield "y"

    harness = TestPipe(two_steps())
    mock = harness.mock("a", side_effect=stream)
    result = await harness.run({})

    assert result.tokens == ["x", "y"]
    assert mock.call_count == 1


async def test_a_mocked_map_needs_items() -> None:
    """It fails without them; its worker gets each item under its keyword."""
    pipe: Pipe[State, Any] = Pipe(dict, log_state=False)
    pipe.map("items", each="work")(lambda state: [1])

    @pipe.step
    async def work(page: int, state: State) -> None: ...

    empty = await run_mocked(pipe, "items", None)
    harness = TestPipe(pipe)
    harness.mock("items", [7, 8])
    worker = harness.mock("work")
    result = await harness.run({})

    assert empty.failed_steps == ["items"]
    assert [call.kwargs["page"] for call in worker.call_args_list] == [7, 8]
    assert result.call_count("work") == 2


async def test_the_results_of_a_mocked_worker_are_collected() -> None:
    """This holds for a map with ``collect=``."""
    pipe = Pipe(dict)

    @pipe.map(each="work", collect="results")
    def items() -> list[int]:
        return [1, 2]

    @pipe.step
    async def work(item: int) -> int:
        return item

    harness = TestPipe(pipe)
    harness.mock("work", side_effect=lambda item: item * 10)
    result = await harness.run({})

    assert result.final_state == {"results": [10, 20]}


async def test_a_mocked_switch_uses_the_routes() -> None:
    """Its value chooses the route as the real one would."""
    pipe: Pipe[State, Any] = Pipe(dict, log_state=False)
    pipe.switch("route", to={1: "one", 2: "two"})(lambda state: 1)
    pipe.step("one")(lambda state: None)
    pipe.step("two")(lambda state: None)

    result = await run_mocked(pipe, "route", 2)

    assert result.order == ["route", "two"]


async def test_a_mocked_step_runs_on_the_loop() -> None:
    """No thread makes a test depend on timing."""
    pipe: Pipe[State, Any] = Pipe(dict, log_state=False)
    pipe.step("heavy", placement="thread")(lambda state: None)

    result = await run_mocked(pipe, "heavy", None)

    assert result.was_called("heavy")


# -- sub-pipelines


async def test_a_step_of_a_sub_pipeline_is_mocked_by_its_path() -> None:
    """``owner:inner`` names a step of a child, for this parent only."""
    child = two_steps()
    harness = TestPipe(with_child(child))
    mock = harness.mock("owner:a")
    result = await harness.run({})
    direct = await TestPipe(child).run({})

    assert mock.call_count == 1
    assert result.step_starts == ["owner", "owner:a", "owner:b"]
    assert direct.final_state["a"] == "real"


async def test_hooks_and_handlers_of_a_child_are_mocked_by_its_owner() -> None:
    """``of=`` names the sub step."""
    child = two_steps()
    child.on_startup(lambda: None)
    child.on_shutdown(lambda: None)
    child.on_error(lambda error: None)
    harness = TestPipe(with_child(child))
    harness.mock("owner:a", side_effect=ValueError("boom"))
    up, down = harness.mock_startup(of="owner"), harness.mock_shutdown(of="owner")
    handler = harness.mock_on_error(of="owner")
    result = await harness.run({})

    assert (up.call_count, down.call_count, handler.call_count) == (1, 1, 1)
    assert result.status is PipelineTerminalStatus.SUCCESS
    with pytest.raises(ValueError, match="runs no sub-pipeline"):
        harness.mock_startup(of="owner:a")


async def test_a_pipe_that_contains_itself_can_be_tested() -> None:
    """Copying a recursive definition ends."""
    pipe: Pipe[State, Any] = Pipe(dict, log_state=False)
    pipe.sub("again", pipeline=pipe)(lambda state: {})
    harness = TestPipe(pipe)
    mock = harness.mock("again", side_effect=ValueError("enough"))
    deeper = harness.mock("again:again", side_effect=ValueError("never"))
    result = await harness.run({})

    assert result.failed_steps == ["again"]
    assert (mock.call_count, deeper.call_count) == (1, 0)


async def test_the_final_state_is_never_a_childs() -> None:
    """START and STEP_END of a child have only the child's state."""
    child: Pipe[State, Any] = Pipe(dict, log_state=False)

    @child.step
    async def forever(state: State) -> None:
        await anyio.sleep_forever()

    pipe: Pipe[State, Any] = Pipe(dict, log_state=False)
    pipe.sub("owner", pipeline=child)(lambda state: {"mine": False})

    with anyio.fail_after(30):
        result = await TestPipe(pipe).run({"mine": True}, timeout=0.01)

    assert result.status is PipelineTerminalStatus.TIMEOUT
    assert result.final_state == {"mine": True}


# -- hooks and handlers


async def test_one_mock_replaces_all_hooks_of_a_kind() -> None:
    """It is called once per hook, with the parameters of that hook."""
    pipe = two_steps()

    @pipe.on_startup
    async def first(state: State) -> None: ...

    @pipe.on_startup
    async def second(context: Any) -> None: ...

    @pipe.on_shutdown
    async def last(state: State) -> None:
        raise AssertionError

    harness = TestPipe(pipe)
    up, down = harness.mock_startup(), harness.mock_shutdown()
    result = await harness.run({}, {"c": 1})

    assert [set(call.kwargs) for call in up.call_args_list] == [{"state"}, {"context"}]
    down.assert_awaited_once()
    assert result.status is PipelineTerminalStatus.SUCCESS


async def test_mocking_hooks_that_do_not_exist_is_no_error() -> None:
    """The mock is then never called."""
    harness = TestPipe(two_steps())
    mocks = harness.mock_startup(), harness.mock_shutdown()
    await harness.run({})

    assert [mock.call_count for mock in mocks] == [0, 0]


async def test_a_mocked_handler_decides_for_the_step() -> None:
    """Its Skip prunes, and an error that it raises is the reported failure."""
    pipe = two_steps()
    pipe.on_error(lambda error, step_name, state: None)

    harness = TestPipe(pipe)
    harness.mock("a", side_effect=ValueError("boom"))
    handler = harness.mock_on_error(Skip())
    skipped = await harness.run({})
    harness.mock_on_error(side_effect=KeyError("worse"))
    failed = await harness.run({})

    assert set(handler.call_args.kwargs) == {"error", "step_name", "state"}
    assert skipped.status is PipelineTerminalStatus.SUCCESS
    assert skipped.order == ["a"]
    assert failed.find_error("a") == "'worse'"


async def test_a_steps_own_handler_can_be_mocked() -> None:
    """``mock_handler`` replaces one step's ``on_error``."""
    pipe: Pipe[State, Any] = Pipe(dict, log_state=False)
    pipe.step("fragile", on_error=lambda error: None)(lambda state: 1 / 0)
    pipe.step("plain")(lambda state: None)
    pipe.allow_multi_root = True

    harness = TestPipe(pipe)
    handler = harness.mock_handler("fragile")
    await harness.run({})

    assert isinstance(handler.call_args.kwargs["error"], ZeroDivisionError)
    with pytest.raises(ValueError, match="has no on_error"):
        harness.mock_handler("plain")
    with pytest.raises(ValueError, match="no error handler"):
        harness.mock_on_error()


async def test_an_error_of_the_run_itself_is_raised() -> None:
    """A pipe with wrong wiring gives no result."""
    pipe: Pipe[State, Any] = Pipe(dict)
    pipe.step("a", to="nowhere")(lambda state: None)

    with pytest.raises(DefinitionError):
        await TestPipe(pipe).run({})


async def test_a_harness_stores_nothing_by_default() -> None:
    """A persistent pipe does not store its tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe: Pipe[State, Any] = Pipe(dict, persist=True)
    pipe.step("a")(lambda state: None)

    assert TestPipe(pipe).overlaid().persist is False
    assert TestPipe(pipe, persist=True).overlaid().persist is True
    assert pipe.persist is True


# -- resources


async def test_a_resource_is_replaced_by_a_value() -> None:
    """Neither it nor the resources it needs are opened; a child has its own."""
    opened: list[str] = []

    def shelf() -> Pipe[State, Any]:
        pipe: Pipe[State, Any] = Pipe(dict, log_state=False)

        @pipe.resource
        async def pool() -> Any:
            opened.append("pool")
            yield "real pool"

        @pipe.resource
        async def db(pool: str) -> Any:
            opened.append("db")
            yield "real db"

        @pipe.step("ask")
        async def ask(state: State, db: str) -> None:
            state["db"] = db

        return pipe

    plain = await TestPipe(shelf()).run({})
    assert (plain.final_state, opened) == ({"db": "real db"}, ["pool", "db"])

    harness = TestPipe(shelf())
    harness.mock_resource("db", "fake db")
    mocked = await harness.run({})
    assert (mocked.final_state, len(opened)) == ({"db": "fake db"}, 2)

    parent = TestPipe(with_child(shelf()))
    parent.mock_resource("db", "fake db", of="owner")
    below = await parent.run({})
    assert (below.final_state, len(opened)) == ({"db": "fake db"}, 2)

    with pytest.raises(ValueError, match=r"no resource 'cache'.*pool, db"):
        harness.mock_resource("cache", None)


# -- results


async def test_a_result_knows_which_steps_ran() -> None:
    """Only a step that started was called."""
    pipe = two_steps()
    pipe.on_startup(lambda: None)
    harness = TestPipe(pipe)
    harness.mock("b", side_effect=ValueError("boom"))
    result = await harness.run({})

    assert result.was_called("a")
    assert not result.was_called("system")
    assert not result.was_called("nobody")
    assert (result.call_count("a"), result.call_count("nobody")) == (1, 0)
    assert result.step_starts == result.order == ["a", "b"]
    assert result.failed_steps == ["b"]
    assert result.find_error("b") == result.find_error() == "boom"
    assert result.find_error("a") is None
    assert len(result.filter(EventType.STEP_END)) == 1
    assert result.status is PipelineTerminalStatus.FAILED
    assert result.error is not None
    assert "boom" in result.error
    assert TestResult([], None).status is None
    assert TestResult([], None).error is None


def test_pytest_collects_neither_class() -> None:
    """Their names begin with ``Test``."""
    assert TestPipe.__test__ is False
    assert TestResult.__test__ is False
    assert (
        repr(TestPipe(two_steps()))
        == "<TestPipe of <Pipe 'Pipe' with 2 steps>, mocked: nothing>"
    )
