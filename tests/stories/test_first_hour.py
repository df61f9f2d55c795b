"""Messages for the first mistakes of new users."""

from __future__ import annotations

import gc
import logging
import time
import warnings
from typing import Any

import pytest

from justpipe_actors import Pipe
from justpipe_actors.errors import IgnoredValueWarning


AnyPipe = Pipe[Any, Any]


async def test_a_run_that_is_never_begun_is_warned_about() -> None:
    """A forgotten ``await`` or loop gives a warning."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a")(lambda state: None)

    with pytest.warns(RuntimeWarning, match="never begun"):
        pipe.run({})
        gc.collect()


async def test_a_synchronous_step_that_blocks_the_loop_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log names the step and the remedy, once in a run."""
    pipe: AnyPipe = Pipe(dict)
    pipe.map("each", each="block")(lambda state: [1, 2])
    pipe.step("block")(lambda item: time.sleep(1.01))

    with caplog.at_level(logging.WARNING):
        await pipe.run({}).wait()

    (record,) = [r for r in caplog.records if "held the event loop" in r.getMessage()]
    assert "Step 'block'" in record.getMessage()
    assert "placement='thread'" in record.getMessage()


async def test_an_ignored_value_is_warned_about_at_the_users_line() -> None:
    """The warning points to the step and comes once, not for every item."""
    pipe: AnyPipe = Pipe(dict)
    pipe.map("each", each="square")(lambda state: range(5))

    @pipe.step
    def square(item: int) -> int:
        return item * item

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        await pipe.run({}).wait()

    (warning,) = [w for w in caught if w.category is IgnoredValueWarning]
    assert warning.filename == __file__
