"""Every wrong input of a command is reported in a sentence, without a traceback."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Store


Command = Callable[..., tuple[int, str, str]]

PIPE = f"{Path(__file__).parent / 'runnable.py'}:counting"
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "state",
    [DEEP, "9" * 5000, "NaN", "[Infinity]", '"\\ud800"', "@~nosuchuser/x", "@\0", "{"],
    ids=["deep", "digits", "nan", "infinity", "surrogate", "home", "null", "open"],
)
def test_invalid_json_is_refused(state: str, command: Command) -> None:
    """The message names the option, and the status is 2."""
    status, out, err = command("run", PIPE, "--state", state)
    assert (status, out) == (2, "")
    assert err.startswith("Error: --state: ")
    assert "Traceback" not in err


@pytest.mark.parametrize("number", ["NaN", "inf", "9" * 400])
@pytest.mark.parametrize(
    "arguments", [("run", PIPE, "--timeout"), ("cleanup", "--older-than")]
)
def test_a_time_is_a_finite_number(
    arguments: tuple[str, ...], number: str, command: Command
) -> None:
    """The option is named, the status is 2."""
    status, out, err = command(*arguments, number)
    assert (status, out) == (2, "")
    assert f"'{arguments[-1]}'" in err
    assert "no finite number" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "last~" + "9" * 5000),
        ("show", "9" * 5000),
        ("show", "\udcff"),
        ("show", "x\x1b[2J"),
        ("list", "--search", "\udcff"),
        ("list", "-n", "9" * 30),
        ("list", "--storage", "~nosuchuser"),
        ("list", "--storage", "x\0y"),
        ("cleanup", "--older-than", "1e300"),
        ("cleanup", "--older-than", "999999999", "--dry-run"),
        ("cleanup", "--keep", "9" * 30, "--dry-run"),
        ("stats", "--days", "9" * 30),
        ("no\x1b[31mcommand",),
        ("run", "no\x1b[31mfile.py"),
    ],
    ids=lambda arguments: ascii(" ".join(arguments))[:30],
)
def test_invalid_arguments_give_no_traceback(
    arguments: tuple[str, ...], store: Store, command: Command
) -> None:
    """No exception is raised, and no control character reaches the terminal."""
    store.run(store.pipeline("aa", "one"), "good")
    status, out, err = command(*arguments)
    assert status in (0, 1, 2)
    assert "Traceback" not in err
    assert "\x1b" not in out + err


def test_an_unusable_home_is_reported_in_a_sentence(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This holds for $HOME and for the variable of the storage root."""
    monkeypatch.setenv("JUSTPIPE_ACTORS_STORAGE_PATH", "~nosuchuser/x")
    status, _, err = command("list")
    assert status == 1
    assert "there is no such user" in err


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_raise_nothing(closed: str, tmp_path: Path) -> None:
    """A program may be started without them."""
    line = f'exec "{sys.executable}" -m justpipe_actors list --storage . {closed}'
    done = subprocess.run(
        ["/bin/sh", "-c", line], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


DAMAGES: dict[str, str] = {
    "a column's type": "UPDATE runs SET duration_s = 'long'",
    "a moment": "UPDATE runs SET start_time = 1e300",
    "a blob": "UPDATE runs SET error_message = x'00ff'",
    "nesting": f"UPDATE runs SET run_meta = '{DEEP}'",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["list", "pipelines", "stats", "cleanup"])
def test_a_damaged_store_hides_no_other(
    damage: str, name: str, store: Store, command: Command
) -> None:
    """The run of another pipeline is listed."""
    store.run(store.pipeline("aa", "broken"), "bad")
    store.run(store.pipeline("bb", "whole"), "good")
    with sqlite3.connect(store.root / "aa" / "runs.db") as connection:
        connection.execute(DAMAGES[damage])
    connection.close()
    extra = ("--keep", "0", "--dry-run") if name == "cleanup" else ()
    status, out, _ = command(name, *extra)
    assert status == 0
    assert "good" in out or "whole" in out or "Total Runs" in out


def test_a_schema_that_is_no_text_hides_no_other(
    store: Store, command: Command
) -> None:
    """This holds also when SQLite itself cannot read the schema."""
    store.run(store.pipeline("aa", "broken"), "bad")
    store.run(store.pipeline("bb", "whole"), "good")
    with sqlite3.connect(store.root / "aa" / "runs.db") as connection:
        connection.execute("PRAGMA writable_schema = 1")
        connection.execute(
            "UPDATE sqlite_master SET sql = CAST(x'ff' AS TEXT) WHERE name = 'runs'"
        )
    connection.close()
    status, out, _ = command("list")
    assert (status, "good" in out, "bad" in out) == (0, True, False)
    assert command("show", "good")[0] == 0


# -- files


def exported(store: Store, run_id: str = "good") -> None:
    """Store a run."""
    store.run(store.pipeline("aa", "one"), run_id)


def test_an_export_is_private_and_its_name_is_safe(
    store: Store, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run id with a path in it leads to no other folder."""
    monkeypatch.chdir(tmp_path)
    exported(store, "../../evil")
    assert command("export", "last")[0] == 0
    (file,) = tmp_path.glob("run_*.json")
    assert file.name == "run_______ev.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["run"]["id"] == "../../evil"


def test_a_dangling_symlink_is_not_followed(
    store: Store, command: Command, tmp_path: Path
) -> None:
    """Another user may have made it."""
    exported(store)
    link = tmp_path / "out.json"
    link.symlink_to(tmp_path / "elsewhere.json")
    status, _, err = command("export", "good", "-o", str(link))
    assert status == 1
    assert "symlink" in err
    assert not (tmp_path / "elsewhere.json").exists()


def test_a_file_is_replaced_only_as_a_whole(
    store: Store, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full the old file is unchanged, and there is no other."""
    exported(store)
    file = tmp_path / "out.json"
    file.write_text("old")

    def no_space(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", no_space)
    status, _, err = command("export", "good", "-o", str(file))
    assert (status, "No space left" in err) == (1, True)
    assert file.read_text() == "old"
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]


def test_a_format_that_cannot_be_drawn_is_refused(
    command: Command, tmp_path: Path
) -> None:
    """A .png file with text in it would be useless."""
    status, _, err = command("graph", PIPE, "-o", str(tmp_path / "x.png"))
    assert status == 2
    assert "Name a .svg, .mmd or .json file" in err
    assert not (tmp_path / "x.png").exists()
    assert command("graph", PIPE, "-o", str(tmp_path / "x.svg"))[0] == 0


def test_an_unexpected_error_is_a_sentence_and_a_traceback_on_demand(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option of the program shows the traceback."""
    from justpipe_actors.storage.registry import PipelineRegistry

    def fail(*_: Any, **__: Any) -> None:
        raise LookupError("odd")

    monkeypatch.setattr(PipelineRegistry, "query_runs", fail)
    status, _, err = command("list")
    assert (status, "LookupError: odd" in err, "Traceback" in err) == (1, True, False)
    status, _, err = command("--traceback", "list")
    assert (status, "Traceback (most recent call last)" in err) == (1, True)
