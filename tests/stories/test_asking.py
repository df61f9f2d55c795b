"""Asks: questions to people inside a step and between steps, in runs without a journal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import anyio
import pytest

from justpipe_actors import (
    Ask,
    Event,
    EventType,
    Pipe,
    Retry,
    Stop,
    Supervisor,
    ask,
    idempotency_key,
    once,
    sleep_until,
)
from justpipe_actors.errors import (
    AnswerRejected,
    AskTimeout,
    DuplicateKey,
    UnknownAsk,
)
from justpipe_actors.journals import MemoryJournal
from justpipe_actors.outcomes import PipelineTerminalStatus


SUCCESS = PipelineTerminalStatus.SUCCESS


@dataclass
class Decision:
    ok: bool
    words: str = ""


@dataclass
class Report:
    log: list[Any] = field(default_factory=list)
    decision: Decision | None = None


def first_ask(events: list[Event]) -> Event:
    """Return the first ASK event."""
    return next(event for event in events if event.type is EventType.ASK)


async def run_answering(
    pipe: Pipe[Any, Any], state: Any, answers: dict[str, Any]
) -> list[Event]:
    """Run a pipe, answer its asks by key, and return its events."""
    events: list[Event] = []
    async with pipe.run(state) as run:
        async for event in run:
            events.append(event)
            if event.type is EventType.ASK:
                key = event.payload["ask"].split(":")[2].partition("#")[0]
                run.answer(event.payload["ask"], answers[key], by="ada")
    return events


async def text_of_failure(pipe: Pipe[Any, Any], state: Any) -> str:
    """Run a pipe that fails and return the text of its error."""
    end = await pipe.run(state).wait()
    assert end.status is PipelineTerminalStatus.FAILED
    return end.error or ""


async def test_a_step_waits_for_an_answer() -> None:
    """The step goes on with a value of the form's type."""
    pipe = Pipe(Report, name="publish")

    @pipe.step()
    async def publish(state: Report) -> None:
        state.decision = await ask(Decision, "Publish this?", key="publish")

    state = Report()
    events = await run_answering(pipe, state, {"publish": {"ok": True}})
    asked = first_ask(events)
    run_id = asked.run_id
    assert asked.stage == "publish"
    assert asked.payload["ask"] == f"{run_id}:publish:publish"
    assert asked.payload["note"] == "Publish this?"
    assert asked.payload["form"]["properties"]["ok"] == {"type": "boolean"}
    assert asked.payload["due_at"] is None
    answered = next(event for event in events if event.type is EventType.ANSWER)
    assert answered.payload == {"ask": f"{run_id}:publish:publish", "by": "ada"}
    assert state.decision == Decision(ok=True)


async def test_an_answer_that_does_not_fit_leaves_the_ask_open() -> None:
    """The error says what is wrong, and the ask can be answered again."""
    pipe = Pipe(Report, name="publish")

    @pipe.step()
    async def publish(state: Report) -> None:
        state.decision = await ask(Decision, key="publish")

    state = Report()
    async with pipe.run(state) as run:
        async for event in run:
            if event.type is not EventType.ASK:
                continue
            name = event.payload["ask"]
            with pytest.raises(
                AnswerRejected, match=r"answer\.ok must be true or false"
            ):
                run.answer(name, {"ok": "yes"})
            with pytest.raises(AnswerRejected, match="lacks ok"):
                run.answer(name, {})
            with pytest.raises(UnknownAsk, match="no:such:ask"):
                run.answer("no:such:ask", {"ok": True})
            assert [one.id for one in run.asks()] == [name]
            await run.answer(name, Decision(ok=False, words="later"))
            with pytest.raises(UnknownAsk):
                run.answer(name, {"ok": True})
    assert state.decision == Decision(ok=False, words="later")


