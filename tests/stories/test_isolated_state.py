"""Isolated state: parallel steps, failures and child runs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict

import anyio
import anyio.lowlevel
import pytest

from justpipe_actors import (
    DefinitionError,
    EventType,
    Merge,
    Pipe,
    Raise,
    Retry,
    Shared,
    Skip,
    Stop,
    Suspend,
    TestPipe,
)
from justpipe_actors.errors import ChangedItemWarning, StateConflict
from justpipe_actors.outcomes import PipelineTerminalStatus
from justpipe_actors.testing import explore


pytestmark = pytest.mark.virtual_time


@dataclass
class Report:
    title: str = ""
    log: list[str] = field(default_factory=list)
    index: dict[str, int] = field(default_factory=dict)
    done: Annotated[int, Merge.add] = 0
    count: int = 0


def isolated(state_type: Any = Report, **options: Any) -> Pipe[Any, Any]:
    """Return a pipe whose steps work on copies."""
    return Pipe(state_type, state_mode="isolated", allow_multi_root=True, **options)


async def finished(pipe: Pipe[Any, Any], state: Any, **options: Any) -> Any:
    """Run a pipe that succeeds, and return its state."""
    end = await pipe.run(state, **options).wait()
    assert (end.status, end.errors) == (PipelineTerminalStatus.SUCCESS, [])
    return state


async def failure(pipe: Pipe[Any, Any], state: Any) -> str:
    """Run a pipe that fails, and return the text of its only failure."""
    end = await pipe.run(state).wait()
    (record,) = end.errors
    return record.error or ""


async def test_parallel_steps_lose_no_update() -> None:
    """Steps that read, wait and write do not overwrite each other's changes."""
    pipe = isolated()

    @pipe.step("start", to=["a", "b", "c"])
    async def start(state: Report) -> None:
        state.title = "begun"

    for number, name in enumerate("abc"):

        @pipe.step(name, to="end")
        async def branch(state: Report, name: str = name, number: int = number) -> None:
            log = state.log
            await anyio.sleep(3 - number)
            log.append(name)
            state.index[name] = len(log)
            state.done += 1

    @pipe.step("end")
    async def end(state: Report) -> None:
        state.title += f", {state.done} done"

    state = Report()
    assert await finished(pipe, state) is state

    assert state.log == ["c", "b", "a"]
    assert state.index == {"c": 1, "b": 1, "a": 1}
    assert state.title == "begun, 3 done"


async def test_a_conflict_is_the_failure_of_the_second_step() -> None:
    """It names the part and both steps; the first commit stays."""
    pipe = isolated()

    @pipe.step("fast")
    async def fast(state: Report) -> None:
        await anyio.sleep(1)
        state.title = "fast"

    @pipe.step("slow")
    async def slow(state: Report) -> None:
        await anyio.sleep(2)
        state.title, state.count = "slow", 9

    state = Report()
    assert await failure(pipe, state) == (
        "Step 'slow' and step 'fast' both changed 'title': the values differ. Annotate "
        "it with Merge(...) to say how both changes are kept, or let one step follow "
        "the other."
    )
    assert state == Report(title="fast")


async def test_ten_workers_that_count_conflict_and_get_the_remedy() -> None:
    """``count += 1`` in parallel would end at 1; the message suggests ``Merge.add``."""
    pipe = isolated()

    @pipe.map("each", each="worker")
    def each() -> range:
        return range(10)

    @pipe.step("worker")
    async def worker(state: Report, item: int) -> None:
        state.count += 1
        await anyio.sleep(1)

    state = Report()
    end = await pipe.run(state).wait()

    assert len(end.errors) == 9
    for record in end.errors:
        text = record.error or ""
        assert text.startswith("Two invocations of step 'worker' both changed 'count'")
        assert "Merge.add" in text

    assert state.count == 1


@pytest.mark.parametrize("beside", [False, True])
async def test_a_failed_step_changes_nothing(beside: bool) -> None:
    """Its changes before the failure are dropped, whether it runs alone or beside others."""
    pipe = isolated(on_failure="continue")

    @pipe.step("fails", to="after")
    async def fails(state: Report) -> None:
        state.log.append("half")
        state.title = "half"
        await anyio.sleep(1)
        raise ValueError

    @pipe.step("after")
    async def after(state: Report) -> None:
        state.log.append(f"title {state.title!r}")

    if beside:

        @pipe.step("other")
        async def other(state: Report) -> None:
            await anyio.sleep(5)

    state = Report()
    await failure(pipe, state)

    assert state == Report(log=["title ''"])


