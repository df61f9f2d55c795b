"""Why runs are cancelled when a supervisor is left by an error."""

from __future__ import annotations

from justpipe_actors._supervisor.core import cancel_reason


def test_runs_hear_why_they_are_cancelled() -> None:
    """The reason names the body's error, or that somebody cancelled the block."""
    assert "failed with RuntimeError" in cancel_reason(RuntimeError())
    assert cancel_reason(KeyboardInterrupt()) == "The supervisor was cancelled"