async def test_an_ask_between_steps_occupies_nothing() -> None:
    """The asking step has ended; the next step gets the answer as its free parameter."""
    pipe = Pipe(Report, name="publish")

    @pipe.step()
    async def draft(state: Report) -> Ask:
        return Ask(Decision, "Publish?", to=decide, key="publish")

    @pipe.step()
    async def decide(state: Report, decision: Decision) -> None:
        state.decision = decision

    assert pipe.plan().roots == ("draft",)
    state = Report()
    events: list[Event] = []
    async with pipe.run(state) as run:
        async for event in run:
            events.append(event)
            if event.type is EventType.ASK:
                assert run.snapshot().running == ()
                assert run.snapshot().tokens == {"draft (ask)": 1}
                run.answer(event.payload["ask"], {"ok": True})
    assert state.decision == Decision(ok=True)
    stages = [e.stage for e in events if e.type is EventType.STEP_END]
    assert stages == ["draft", "decide"]


async def test_static_successors_get_the_answer() -> None:
    """Without ``to=`` those successors get it that have a parameter for it."""
    pipe = Pipe(Report, name="publish")

    @pipe.step(to=["keep", "count"])
    async def draft(state: Report) -> Ask:
        return Ask(Literal["a", "b"], key="choice")

    @pipe.step()
    async def keep(state: Report, choice: str) -> None:
        state.log.append(choice)

    @pipe.step()
    async def count(state: Report) -> None:
        state.log.append(1)

    state = Report()
    await run_answering(pipe, state, {"choice": "b"})
    assert sorted(map(str, state.log)) == ["1", "b"]


@pytest.mark.parametrize("has_join", [False, True])
async def test_a_successor_gets_the_answer_beside_a_join_as_well(
    has_join: bool,
) -> None:
    """Its cause is the asking step, whether or not another successor is a join."""
    pipe = Pipe(Report, name="publish")

    @pipe.step(to=["keep", "both"] if has_join else "keep")
    async def draft(state: Report) -> Ask:
        return Ask(Literal["a", "b"], key="choice")

    @pipe.step(to="both")
    async def keep(state: Report, choice: str) -> None:
        state.log.append(choice)

    @pipe.step()
    async def both(state: Report) -> None:
        state.log.append("both")

    state = Report()
    events = await run_answering(pipe, state, {"choice": "b"})
    starts = {e.stage: e for e in events if e.type is EventType.STEP_START}
    assert state.log == ["b", "both"]
    assert starts["keep"].parent_invocation_id == starts["draft"].invocation_id


async def test_an_answer_may_start_another_lap() -> None:
    """The step of the loop that the answer starts gets the answer."""
    pipe = Pipe(Report, name="publish")

    @pipe.step(routes=["improve"])
    async def draft(state: Report) -> Ask | None:
        if state.log:
            return None
        return Ask(Literal["a", "b"], key="choice", to="improve")

    @pipe.step(to="draft")
    async def improve(state: Report, choice: str) -> None:
        state.log.append(choice)

    state = Report()
    await run_answering(pipe, state, {"choice": "b"})
    assert state.log == ["b"]


@pytest.mark.virtual_time
async def test_an_ask_without_an_answer_times_out() -> None:
    """In a step ``AskTimeout`` is raised; an ask between steps takes its other route."""
    pipe = Pipe(Report, name="publish")

    @pipe.step(to="between", timeout=1)
    async def inside(state: Report) -> None:
        try:
            await ask(bool, key="inside", timeout=timedelta(days=3))
        except AskTimeout as late:
            state.log.append(late.seconds)

    @pipe.step()
    async def between(state: Report) -> Ask:
        return Ask(bool, key="between", timeout=60, to=decide, on_timeout=escalate)

    @pipe.step()
    async def decide(state: Report, decision: bool) -> None:
        state.log.append(decision)

    @pipe.step()
    async def escalate(state: Report) -> None:
        state.log.append("escalated")

    state = Report()
    end = await pipe.run(state).wait()
    assert end.status is SUCCESS
    assert state.log == [259200.0, "escalated"]


@pytest.mark.virtual_time
async def test_a_late_ask_without_another_route_fails_its_step() -> None:
    """The successors do not run without the answer."""
    pipe = Pipe(Report, name="publish")

    @pipe.step(to="after")
    async def draft(state: Report) -> Ask:
        return Ask(bool, key="q", timeout=5)

    @pipe.step()
    async def after(state: Report, answer: bool) -> None:
        state.log.append(answer)

    state = Report()
    assert "was not answered within 5 s" in await text_of_failure(pipe, state)
    assert state.log == []


