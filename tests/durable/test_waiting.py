"""Asks and waits in durable runs: answers are kept while no process works on the run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import anyio
import pytest

from justpipe_actors import (
    Ask,
    EventType,
    Pipe,
    Retry,
    Supervisor,
    Suspend,
    ask,
    idempotency_key,
    once,
    sleep_until,
)
from justpipe_actors._engine import batch_stream
from justpipe_actors.errors import (
    AnswerRejected,
    RunRejected,
    RunReleased,
    UnknownAsk,
)
from justpipe_actors.journals import MemoryJournal
from justpipe_actors.outcomes import PipelineTerminalStatus


SUCCESS = PipelineTerminalStatus.SUCCESS


@pytest.fixture(autouse=True)
def _check_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check after each batch that the rows describe the run."""
    monkeypatch.setattr(batch_stream, "check_fold", True)


@dataclass
class Decision:
    ok: bool


@dataclass
class Report:
    log: list[str] = field(default_factory=list)
    decision: Decision | None = None


calls: list[str] = []


def inside() -> Pipe[Report, Any]:
    """Return a pipe whose step asks, uses ``once`` and sleeps."""
    pipe = Pipe[Report, Any](Report, name="inside")

    @pipe.step()
    async def publish(state: Report) -> None:
        def plan() -> str:
            calls.append("plan")
            return "the plan"

        made = await once("plan", plan)
        calls.append(idempotency_key("charge"))
        decision = await ask(Decision, "Publish?", key="publish")
        await sleep_until(0.01, key="nap")
        state.log.append(made)
        state.decision = decision

    return pipe


def between() -> Pipe[Report, Any]:
    """Return a pipe that asks between two steps."""
    pipe = Pipe[Report, Any](Report, name="between")

    @pipe.step()
    async def draft(state: Report) -> Ask:
        state.log.append("drafted")
        return Ask(Decision, "Publish?", to=decide, key="publish")

    @pipe.step()
    async def decide(state: Report, decision: Decision) -> None:
        state.decision = decision

    return pipe


@asynccontextmanager
async def supervised(
    pipe: Pipe[Any, Any], journal: MemoryJournal
) -> AsyncGenerator[Supervisor]:
    """Open a supervisor that releases its runs at once."""
    async with Supervisor(pipe, journal=journal, grace=0.2) as supervisor:
        yield supervisor


async def wait_ask(supervisor: Supervisor, run_id: str) -> str:
    """Wait until a run asks, and return the id of the ask.

    A run that only waits between steps is not at work, so its stream may say nothing.
    """
    with anyio.fail_after(30):
        while not (found := await supervisor.asks(run_id)):  # noqa: ASYNC110
            await anyio.sleep(0.005)
    return found[0].id


def state_in(journal: MemoryJournal, run_id: str) -> Any:
    """Return the state that is in the rows of a run."""
    from justpipe_actors._util.stored_state import fold_state

    row = journal.find(run_id)
    assert row is not None
    return fold_state([one.state for one in journal.commits(row.id)])


@pytest.mark.parametrize("make", [inside, between])
async def test_an_ask_outlives_its_supervisor(make: Any) -> None:
    """It is answered while no process works on the run, which then continues after it."""
    calls.clear()
    journal = MemoryJournal()
    pipe = make()
    async with supervised(pipe, journal) as supervisor:
        run = await supervisor.submit(pipe, Report(), run_id="r")
        name = await wait_ask(supervisor, "r")
        assert name.startswith("r:")
        assert name.endswith(":publish")
        assert [one.id for one in await supervisor.asks()] == [name]
    with pytest.raises(RunReleased):
        await run.wait()
    [asked] = journal.asks()
    assert asked.id == name
    assert asked.note == "Publish?"
    assert journal.answer(name, '{"ok": true}', by="ada")
    async with supervised(make(), journal) as supervisor:
        again = await supervisor.find("r")
        assert again is not None
        assert (await again.wait()).status is SUCCESS
    assert state_in(journal, "r")["decision"] == {"ok": True}
    assert journal.asks() == []
    assert calls.count("plan") == (1 if make is inside else 0)
    if make is inside:
        assert len(set(calls) - {"plan"}) == 1


