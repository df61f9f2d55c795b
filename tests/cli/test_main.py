"""What the group of commands says about a command that is not there."""

from __future__ import annotations

import pytest

from justpipe_actors.cli.main import main


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("rnu", "run"), ("pipeline", "pipelines"), ("eksport", "export")],
)
def test_a_misspelt_command_is_named_with_the_one_that_was_meant(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends with 2, and the remedy is in the message, once."""
    assert main([typed]) == 2
    assert capsys.readouterr().err.count(f"Did you mean '{meant}'?") == 1


def test_a_command_like_no_other_is_only_unknown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing is guessed."""
    assert main(["xyzzy"]) == 2
    assert "Did you mean" not in capsys.readouterr().err