@pytest.mark.virtual_time
async def test_a_run_waits_for_a_point_in_time() -> None:
    """It waits inside a step and between steps, for a duration and until a date."""
    pipe = Pipe(Report, name="patient")
    began = anyio.current_time()

    @pipe.step()
    async def inside(state: Report) -> Ask:
        await sleep_until(timedelta(days=1), key="one")
        soon = datetime.now(UTC) + timedelta(hours=1)
        await sleep_until(soon, key="two")
        state.log.append(round((anyio.current_time() - began) / 3600))
        return Ask(None, to=after, timeout=3600)

    @pipe.step()
    async def after(state: Report) -> None:
        state.log.append(round((anyio.current_time() - began) / 3600))

    state = Report()
    await pipe.run(state).wait()
    assert state.log == [25, 26]


async def test_a_point_in_time_needs_a_time_zone() -> None:
    """A naive datetime means another time in each place."""
    pipe = Pipe(Report, name="naive")

    @pipe.step()
    async def sleep(state: Report) -> None:
        await sleep_until(datetime(2026, 1, 1))

    assert "time zone" in await text_of_failure(pipe, Report())


async def test_a_step_that_asks_frees_its_slot() -> None:
    """A waiting step does not keep its ``concurrency=`` from other runs."""
    pipe = Pipe(Report, name="shared")

    @pipe.step(concurrency=1)
    async def one(state: Report) -> None:
        if state.log:
            state.log.append(await ask(int, key="n"))
        else:
            state.log.append("done")

    async with Supervisor(pipe) as supervisor:
        waiting = await supervisor.submit(pipe, Report(["first"]))
        async for event in waiting:
            if event.type is EventType.ASK:
                break
        other = Report()
        assert (await (await supervisor.submit(pipe, other)).wait()).status is SUCCESS
        assert other.log == ["done"]
        [found] = await supervisor.asks()
        assert found.run_id == waiting.run_id
        assert found.pipe == "shared"
        assert await supervisor.asks("other") == []
        with pytest.raises(AnswerRejected):
            await supervisor.answer(found.id, 1.5)
        await supervisor.answer(found.id, 3, by="ada")
        assert (await waiting.wait()).status is SUCCESS


async def test_a_cancelled_step_withdraws_its_ask() -> None:
    """It can no longer be answered."""
    pipe = Pipe(Report, name="cancelled")

    @pipe.step()
    async def wait(state: Report) -> None:
        with anyio.move_on_after(0):
            await ask(bool, key="one")
        state.log.append("gave up")
        await ask(bool, key="two")

    state = Report()
    async with pipe.run(state) as run:
        async for event in run:
            if event.type is EventType.ASK and event.payload["ask"].endswith("two"):
                assert [one.id for one in run.asks()] == [event.payload["ask"]]
                run.cancel("enough")
    assert state.log == ["gave up"]
    assert run.asks() == []
    assert run.end is not None
    assert run.end.status is PipelineTerminalStatus.CANCELLED


def stopped_while_asked(between: bool) -> Pipe[Any, Any]:
    """Return a pipe with one step that asks, and one that stops the run meanwhile."""
    pipe: Pipe[Any, Any] = Pipe(dict, allow_multi_root=True)
    asked = anyio.Event()

    @pipe.step("asks", routes=["after"])
    async def asks(state: dict[str, Any]) -> object:
        asked.set()
        if between:
            return Ask(int, "How many?", to="after", key="n")
        state["answer"] = await ask(int, "How many?", key="n")
        return "after"

    @pipe.step("after")
    async def after(state: dict[str, Any]) -> None:
        state["after"] = True

    @pipe.step("stops")
    async def stops() -> Stop:
        await asked.wait()
        return Stop()

    return pipe


