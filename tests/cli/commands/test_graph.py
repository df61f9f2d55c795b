"""``graph``: a drawing on standard output, or in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from justpipe_actors.cli.main import main


TARGET = f"{Path(__file__).parents[1] / 'runnable.py'}:counting"

Captured = pytest.CaptureFixture[str]


def test_mermaid_goes_to_standard_output(capsys: Captured) -> None:
    """Without options the drawing is Mermaid text on standard output."""
    assert main(["graph", TARGET, "--direction", "LR"]) == 0

    out, err = capsys.readouterr()
    assert out.startswith("graph LR\n")
    assert err == ""


@pytest.mark.parametrize(
    ("name", "beginning"),
    [("it.svg", "<svg"), ("it.json", "{"), ("it.mmd", "graph TD")],
)
def test_the_name_of_a_file_decides_its_format(
    name: str, beginning: str, tmp_path: Path, capsys: Captured
) -> None:
    """Standard output stays empty."""
    path = tmp_path / name

    assert main(["graph", TARGET, "-o", str(path)]) == 0

    assert path.read_text("utf-8").startswith(beginning)
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"written to {path}\n")


def test_the_description_is_json(capsys: Captured) -> None:
    """The format json is the result of ``describe()``."""
    main(["graph", TARGET, "--format", "json"])

    described = json.loads(capsys.readouterr().out)
    assert described["name"] == "[red]counting"
    assert set(described["nodes"]) == {"split", "count", "report"}


def test_an_unwritable_file_is_reported_in_a_sentence(
    tmp_path: Path, capsys: Captured
) -> None:
    """The status is 1, and there is one line."""
    assert main(["graph", TARGET, "-o", str(tmp_path / "no" / "it.svg")]) == 1

    err = capsys.readouterr().err
    assert "cannot be written: No such file or directory" in err
    assert err.count("\n") == 1
