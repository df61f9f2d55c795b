"""Pipes with several entry points in a supervisor."""

from __future__ import annotations

from typing import Any

import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.errors import DefinitionError


async def test_a_pipe_with_two_roots_needs_start_for_each_run() -> None:
    """The supervisor accepts it; a run without ``start`` is refused."""
    pipe: Pipe[Any, Any] = Pipe(list, name="two roots")
    pipe.step("ingest")(lambda state: state.append("ingest"))
    pipe.step("report")(lambda state: state.append("report"))
    state: list[str] = []
    async with Supervisor(pipe) as supervisor:
        await supervisor.run(pipe, state, start="report").wait()
        await supervisor.run("two roots", state, start="ingest").wait()
        with pytest.raises(DefinitionError, match="Multiple root steps detected"):
            await supervisor.run(pipe, state).wait()
    assert state == ["report", "ingest"]
