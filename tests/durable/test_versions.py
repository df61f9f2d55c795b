"""A new version of a pipe continues the runs of the old one, or names the reason why not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from justpipe_actors import Ask, EventType, Pipe, Supervisor
from justpipe_actors.errors import RunStuck
from justpipe_actors.journals import MemoryJournal
from justpipe_actors.outcomes import PipelineTerminalStatus

from .crash_model import CopyingJournal, journal_of, run_events


SUCCESS = PipelineTerminalStatus.SUCCESS
AnyPipe = Pipe[Any, Any]


@dataclass
class Old:
    names: str = ""
    done: list[str] = field(default_factory=list)


@dataclass
class New:
    names: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)


def chain(state_type: Any, *steps: str, **options: Any) -> AnyPipe:
    """Return a chain of steps that note their names."""
    pipe: AnyPipe = Pipe(state_type, name="chain", **options)

    def make(name: str) -> Any:
        async def func(state: Any) -> None:
            state.done.append(name)

        return func

    for name, following in zip(steps, [*steps[1:], None], strict=True):
        pipe.step(name, to=following)(make(name))
    return pipe


async def begun(pipe: AnyPipe, state: Any, commit: int = 1) -> CopyingJournal:
    """Return the journal of a run whose process died after a commit."""
    journal = CopyingJournal()
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.submit(pipe, state, run_id="run")
        await run.wait()
    return journal_of(journal.copies[commit])


async def go_on(pipe: AnyPipe, journal: MemoryJournal) -> Any:
    """Continue the run with another version, and return its stream at its end."""
    with anyio.fail_after(30):
        async with Supervisor(pipe, journal=journal) as supervisor:
            run = await supervisor.find("run")
            assert run is not None
            assert (await run.wait()).status is SUCCESS
            return run


def recovered(run: Any) -> dict[str, Any]:
    """Return the payload of RECOVERED."""
    (event,) = [one for one in run_events(run) if one.type is EventType.RECOVERED]
    assert isinstance(event.payload, dict)
    return event.payload


async def test_a_version_with_more_steps_goes_on() -> None:
    """RECOVERED says that the version differs."""
    journal = await begun(chain(Old, "one", "two"), Old())
    run = await go_on(chain(Old, "one", "two", "three"), journal)
    assert recovered(run)["version_changed"] is True

    journal = await begun(chain(Old, "one", "two"), Old())
    run = await go_on(chain(Old, "one", "two"), journal)
    assert recovered(run)["version_changed"] is False


async def test_a_missing_step_is_named_with_its_messages() -> None:
    """The run is stuck and keeps its state; the old version continues it."""
    journal = await begun(chain(Old, "one", "two"), Old())
    with anyio.fail_after(30):
        async with Supervisor(chain(Old, "one", "deux"), journal=journal) as supervisor:
            run = await supervisor.find("run")
            assert run is not None
            with pytest.raises(RunStuck) as caught:
                await run.wait()
            await supervisor.redrive("run")
    text = str(caught.value)
    assert "pipe 'chain' has changed: step 'two' is gone" in text
    assert "1 message waits for it" in text
    assert "redrive" in text
    await go_on(chain(Old, "one", "two"), journal)


async def test_a_missing_step_after_an_ask_is_named() -> None:
    """No message waits for the step yet."""

    def asking(target: str) -> AnyPipe:
        pipe: AnyPipe = Pipe(dict, name="asking")

        @pipe.step("draft")
        async def draft(state: Any) -> Any:
            return Ask(bool, "Go on?", to=target)

        pipe.step(target)(decide)
        return pipe

    async def decide(state: Any, ok: bool) -> None:
        state["ok"] = ok

    journal, pipe = MemoryJournal(), asking("decide")
    with anyio.fail_after(30):
        async with Supervisor(pipe, journal=journal) as supervisor:
            await supervisor.submit(pipe, {}, run_id="run")
            while not await supervisor.asks():  # noqa: ASYNC110
                await anyio.sleep(0.01)
        async with Supervisor(asking("judge"), journal=journal) as supervisor:
            journal.answer("run:draft:ask", "true")
            run = await supervisor.find("run")
            assert run is not None
            with pytest.raises(RunStuck, match="step 'decide' is gone, and 1 question"):
                await run.wait()


async def test_a_child_pipe_that_changed_is_compared_too() -> None:
    """The error names the step that runs it."""

    def nested(inner_step: str) -> AnyPipe:
        child: AnyPipe = Pipe(dict, name="child")

        @child.step("begin", to=inner_step)
        async def begin(state: Any) -> None:
            state["begin"] = True

        @child.step(inner_step)
        async def inner(state: Any) -> None:
            state["inner"] = True

        pipe: AnyPipe = Pipe(dict, name="parent")

        @pipe.sub("sub", child)
        async def sub(state: Any) -> Any:
            return {"own": True}

        return pipe

    journal = CopyingJournal()
    pipe = nested("work")
    async with Supervisor(pipe, journal=journal) as supervisor:
        await (await supervisor.submit(pipe, {}, run_id="run")).wait()
    copy = next(
        copy
        for copy in journal.copies
        if any("work" in one.delta for one in _rows(journal_of(copy)))
    )
    with anyio.fail_after(30):
        async with Supervisor(nested("labour"), journal=journal_of(copy)) as supervisor:
            run = await supervisor.find("run")
            assert run is not None
            with pytest.raises(
                RunStuck, match=r"step 'sub' runs a pipe .* step 'work'"
            ):
                await run.wait()


async def test_a_state_of_another_form_is_migrated_once() -> None:
    """The function gets the stored state and its version; the new form is stored."""
    journal = await begun(chain(Old, "one", "two", "three"), Old(names="a,b"))
    given: list[Any] = []

    def migrate(state: Any, version: str) -> Any:
        given.append((state["names"], version))
        return {**state, "names": state["names"].split(",")}

    def new() -> AnyPipe:
        return chain(New, "one", "two", "three", migrate=migrate)

    with anyio.fail_after(30):
        async with Supervisor(
            chain(New, "one", "two", "three"), journal=journal
        ) as supervisor:
            run = await supervisor.find("run")
            assert run is not None
            with pytest.raises(RunStuck, match="migrate="):
                await run.wait()
            await supervisor.redrive("run")
    run = await go_on(new(), journal)
    row = journal.find("run")
    assert row is not None
    assert set(given) == {("a,b", row.fingerprint)}
    state = json.loads(journal.commits(row.id)[-1].state or "null")
    assert state is None or "a,b" not in str(state)

    given.clear()
    again = journal_of(journal.copies[-2])
    await go_on(new(), again)
    assert given == []


async def test_a_migration_that_fails_makes_the_run_stuck() -> None:
    """The problem has its error."""

    def migrate(state: Any, version: str) -> Any:
        raise KeyError("names")

    journal = await begun(chain(Old, "one", "two"), Old())
    pipe = chain(New, "one", "two", migrate=migrate)
    with anyio.fail_after(30):
        async with Supervisor(pipe, journal=journal) as supervisor:
            run = await supervisor.find("run")
            assert run is not None
            with pytest.raises(RunStuck, match="migrate= of pipe 'chain' raised KeyE"):
                await run.wait()


def _rows(journal: MemoryJournal) -> list[Any]:
    row = journal.find("run")
    assert row is not None
    return journal.commits(row.id)