@pytest.mark.parametrize("make", [inside, between])
async def test_an_ask_is_answered_in_the_next_process(make: Any) -> None:
    """It keeps its id, and the run gets the answer at once."""
    journal = MemoryJournal()
    async with supervised(make(), journal) as supervisor:
        await supervisor.submit(make().name, Report(), run_id="r")
        name = await wait_ask(supervisor, "r")
    async with supervised(make(), journal) as supervisor:
        run = await supervisor.find("r")
        assert run is not None
        assert await wait_ask(supervisor, "r") == name
        with pytest.raises(AnswerRejected, match="ok"):
            await supervisor.answer(name, {"ok": 1})
        await supervisor.answer(name, Decision(ok=False))
        with pytest.raises(UnknownAsk):
            await supervisor.answer(name, {"ok": True})
        assert (await run.wait()).status is SUCCESS
    assert state_in(journal, "r")["decision"] == {"ok": False}


async def test_a_stream_answers_its_run() -> None:
    """``RunStream.answer`` works for durable runs, awaited or not."""
    journal = MemoryJournal()
    pipe = between()
    async with supervised(pipe, journal) as supervisor:
        run = await supervisor.submit(pipe, Report(), run_id="r")
        name = await wait_ask(supervisor, "r")
        await run.answer(name, {"ok": True}, by="ada")
        assert (await run.wait()).status is SUCCESS
        with pytest.raises(UnknownAsk):
            await run.answer(name, {"ok": True})


async def test_a_time_comes_while_no_process_works_on_the_run() -> None:
    """A timer has a time of the wall clock."""
    journal = MemoryJournal()
    pipe = Pipe[Report, Any](Report, name="patient")

    @pipe.step()
    async def first(state: Report) -> Ask:
        state.log.append("first")
        return Ask(None, to=second, timeout=timedelta(seconds=0.3))

    @pipe.step()
    async def second(state: Report) -> None:
        state.log.append("second")

    async with supervised(pipe, journal) as supervisor:
        run = await supervisor.submit(pipe, Report(), run_id="r")
        async for event in run:
            if event.type is EventType.STEP_END:
                break
    await anyio.sleep(0.3)
    async with supervised(pipe, journal) as supervisor:
        again = await supervisor.find("r")
        assert again is not None
        assert (await again.wait()).status is SUCCESS
    assert state_in(journal, "r")["log"] == ["first", "second"]


async def test_maps_and_children_ask_too() -> None:
    """Each worker has an ask of its own, and the ask of a child belongs to the parent run."""
    journal = MemoryJournal()
    child = Pipe[dict[str, Any], Any](dict, name="child")

    @child.step()
    async def inner(state: dict[str, Any]) -> Ask:
        state["inner"] = await ask(int, key="n")
        return Ask(bool, to=last, key="ok")

    @child.step()
    async def last(state: dict[str, Any], ok: bool) -> None:
        state["ok"] = ok

    pipe = Pipe[dict[str, Any], Any](dict, name="family")

    @pipe.map(each="work", to="nested")
    async def fan(state: dict[str, Any]) -> list[int]:
        state["child"] = {}
        return [1, 2, 3]

    @pipe.step()
    async def work(state: dict[str, Any], item: int) -> Ask:
        return Ask(int, f"item {item}", to=got, key="w")

    @pipe.step()
    async def got(state: dict[str, Any], n: int) -> None:
        state["got"] = [*state.get("got", []), n]

    @pipe.sub(pipeline=child)
    async def nested(state: dict[str, Any]) -> dict[str, Any]:
        child_state: dict[str, Any] = state["child"]
        return child_state

    asked: list[str] = []
    async with supervised(pipe, journal) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="r")
        async for event in run:
            if event.type is EventType.ASK:
                asked.append(event.payload["ask"])
                value: Any = True if asked[-1].endswith(":ok") else len(asked)
                await run.answer(asked[-1], value)
        assert (await run.wait()).status is SUCCESS
    state = state_in(journal, "r")
    assert sorted(state["got"]) == [1, 2, 3]
    assert state["child"] == {"inner": 4, "ok": True}
    assert len(asked) == len(set(asked)) == 5


