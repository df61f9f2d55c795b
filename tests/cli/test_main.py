"""Unknown commands of the command line."""

from __future__ import annotations

import pytest

from justpipe_actors.cli.main import main


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("rnu", "run"), ("pipeline", "pipelines"), ("eksport", "export")],
)
def test_a_misspelt_command_gets_a_suggestion(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The status is 2, and the message has the suggestion once."""
    assert main([typed]) == 2
    assert capsys.readouterr().err.count(f"Did you mean '{meant}'?") == 1


def test_an_unknown_command_gets_no_far_suggestion(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The message only says that it is unknown."""
    assert main(["xyzzy"]) == 2
    assert "Did you mean" not in capsys.readouterr().err