async def test_a_handler_gets_the_copy_of_the_failed_step() -> None:
    """A handler that handles the failure commits the copy."""
    pipe = isolated()

    def mend(state: Report, error: Exception) -> None:
        state.log.append(f"mended after {state.log[-1]}")

    @pipe.step("fails", on_error=mend)
    async def fails(state: Report) -> None:
        state.log.append("half")
        raise ValueError

    @pipe.step("beside")
    async def beside(state: Report) -> None:
        state.log.append("beside")

    state = await finished(pipe, Report())

    assert sorted(state.log) == ["beside", "half", "mended after half"]


@pytest.mark.parametrize("again", [False, True])
async def test_the_handlers_of_a_conflict_get_a_fresh_copy(again: bool) -> None:
    """It has the commit of the other step, and a second conflict is final."""
    pipe = isolated()

    async def settle(state: Report, error: Exception) -> None:
        assert isinstance(error, StateConflict)
        state.log.append(f"title was {state.title}")
        if again:
            state.title = "settled"
            await anyio.sleep(5)

    @pipe.step("slow", on_error=settle)
    async def slow(state: Report) -> None:
        state.title = "slow"
        state.log.append("slow")
        await anyio.sleep(2)

    @pipe.step("fast", to="late")
    async def fast(state: Report) -> None:
        state.title = "fast"

    @pipe.step("late")
    async def late(state: Report) -> None:
        await anyio.sleep(4)
        state.title = "late"

    state = Report()
    if again:
        assert "'slow' and step 'late'" in await failure(pipe, state)
        assert state == Report(title="late")
    else:
        await finished(pipe, state)
        assert state == Report(title="late", log=["title was fast"])


@pytest.mark.parametrize(
    ("signal", "kept"),
    [
        (Skip(), True),
        (Stop(), True),
        (Suspend("why"), True),
        ("next", True),
        (Raise(ValueError()), False),
    ],
)
async def test_signals_commit(signal: object, kept: bool) -> None:
    """All signals and routes commit the changes, except ``Raise``."""
    pipe = isolated()

    @pipe.step("one", to="never")
    def one(state: Report) -> object:
        state.log.append("one")
        return signal

    @pipe.step("never")
    def never() -> None: ...

    @pipe.step("next")
    def following() -> None: ...

    state = Report()
    await pipe.run(state, start="one").wait()

    assert state.log == (["one"] if kept else [])


async def test_attempts_by_retry_keep_their_changes() -> None:
    """``Retry()`` commits; with ``retries=`` each attempt begins with a fresh copy."""
    pipe = isolated()
    seen = []

    @pipe.step("again")
    async def again(state: Report) -> object:
        state.log.append("attempt")
        await anyio.sleep(1)
        return Retry() if len(state.log) < 3 else None

    @pipe.step("tries", retries=2, retry_wait_min=0, retry_wait_max=0)
    async def tries(state: Report) -> None:
        seen.append(list(state.index))
        state.index[f"try {len(seen)}"] = 1
        await anyio.sleep(1)
        if len(seen) < 3:
            raise ValueError

    state = await finished(pipe, Report())

    assert state.log == ["attempt"] * 3
    assert seen == [[], [], []]
    assert state.index == {"try 3": 1}


async def test_workers_begin_with_the_commit_of_their_map() -> None:
    """The function of a map or a switch commits when it has returned."""
    pipe = isolated()

    @pipe.map("each", each="worker", to="end")
    async def each(state: Report) -> list[int]:
        state.title = "mapped"
        return [1, 2, 3]

    @pipe.step("worker")
    async def worker(state: Report, item: int) -> None:
        state.log.append(f"{state.title} {item}")
        state.done += item

    @pipe.switch("end", to={6: "last"})
    def end(state: Report) -> int:
        state.title = "switched"
        return state.done

    @pipe.step("last")
    def last(state: Report) -> None:
        state.log.append(state.title)

    state = await finished(pipe, Report())

    assert sorted(state.log) == ["mapped 1", "mapped 2", "mapped 3", "switched"]
    assert state.done == 6


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("fails", [True, False])
async def test_a_child_works_on_the_copy_of_its_sub(fails: bool, alone: bool) -> None:
    """The commits of a child run are merged when it ends, and dropped when it fails."""
    child = isolated(name="child")

    @child.step("inner")
    async def inner(state: Report) -> None:
        state.log.append(f"inner sees {state.title}")
        await anyio.sleep(2)

    @child.step("beside")
    async def beside(state: Report) -> None:
        state.done += 1
        await anyio.sleep(3)
        if fails:
            raise ValueError

    pipe = isolated()

    @pipe.sub("sub", pipeline=child)
    async def sub(state: Report) -> Report:
        state.title = "sub"
        return state

    if not alone:

        @pipe.step("other")
        async def other(state: Report) -> None:
            state.log.append("other")
            await anyio.sleep(1)
            state.done += 1

    state = Report()
    await pipe.run(state).wait()

    more = [] if alone else ["other"]
    assert state.log == [*more, *([] if fails else ["inner sees sub"])]
    assert state.title == "sub"
    assert state.done == len(more) + (not fails)


