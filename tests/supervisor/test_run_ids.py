"""Ids that clients choose for their runs."""

from __future__ import annotations

from typing import Any

import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.errors import InvalidRunId


def new_pipe() -> Pipe[Any, Any]:
    """Return a pipe with one step."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="ids")
    pipe.step("a")(lambda: None)
    return pipe


@pytest.mark.parametrize("run_id", ["a", "report-17", "r_1.2:3", "9" * 200])
async def test_an_id_of_plain_characters_is_accepted(run_id: str) -> None:
    """Letters, digits and ``_-.:`` are allowed, up to 200 of them."""
    pipe = new_pipe()
    async with Supervisor(pipe) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id=run_id)
        assert (await run.wait()).status.value == "success"
        assert run.run_id == run_id


@pytest.mark.parametrize(
    "run_id",
    ["", "a/b", "../x", "a b", "a\n", "x\0", "\ud800", "é", "9" * 201, 5, b"a", ("t",)],
    ids=ascii,
)
async def test_any_other_id_is_refused(run_id: Any) -> None:
    """It would not be safe as a file name, an address or an argument."""
    pipe = new_pipe()
    async with Supervisor(pipe) as supervisor:
        with pytest.raises(InvalidRunId, match="Use 1 to 200 letters, digits"):
            await supervisor.submit(pipe, {}, run_id=run_id)
        with pytest.raises(InvalidRunId):
            supervisor.submit_nowait(pipe, {}, run_id=run_id)
