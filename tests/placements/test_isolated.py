"""Steps in other processes beside steps on the loop, in both state modes."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from justpipe_actors import Pipe
from justpipe_actors.errors import StateConflict
from justpipe_actors.placements import ProcessPlacement

from . import functions
from .functions import Report


pytestmark = pytest.mark.slow

Mode = Literal["shared", "isolated"]


@pytest.fixture(scope="module")
def placement() -> ProcessPlacement:
    """Return one placement, so that the tests of one loop share started processes."""
    return ProcessPlacement(workers=2)


@pytest.mark.parametrize("mode", ["shared", "isolated"])
async def test_changes_are_merged_by_the_same_rules(
    mode: Mode, placement: ProcessPlacement
) -> None:
    """The state has all elements that two placed steps append at once, in both modes."""
    pipe = Pipe[Any, Any](Report, state_mode=mode)
    pipe.map("fan", each="note", max_concurrency=8)(lambda: range(20))
    pipe.step("note", placement=placement)(functions.append_item)
    state = Report(words=["first"])

    end = await pipe.run(state).wait()

    assert end.error is None
    assert state.words[0] == "first"
    assert sorted(state.words[1:]) == sorted(f"item {n}" for n in range(20))


@pytest.mark.parametrize("mode", ["shared", "isolated"])
async def test_a_conflict_names_the_part(
    mode: Mode, placement: ProcessPlacement
) -> None:
    """Two steps that set one number differently are a conflict, in both modes."""
    errors: list[BaseException] = []
    pipe = Pipe[Any, Any](Report, state_mode=mode)
    pipe.step("begin", to=["left", "right"])(lambda: None)
    pipe.step("left", placement=placement)(functions.count_left)
    pipe.step("right", placement=placement)(functions.count_right)
    pipe.on_error(lambda error: errors.append(error))
    state = Report()

    await pipe.run(state).wait()

    (error,) = errors
    assert isinstance(error, StateConflict)
    assert (error.part, error.step in {"left", "right"}) == ("count", True)
    assert state.count in {1, 2}


async def test_merge_functions_of_the_pipe_apply(placement: ProcessPlacement) -> None:
    """``Pipe(merge=...)`` decides how numbers of placed steps are added."""
    pipe = Pipe[Any, Any](dict, merge={"done": add})
    pipe.map("fan", each="count", max_concurrency=8)(lambda: range(10))
    pipe.step("count", placement=placement)(functions.count_done)
    state = {"done": 0}

    end = await pipe.run(state).wait()

    assert (end.error, state) == (None, {"done": 10})


def add(base: int, committed: int, changed: int) -> int:
    """Add both changes."""
    return committed + changed - base


async def test_an_isolated_failure_changes_nothing(placement: ProcessPlacement) -> None:
    """A placed step that fails leaves the state unchanged."""
    pipe = Pipe[Any, Any](Report, state_mode="isolated")
    pipe.step("work", placement=placement)(functions.change_and_fail)
    state = Report(words=["kept"])

    end = await pipe.run(state).wait()

    assert end.status.value == "failed"
    assert state.words == ["kept"]
