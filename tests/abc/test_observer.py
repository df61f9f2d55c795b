"""The optional hooks of an observer: ``witness``, ``wake_after`` and ``on_wake``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from justpipe_actors import Event, EventType, Pipe
from justpipe_actors.observability import Observer, ObserverMeta


class Witness(Observer):
    """Notes the state at each STEP_END, in ``witness`` and in ``on_event``."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.told: list[tuple[str, int]] = []

    def witness(self, state: Any, meta: ObserverMeta, event: Event) -> None:
        """Note the state now, then raise an error."""
        if event.type is EventType.STEP_END:
            self.seen.append((event.stage, state["n"]))
            raise ValueError("stumble")

    async def on_event(
        self, state: Any, context: Any, meta: ObserverMeta, event: Event
    ) -> None:
        """Note the state that the observer's own task finds."""
        if event.type is EventType.STEP_END:
            self.told.append((event.stage, state["n"]))


class Sleeper(Observer):
    """Asks to be woken after some seconds without an event."""

    def __init__(self, patience: float | None) -> None:
        self.patience = patience
        self.woken: list[float] = []

    def wake_after(self, meta: ObserverMeta) -> float | None:
        """Return the seconds; a negative number is refused."""
        if self.patience is not None and self.patience < 0:
            raise ValueError("no patience")
        return self.patience

    async def on_wake(self, state: Any, context: Any, meta: ObserverMeta) -> None:
        """Note the time, and which joins wait."""
        self.woken.append(anyio.current_time())


async def test_witness_sees_the_state_at_its_event() -> None:
    """``witness`` is called before the next step runs; an error that it raises ends nothing."""
    pipe: Pipe[Any, Any] = Pipe(None)

    def bump(state: Any) -> None:
        state["n"] += 1

    for name, to in (("a", "b"), ("b", "c"), ("c", None)):
        pipe.step(name, to=to)(bump)
    witness = Witness()
    pipe.add_observer(witness)
    async with pipe.run({"n": 0}) as run:
        await run.wait()

    assert witness.seen == [("a", 1), ("b", 2), ("c", 3)]
    assert [stage for stage, _ in witness.told] == ["a", "b", "c"]


async def test_witness_sets_context_variables_of_a_step() -> None:
    """What it sets at STEP_START is seen by that invocation and its children, and by no
    others.
    """

    class Binder(Observer):
        def witness(self, state: Any, meta: ObserverMeta, event: Event) -> None:
            if event.type is EventType.STEP_START:
                bound.set(f"{bound.get()}/{event.stage}")

    seen: list[str] = []
    bound: ContextVar[str] = ContextVar("bound", default="")
    child: Pipe[Any, Any] = Pipe(None, name="child")

    async def note(state: Any) -> AsyncIterator[str]:
        yield "token"
        seen.append(bound.get())

    def fail(state: Any) -> None:
        raise ValueError("boom")

    child.step("x", to="y")(note)
    child.step("y")(note)
    pipe: Pipe[Any, Any] = Pipe(None)
    pipe.sub("s", child, to="b")(lambda state: state)
    pipe.step("b", on_error=lambda: seen.append(bound.get()))(fail)
    pipe.add_observer(Binder())
    async with pipe.run({}) as run:
        await run.wait()

    assert seen == ["/s/s:x", "/s/s:y", "/b"]
    assert bound.get() == ""


@pytest.mark.virtual_time
async def test_an_observer_is_woken_when_no_event_comes() -> None:
    """An observer that asks for it is woken after every ten seconds without an event."""
    pipe: Pipe[Any, Any] = Pipe(None)

    async def slow(state: Any) -> None:
        await anyio.sleep(35)

    pipe.step("a")(slow)
    patient, never, wrong = Sleeper(10), Sleeper(None), Sleeper(-1)
    for observer in (patient, never, wrong):
        pipe.add_observer(observer)
    began = anyio.current_time()
    async with pipe.run({}) as run:
        await run.wait()

    assert [at - began for at in patient.woken] == pytest.approx([10, 20, 30])
    assert (never.woken, wrong.woken) == ([], [])


@pytest.mark.virtual_time
async def test_the_waiting_joins_of_a_run_are_listed() -> None:
    """``meta.waiting()`` names every join that waits, also those without a timeout."""
    pipe: Pipe[Any, Any] = Pipe(None, allow_multi_root=True)
    asked: list[object] = []

    class Asker(Sleeper):
        async def on_wake(self, state: Any, context: Any, meta: ObserverMeta) -> None:
            asked.append([(j.step, j.parents, j.missing) for j in meta.waiting()])
            self.patience = None

    async def slow(state: Any) -> None:
        await anyio.sleep(60)

    pipe.step("a", to="join")(lambda state: None)
    pipe.step("b", to="join")(slow)
    pipe.step("join")(lambda state: None)
    pipe.add_observer(Asker(10))
    async with pipe.run({}) as run:
        await run.wait()

    assert asked == [[("join", ("a", "b"), ("b",))]]
