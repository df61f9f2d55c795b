"""``dashboard``: it serves until a signal comes, and checks its arguments before."""

from __future__ import annotations

import json
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from justpipe_actors.cli.main import main
from justpipe_actors.dashboard.serving import bind

from ..programs import started


PROGRAM = [sys.executable, "-m", "justpipe_actors", "dashboard", "--no-open"]


def ask(address: str, token: str | None = None) -> tuple[int, bytes]:
    """Send one request; return status and body."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.slow
def test_it_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    """It prints its address; Ctrl-C ends it without an error."""
    with started([*PROGRAM, "--port", "0", "--storage", str(tmp_path)]) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[4]
        status, body = ask(f"{address}api/meta")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0

    assert status == 200
    assert json.loads(body)["storage"] == str(tmp_path)
    assert json.loads(body)["read_only"] is True


@pytest.mark.slow
def test_actions_need_the_token_that_is_printed(tmp_path: Path) -> None:
    """The printed address has it; without it no data can be read."""
    line = [
        *PROGRAM,
        "--port",
        "0",
        "--storage",
        str(tmp_path),
        "--allow-actions",
        "cleanup",
    ]
    with started(line) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[4]
        base, _, token = address.partition("login#")
        without, _ = ask(f"{base}api/meta")
        status, body = ask(f"{base}api/meta", token)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0

    assert (without, status) == (401, 200)
    assert json.loads(body)["actions"] == ["cleanup"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--allow-actions", "explode"], 2, "There is no action 'explode'"),
        (["--token-file", "EMPTY"], 2, "is empty: write a token into it"),
        (["--port", "TAKEN"], 1, "Cannot listen at 127.0.0.1"),
        (["--port", "70000"], 2, "70000"),
        (["--journal", "nowhere.db"], 1, "There is no journal nowhere.db"),
    ],
)
def test_wrong_arguments_are_reported_before_anything_is_served(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    words: str,
) -> None:
    """The message is on standard error, with a status of its own."""
    empty = tmp_path / "token.txt"
    empty.touch()
    with bind("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        given = [
            {"EMPTY": str(empty), "TAKEN": port}.get(word, word) for word in arguments
        ]
        line = ["dashboard", "--no-open", "--storage", str(tmp_path), *given]

        assert main(line) == status

    assert words in capsys.readouterr().err


def test_without_the_extra_it_names_the_command_that_installs_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """This is one sentence."""
    for name in [*sys.modules]:
        if "dashboard" in name or name.startswith("starlette"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette", None)

    assert main(["dashboard", "--no-open", "--storage", str(tmp_path)]) == 1
    assert "pip install 'justpipe_actors[dashboard]'" in capsys.readouterr().err
