"""The reason that runs get when a supervisor is left by an error."""

from __future__ import annotations

from justpipe_actors._supervisor.core import cancel_reason


def test_runs_get_the_reason_of_their_cancellation() -> None:
    """The reason names the error of the body, or says that the block was cancelled."""
    assert "failed with RuntimeError" in cancel_reason(RuntimeError())
    assert cancel_reason(KeyboardInterrupt()) == "The supervisor was cancelled"