async def test_a_child_sees_commits_made_while_its_sub_began() -> None:
    """The copy is brought up to date before the child runs."""
    child = isolated(name="child")

    @child.step("inner")
    async def inner(state: Report) -> None:
        state.log.append(f"inner after {len(state.log)}")

    pipe = isolated()

    @pipe.sub("sub", pipeline=child)
    async def sub(state: Report) -> Report:
        state.log.append("sub")
        await anyio.sleep(2)
        return state

    @pipe.step("other")
    async def other(state: Report) -> None:
        state.log.append("other")

    state = await finished(pipe, Report())

    assert state.log == ["other", "sub", "inner after 2"]


@pytest.mark.parametrize("as_list", [True, False])
async def test_items_are_not_part_of_the_state(as_list: bool) -> None:
    """A worker that changes its item changes nothing else."""

    @dataclass
    class Pages:
        pages: list[Report] = field(default_factory=list)
        titles: list[str] = field(default_factory=list)

    pipe = isolated(Pages)

    @pipe.map("each", each="worker")
    def each(state: Pages) -> Any:
        return state.pages if as_list else (page for page in state.pages)

    @pipe.step("worker")
    async def worker(state: Pages, page: Report) -> None:
        page.title += "!"
        state.titles.append(page.title)

    state = Pages([Report("a"), Report("b")])
    await finished(pipe, state)

    assert [page.title for page in state.pages] == ["a", "b"]
    assert state.titles == ["a!", "b!"]


async def test_a_changed_item_is_a_warning_in_debug() -> None:
    """With ``debug`` a worker that changes its item gets a warning, because it is not merged."""
    pipe = isolated(dict, debug=True)

    @pipe.map("each", each="worker")
    def each() -> list[list[int]]:
        return [[1], [2]]

    @pipe.step("worker")
    async def worker(item: list[int]) -> None:
        if item == [1]:
            item.append(3)

    with pytest.warns(ChangedItemWarning, match="'worker' changed its item") as caught:
        await finished(pipe, {})

    assert len(caught) == 1


async def test_streaming_steps_and_threads_work_on_copies() -> None:
    """Tokens of a failed step stay published; a thread has its own copy of the state."""
    pipe = isolated(on_failure="continue")

    @pipe.step("streams")
    async def streams(state: Report) -> Any:
        state.log.append("streamed")
        yield "token"
        await anyio.sleep(1)
        raise ValueError

    @pipe.step("thread", placement="thread")
    def thread(state: Report) -> None:
        state.log.append("thread")

    state = Report()
    async with pipe.run(state) as run:
        tokens = [e.payload async for e in run if e.type is EventType.TOKEN]

    assert tokens == ["token"]
    assert state.log == ["thread"]


async def test_events_show_committed_states() -> None:
    """STEP_END has the run's own state after the merge."""
    pipe = isolated()

    for name, pause in (("slow", 2), ("fast", 1)):

        @pipe.step(name)
        async def step(state: Report, name: str = name, pause: int = pause) -> None:
            state.log.append(name)
            await anyio.sleep(pause)

    state, seen = Report(), []
    async with pipe.run(state) as run:
        async for event in run:
            if event.type is EventType.STEP_END:
                assert event.payload is state
                seen.append(list(state.log))

    assert seen == [["fast"], ["fast", "slow"]]


