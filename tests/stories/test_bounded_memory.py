"""The memory of a run is bounded, and long chains work."""

from __future__ import annotations

from typing import Any

import pytest

from justpipe_actors import Pipe

from ..helpers import (
    SUCCESS,
    AnyPipe,
    add_idle_steps,
    end_of,
    idle_chain,
    run_pipe,
)


# -- bounds


async def test_records_of_a_run_are_bounded() -> None:
    """A thousand failures, unknown names and waiting joins leave only a few records."""
    pipe: AnyPipe = Pipe(dict, log_state=False, allow_multi_root=True)
    pipe.map("m", each="w")(lambda: iter(range(1200)))

    @pipe.step("w")
    def work(item: int) -> Any:
        if item % 3 == 0:
            raise ValueError(item)
        return f"nowhere {item}" if item % 3 == 1 else "a"

    add_idle_steps(pipe, a=["b", "c"], b=["d"])
    pipe.step("c", to="d")(lambda: 1 / 0)
    add_idle_steps(pipe, d=[])
    async with pipe.run({}, start="m") as run:
        end = await run.wait()
        run_state = run._run.run_state  # type: ignore[union-attr]

    assert len(end.errors) == 1001
    assert end.errors[-1].error == "... and 200 more failures"
    assert [(d.step, d.parents, d.count) for d in end.diagnostics] == [
        ("d", ("c",), 400)
    ]
    books = [
        run_state.waves,
        run_state.holders,
        run_state.maps,
        run_state.timers,
        run_state.active_invocations,
    ]
    assert [len(book) for book in books] == [0] * len(books)
    assert len(run_state.metrics.latency) < 10


async def test_laps_need_no_memory() -> None:
    """A run has as many waves in its thousandth lap as in its third."""
    most: list[int] = []
    pipe: AnyPipe = Pipe(dict)
    add_idle_steps(pipe, a=["b", "c"], c=["d"])

    @pipe.step("b", to="d")
    def inner(state: Any) -> Any:
        state["inner"] = state.get("inner", 0) + 1
        return "b" if state["inner"] % 5 else None

    @pipe.step("d")
    def outer(state: Any) -> Any:
        state["outer"] = state.get("outer", 0) + 1
        most.append(len(state["run"]._run.run_state.waves))
        return "a" if state["outer"] < 200 else None

    state: dict[str, Any] = {}
    async with pipe.run(state) as run:
        state["run"] = run
        assert (await run.wait()).status is SUCCESS
    state.clear()
    assert len(most) == 200
    assert max(most) == max(most[:3]) <= 3


# -- long chains


async def test_a_long_chain_is_validated_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twelve hundred steps in a row need no recursion, and a second run is not validated."""
    asked: list[object] = []
    pipe = idle_chain(*(f"s{number}" for number in range(1200)))
    assert end_of(await run_pipe(pipe)).status is SUCCESS
    monkeypatch.setattr(pipe, "validate", lambda **kwargs: asked.append(kwargs))
    assert end_of(await run_pipe(pipe)).status is SUCCESS
    assert asked == []