async def test_a_stopped_run_waits_for_the_answer_of_a_step_that_has_begun() -> None:
    """``Stop()`` lets what has begun run to its end, also what waits for a person."""
    state: dict[str, Any] = {}
    async with stopped_while_asked(between=False).run(state) as run:
        async for event in run:
            if event.type is EventType.STEP_END and event.stage == "stops":
                await run.answer(f"{run.run_id}:asks:n", 3)
        end = await run.wait()

    assert end.status is SUCCESS
    assert state == {"answer": 3}


async def test_a_stopped_run_withdraws_questions_between_steps() -> None:
    """``Stop()`` lets nothing new begin."""
    state: dict[str, Any] = {}
    async with stopped_while_asked(between=True).run(state) as run:
        end = await run.wait()

    assert end.status is SUCCESS
    assert state == {}


async def test_cancelling_ends_a_run_that_only_waits() -> None:
    """An ask between steps does not keep a run from ending."""
    pipe = Pipe(Report, name="between")

    @pipe.step()
    async def draft(state: Report) -> Ask:
        return Ask(bool)

    async with pipe.run(Report()) as run:
        async for event in run:
            if event.type is EventType.ASK:
                run.cancel("not needed")
    assert run.end is not None
    assert run.end.status is PipelineTerminalStatus.CANCELLED
    assert run.end.error == "not needed"


async def test_keys_are_unique_in_one_invocation() -> None:
    """A second ask with the same key is an error; a further attempt may use it again."""
    pipe = Pipe(Report, name="keys")

    @pipe.step()
    async def twice(state: Report) -> Retry | None:
        state.log.append(await once("plan", lambda: 1))
        state.log.append(idempotency_key("charge"))
        state.log.append(idempotency_key("charge"))
        if len(state.log) < 6:
            return Retry()
        await once("plan", lambda: 2)
        return None

    state = Report()
    text = await text_of_failure(pipe, state)
    assert text == str(DuplicateKey("twice", "once", "plan"))
    assert "'twice' called once twice" in text
    assert len({key for key in state.log if key != 1}) == 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ask(int, key=3), "text as its key"),  # type: ignore[call-overload]
        (lambda: ask(int, timeout="soon"), "timeout= in seconds"),  # type: ignore[call-overload]
        (lambda: sleep_until("soon"), "aware datetime"),  # type: ignore[arg-type]
        (lambda: once("key", 5), "a function"),  # type: ignore[call-overload]
        (lambda: once(3, int), "text as its key"),  # type: ignore[call-overload]
    ],
    ids=["key", "timeout", "moment", "function", "key of once"],
)
async def test_waits_say_what_they_take(
    call: Callable[[], Awaitable[object]], words: str
) -> None:
    """A wrong argument is refused where it is given."""
    pipe: Pipe[Any, Any] = Pipe(dict)

    @pipe.step()
    async def only() -> None:
        with pytest.raises(TypeError, match=words):
            await call()

    async with pipe.run({}) as run:
        assert (await run.wait()).status is SUCCESS


async def test_handlers_have_keys_of_their_own() -> None:
    """An error handler may ask with the key that its step has used."""
    pipe = Pipe(Report, name="handlers")

    async def mend(error: Exception, state: Report) -> None:
        state.log.append(await ask(str, "What now?", key="q"))

    @pipe.step(on_error=mend)
    async def broken(state: Report) -> None:
        await ask(str, key="q")
        raise ValueError("broken")

    state = Report()
    answers: list[str] = []
    async with pipe.run(state) as run:
        async for event in run:
            if event.type is EventType.ASK:
                answers.append(event.payload["ask"].partition(":")[2])
                run.answer(event.payload["ask"], "go on")
    assert answers == ["broken:q", "broken:handler:q"]
    assert state.log == ["go on"]


async def test_asks_of_workers_are_numbered() -> None:
    """The n-th invocation that asks has ``#n`` in the id of its ask."""
    pipe = Pipe(dict, name="many")

    @pipe.map(each="look")
    async def items(state: dict[int, int]) -> list[int]:
        return [1, 2, 3]

    @pipe.step()
    async def look(state: dict[int, int], item: int) -> None:
        state[item] = await ask(int, key="n")

    state, names = dict[int, int](), list[str]()
    async with pipe.run(state) as run:
        async for event in run:
            if event.type is EventType.ASK:
                names.append(event.payload["ask"].partition(":")[2])
                run.answer(event.payload["ask"], len(names))
    assert sorted(names) == ["look:n", "look:n#2", "look:n#3"]
    assert sorted(state.values()) == [1, 2, 3]