async def test_hooks_change_the_state_in_place() -> None:
    """All steps see the changes of a startup hook; a shutdown hook sees the last state."""
    pipe = isolated()
    seen = []

    @pipe.on_startup
    def begin(state: Report) -> None:
        state.title = "hooked"

    @pipe.on_shutdown
    def end(state: Report) -> None:
        seen.extend(state.log)

    for name in "ab":

        @pipe.step(name)
        async def step(state: Report, name: str = name) -> None:
            await anyio.sleep(1)
            state.log.append(name + state.title)

    await finished(pipe, Report())

    assert sorted(seen) == ["ahooked", "bhooked"]


@pytest.mark.parametrize("name", ["client", "lock"])
async def test_a_state_without_a_copy_is_refused_before_anything_runs(
    name: str,
) -> None:
    """The message names the part and the remedy."""

    class Client:
        pass

    @dataclass
    class Holder:
        client: Any = None
        lock: Any = None

    parts = {"client": Client(), "lock": threading.Lock()}
    pipe = isolated(dict[str, Any])

    @pipe.step("never")
    def never(state: Any) -> None:
        pytest.fail("it has run")

    with pytest.raises(DefinitionError) as caught:
        await finished(pipe, {"inner": Holder(**{name: parts[name]})})

    text = str(caught.value)
    assert f"'inner.{name}'" in text
    for remedy in ("@pipe.resource", "context", "Shared"):
        assert remedy in text


async def test_shared_parts_are_passed_by_reference() -> None:
    """A client that is annotated as shared is one object for all steps."""
    lock = threading.Lock()

    class State(TypedDict):
        lock: Annotated[Any, Shared]
        log: list[str]

    pipe = isolated(State)

    for name in "ab":

        @pipe.step(name)
        async def step(state: State, name: str = name) -> None:
            assert state["lock"] is lock
            await anyio.sleep(1)
            state["log"].append(name)

    state: State = {"lock": lock, "log": []}
    await finished(pipe, state)

    assert sorted(state["log"]) == ["a", "b"]


async def test_plain_dicts_are_merged_by_named_functions() -> None:
    """``merge=`` names the function for each key of a dict."""
    pipe = Pipe(
        dict,
        state_mode="isolated",
        allow_multi_root=True,
        merge={"best": max, "hits": Merge.add},
    )

    for number in (3, 5, 4):

        @pipe.step(f"step {number}")
        async def step(state: dict[str, int], number: int = number) -> None:
            await anyio.sleep(number)
            state["best"] = number
            state["hits"] = state.get("hits", 0) + 1

    state = await finished(pipe, {"best": 0})

    assert state == {"best": 5, "hits": 3}


async def test_a_cancelled_run_keeps_commits() -> None:
    """An interrupted step leaves none of its changes."""
    pipe = isolated()

    @pipe.step("one", to="two")
    def one(state: Report) -> None:
        state.log.append("one")

    @pipe.step("two")
    async def two(state: Report) -> None:
        state.log.append("two")
        await anyio.sleep(100)

    state = Report()
    end = await pipe.run(state, timeout=5).wait()

    assert end.status is PipelineTerminalStatus.TIMEOUT
    assert state.log == ["one"]


async def test_loops_and_joins_merge_lap_by_lap() -> None:
    """Every lap of a loop begins with the commits of the one before."""
    pipe = isolated()

    @pipe.step("begin", to=["a", "b"])
    def begin(state: Report) -> None:
        state.count += 1

    for name in "ab":

        @pipe.step(name, to="join")
        async def branch(state: Report, name: str = name) -> None:
            await anyio.sleep(1)
            state.log.append(f"{name}{state.count}")

    @pipe.step("join")
    def join(state: Report) -> str | None:
        return "begin" if state.count < 3 else None

    state = await finished(pipe, Report(), start="begin")

    assert sorted(state.log) == ["a1", "a2", "a3", "b1", "b2", "b3"]


def test_testpipe_runs_isolated_pipes() -> None:
    """Mocks get copies like the functions that they replace."""
    pipe = isolated()

    @pipe.step("a")
    async def a(state: Report) -> None: ...

    @pipe.step("b")
    async def b(state: Report) -> None:
        state.log.append("b")

    async def run() -> Any:
        with TestPipe(pipe) as harness:
            harness.mock("a", side_effect=lambda state: state.log.append("mock"))
            return await harness.run(Report())

    result = anyio.run(run)

    assert sorted(result.final_state.log) == ["b", "mock"]