async def test_attempts_share_answers_and_kept_results() -> None:
    """After ``Retry()`` no ask and no function of ``once`` is repeated."""
    calls.clear()
    journal = MemoryJournal()
    pipe = Pipe[Report, Any](Report, name="again")

    @pipe.step()
    async def twice(state: Report) -> Retry | None:
        calls.append(await once("a", lambda: f"made {len(calls)}"))
        state.decision = await ask(Decision, key="q")
        return Retry() if len(calls) < 3 else None

    async with supervised(pipe, journal) as supervisor:
        run = await supervisor.submit(pipe, Report(), run_id="r")
        await supervisor.answer(await wait_ask(supervisor, "r"), {"ok": True})
        assert (await run.wait()).status is SUCCESS
    assert calls == ["made 0"] * 3


async def test_a_suspended_run_is_resumed_after_its_step() -> None:
    """A new run begins with its state, once."""
    journal = MemoryJournal()
    pipe = Pipe[Report, Any](Report, name="paused")

    @pipe.step(to="after")
    async def before(state: Report) -> Suspend:
        state.log.append("before")
        return Suspend("a person has to look")

    @pipe.step()
    async def after(state: Report) -> None:
        state.log.append("after")

    async with supervised(pipe, journal) as supervisor:
        run = await supervisor.submit(pipe, Report(), run_id="r")
        await run.wait()
        with pytest.raises(RunRejected, match="Only runs that failed"):
            await supervisor.retry("r")
        resumed = await supervisor.resume("r", new_id="r2")
        assert (await resumed.wait()).status is SUCCESS
        with pytest.raises(RunRejected, match="goes on as 'r2'"):
            await supervisor.resume("r")
    assert state_in(journal, "r2")["log"] == ["before", "after"]


async def test_a_failed_run_is_retried_before_its_failure() -> None:
    """Succeeded steps do not run again, and idempotency keys stay the same."""
    calls.clear()
    journal = MemoryJournal()
    pipe = Pipe[Report, Any](Report, name="fragile")

    @pipe.step(to="second")
    async def first(state: Report) -> None:
        calls.append("first")

    @pipe.step()
    async def second(state: Report) -> None:
        calls.append(idempotency_key("charge"))
        if len(calls) < 3:
            raise ValueError("not yet")

    async with supervised(pipe, journal) as supervisor:
        run = await supervisor.submit(pipe, Report(), run_id="r")
        assert (await run.wait()).status is PipelineTerminalStatus.FAILED
        again = await supervisor.retry("r")
        assert (await again.wait()).status is SUCCESS
        assert again.run_id != "r"
    assert calls[0] == "first"
    assert calls[1] == calls[2]
    assert len(calls) == 3


async def test_a_run_is_forked_at_a_commit() -> None:
    """The copy goes on with the state of that commit, or with another one."""
    calls.clear()
    journal = MemoryJournal()
    pipe = between()
    async with supervised(pipe, journal) as supervisor:
        run = await supervisor.submit(pipe, Report(), run_id="r")
        name = await wait_ask(supervisor, "r")
        await supervisor.answer(name, {"ok": True})
        await run.wait()
        row = journal.find("r")
        assert row is not None
        asked_at = next(one.n for one in journal.commits(row.id) if '"a/' in one.delta)
        copy = await supervisor.fork("r", asked_at, new_id="copy")
        copied = await wait_ask(supervisor, "copy")
        assert copied == name.replace("r:", "copy:", 1)
        await supervisor.answer(copied, {"ok": False})
        assert (await copy.wait()).status is SUCCESS
        other = Report(["another past"])
        fork = await supervisor.fork("r", asked_at, other, new_id="other")
        await supervisor.answer(await wait_ask(supervisor, "other"), {"ok": True})
        assert (await fork.wait()).status is SUCCESS
        with pytest.raises(RunRejected, match="no commit 99"):
            await supervisor.fork("r", 99)
        with pytest.raises(TypeError, match="at must be a count or None, not 'x'"):
            await supervisor.fork("r", "x")  # type: ignore[arg-type]
    assert state_in(journal, "copy") == {"log": ["drafted"], "decision": {"ok": False}}
    assert state_in(journal, "other")["log"] == ["another past"]
