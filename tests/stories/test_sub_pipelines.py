"""How the end of a sub-pipeline reaches the step that runs it."""

from __future__ import annotations

from typing import Any

import pytest

from justpipe_actors import EventType, Pipe
from justpipe_actors.errors import DefinitionError


def parent(child: Any) -> Pipe[Any, Any]:
    """Return a pipe that runs another one as its only step."""
    pipe: Pipe[Any, Any] = Pipe(name="parent")

    @pipe.sub("sub", pipeline=child)
    def hand_over() -> dict[str, Any]:
        return {}

    return pipe


async def test_only_a_pipe_can_be_a_sub_pipeline() -> None:
    """Any other object fails the step, and the error names its type."""
    async with parent(object()).run(None) as run:
        (error,) = [e async for e in run if e.type is EventType.STEP_ERROR]

    assert "runs object as a sub-pipeline; pass a Pipe" in error.payload
    assert run.end is not None
    assert run.end.failed_step == "sub"


@pytest.mark.parametrize("hook", ["on_startup", "on_shutdown"])
async def test_a_failing_hook_of_a_child_fails_its_step(hook: str) -> None:
    """The failure has the phase of the hook."""
    child: Pipe[Any, Any] = Pipe(dict, name="child")
    child.step("s")(lambda: None)

    def break_down() -> None:
        raise LookupError("no database")

    getattr(child, hook)(break_down)
    async with parent(child).run(None) as run:
        end = await run.wait()

    phase = hook.removeprefix("on_")
    assert (end.status.value, end.failed_step) == ("failed", f"sub:{phase}")
    assert "no database" in str(end.error)


async def test_a_base_exception_of_a_child_ends_the_parent() -> None:
    """It is no failure of the step: it is raised from all runs."""
    child: Pipe[Any, Any] = Pipe(dict, name="child")

    @child.step
    def s() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        await parent(child).run(None).wait()


async def test_a_child_with_wrong_wiring_fails_its_step() -> None:
    """A child is validated when it runs, and its error is the step's."""
    child: Pipe[Any, Any] = Pipe(dict, name="child")
    child.step("s", to="nowhere")(lambda: None)

    async with parent(child).run(None) as run:
        end = await run.wait()

    assert end.failed_step == "sub"
    assert "unknown step 'nowhere'" in str(end.error)
    with pytest.raises(DefinitionError, match="nowhere"):
        child.validate()