@pytest.mark.parametrize("mode", ["shared", "isolated"])
def test_explore_finds_lost_updates_in_shared_state_only(mode: Any) -> None:
    """A read, a wait and a write lose updates in shared mode and not in isolated mode."""
    pipe = Pipe(Report, state_mode=mode, allow_multi_root=True)

    for name in "ab":

        @pipe.step(name)
        async def step(state: Report) -> None:
            before = state.done
            await anyio.lowlevel.checkpoint()
            state.done = before + 1

    def check(result: Any) -> bool:
        return bool(result.final_state.done == 2)

    if mode == "shared":
        with pytest.raises(AssertionError):
            explore(pipe, Report, check, schedules=50)
    else:
        explore(pipe, Report, check, schedules=50)


def test_an_unknown_mode_is_refused() -> None:
    """The message lists the modes."""
    with pytest.raises(DefinitionError, match="'shared' or 'isolated', not 'own'"):
        Pipe(Report, state_mode="own")  # type: ignore[arg-type]


async def test_a_list_with_two_names_is_extended_once() -> None:
    """A list that is two parts of the state gets an appended element once."""
    pipe = isolated(dict)

    for name in "ab":

        @pipe.step(name)
        async def step(state: dict[str, list[str]], name: str = name) -> None:
            await anyio.sleep(1)
            state["one"].append(name)

    log: list[str] = []
    state = await finished(pipe, {"one": log, "two": log})

    assert sorted(state["one"]) == sorted(state["two"]) == ["a", "b"]


async def test_a_step_may_put_a_value_without_a_copy_into_the_state() -> None:
    """The next step that needs a copy fails, and the error names the part."""
    pipe = isolated(dict)

    @pipe.step("first", to=["a", "b"])
    def first(state: dict[str, Any]) -> None:
        state["lock"] = threading.Lock()

    for name in "ab":

        @pipe.step(name)
        async def step(state: dict[str, Any]) -> None:
            await anyio.sleep(1)

    end = await pipe.run({}).wait()

    assert {record.step for record in end.errors} == {"a", "b"}
    assert all("'lock' (lock) cannot be" in (r.error or "") for r in end.errors)


async def test_middleware_that_calls_again_gets_fresh_copies() -> None:
    """Each call of the function by a middleware begins with the committed state."""

    def twice(func: Any, ctx: Any) -> Any:
        async def call(**arguments: Any) -> Any:
            await func(**arguments)
            return await func(**arguments)

        return call

    pipe = isolated(dict, middleware=[twice])

    @pipe.step("a")
    async def a(state: dict[str, int]) -> None:
        state["n"] = state.get("n", 0) + 1

    assert await finished(pipe, {}) == {"n": 1}


class OddError(Exception):
    """Can be pickled and not unpickled."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


async def test_exceptions_are_values() -> None:
    """Handlers collect errors in a list, in parallel and alone; a failed step changes nothing."""
    pipe = isolated(dict, on_failure="continue")

    def note(state: dict[str, Any], error: Exception) -> None:
        state["errors"].append(error)

    for name in "ab":

        @pipe.step(name, on_error=note, to="last")
        async def step(state: dict[str, Any]) -> None:
            await anyio.sleep(1)
            raise OddError(1, 2)

    @pipe.step("last")
    async def last(state: dict[str, Any]) -> None:
        state["errors"].clear()
        raise ValueError

    state: dict[str, Any] = {"errors": []}
    await pipe.run(state).wait()

    assert [str(error) for error in state["errors"]] == ["1 and 2", "1 and 2"]


async def test_an_element_without_a_copy_is_named() -> None:
    """For a list the message names the element."""

    class Client:
        pass

    pipe = isolated(dict)

    @pipe.step("never")
    def never(state: Any) -> None: ...

    with pytest.raises(DefinitionError, match=r"'clients\[1\]' \(Client\)"):
        await finished(pipe, {"clients": [1, Client()]})


async def test_a_conflict_over_elements_without_eq_says_so() -> None:
    """Elements without ``__eq__`` look changed in every copy; the message names one."""

    class Result:
        pass

    pipe = isolated(dict)

    @pipe.step("begin", to=["a", "b"])
    def begin(state: dict[str, Any]) -> None:
        state["results"].append(Result())

    for name in "ab":

        @pipe.step(name)
        async def step(state: dict[str, Any]) -> None:
            await anyio.sleep(1)
            state["results"].append(1)

    text = await failure(pipe, {"results": []})

    assert "results[0] (Result) does not equal its own copy" in text