async def test_asks_of_a_child_are_asks_of_its_parent() -> None:
    """An ask of a sub-pipeline is answered through the parent's run."""
    child = Pipe(Report, name="child")

    @child.step()
    async def inner(state: Report) -> None:
        state.log.append(await ask(int, key="n"))

    pipe = Pipe(Report, name="parent")

    @pipe.sub(pipeline=child)
    async def outer(state: Report) -> Report:
        return state

    state = Report()
    async with pipe.run(state) as run:
        async for event in run:
            if event.type is EventType.ASK:
                [found] = run.asks()
                run.answer(found.id, 7)
    assert state.log == [7]


@pytest.mark.parametrize(
    "call",
    [lambda: ask(bool), lambda: sleep_until(1), lambda: once("a", int)],
    ids=["ask", "sleep_until", "once"],
)
async def test_only_steps_can_wait(call: Callable[[], Awaitable[Any]]) -> None:
    """Outside of runs and in hooks, the error says where it can be called."""
    with pytest.raises(RuntimeError, match="no step running here"):
        await call()
    pipe = Pipe(Report, name="hooked")

    @pipe.on_startup
    async def begin(state: Report) -> None:
        await call()

    @pipe.step()
    async def nothing(state: Report) -> None:
        """Do nothing."""

    end = await pipe.run(Report()).wait()
    assert end.status is PipelineTerminalStatus.FAILED
    with pytest.raises(RuntimeError, match="is for step functions"):
        idempotency_key("a")


async def test_a_class_that_cannot_be_a_form_is_refused() -> None:
    """The step that asks fails, and the error names the class."""
    pipe = Pipe(Report, name="bad")

    @pipe.step()
    async def bad(state: Report) -> Ask:
        return Ask(Supervisor)

    assert "Supervisor is no form" in await text_of_failure(pipe, Report())


@pytest.mark.parametrize("call", ["ask", "sleep_until"])
async def test_a_step_in_a_thread_cannot_wait(call: str) -> None:
    """Its thread would be occupied all the time; the error has the remedy."""
    pipe = Pipe[Report, Any](Report)

    async def wait() -> None:
        if call == "ask":
            await ask(bool, "Go on?", key="go")
        else:
            await sleep_until(1.0, key="nap")

    @pipe.step("threaded", placement="thread")
    def threaded(state: Report) -> None:
        anyio.from_thread.run(wait)

    with pytest.raises(RuntimeError, match=f"{call}.. cannot wait in step 'threaded'"):
        await pipe.run(Report()).result()


@pytest.mark.parametrize("journal", [None, MemoryJournal], ids=["plain", "durable"])
async def test_the_handler_of_a_late_join_waits_as_any_other(
    journal: Callable[[], MemoryJournal] | None,
) -> None:
    """The join has not begun, and its handler has keys, results and questions."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="late")
    handled, found = anyio.Event(), list[object]()

    async def handle(state: dict[str, Any], error: Exception) -> None:
        found.append(idempotency_key("k"))
        found.append(await once("kept", lambda: 5))
        found.append(await ask(int, "How long?", key="q"))
        handled.set()

    @pipe.step("first", to=["quick", "slow"])
    async def first() -> None:
        """Lead to both."""

    @pipe.step("quick", to="join")
    async def quick() -> None:
        """Report at once."""

    @pipe.step("slow", to="join")
    async def slow() -> None:
        await handled.wait()

    @pipe.step("join", barrier_timeout=0.01, on_error=handle)
    async def join() -> None:
        """Wait for both."""

    made = None if journal is None else journal()
    async with Supervisor(pipe, journal=made) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="run")
        async for event in run:
            if event.type is EventType.ASK:
                await supervisor.answer(event.payload["ask"], 4)
        assert (await run.wait()).status is SUCCESS
    key, *rest = found
    assert rest == [5, 4]
    assert str(key).startswith("run:")
