"""``run`` as a program: its output and its exit status."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from justpipe_actors.cli.main import main

from ...programs import code, started
from ..conftest import Store


RUNNABLE = Path(__file__).parents[1] / "runnable.py"
EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "survey" / "pipeline.py"


def target(name: str) -> str:
    """Return the argument for one of the pipes."""
    return f"{RUNNABLE}:{name}"


INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from justpipe_actors.__main__ import (main)
main()
"""
"""Whoever runs the tests may have Ctrl-C ignored, and children inherit that."""


def program(*arguments: str) -> list[str]:
    """Return the command line as a program of its own."""
    return code(INTERRUPTIBLE, *arguments)


def step_ends(text: str) -> list[dict[str, Any]]:
    """Return the events of one type from lines of JSON."""
    events = map(json.loads, text.splitlines())
    return [event for event in events if event["type"] == "step_end"]


Command = Callable[..., tuple[int, str, str]]
Captured = pytest.CaptureFixture[str]

# -- what is written


def test_events_are_lines_of_json(backend: str, capsys: Captured) -> None:
    """Without a terminal every event is a line, numbered from 1, and FINISH is the last."""
    state = '{"words": ["ada", "grace"]}'

    status = main(["run", target("counting"), "--state", state, "--backend", backend])

    out, err = capsys.readouterr()
    events = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "start"
    assert events[-1]["payload"]["status"] == "success"
    assert [e["payload"] for e in events if e["type"] == "token"] == [
        "in all ",
        "8\n",
        {"words": ["ada", "grace"]},
    ]
    assert "counted ada" in err, "what steps print does not come between the events"


def test_the_state_is_left_out_by_default(capsys: Captured) -> None:
    """A state that grows with the run is not written again with every step."""
    arguments = ["run", target("counting"), "--state", '{"words": ["ada"]}', "--json"]

    main(arguments)
    without = capsys.readouterr().out
    main([*arguments, "--with-state"])
    having = capsys.readouterr().out

    assert [end["payload"] for end in step_ends(without)] == [None, None, None]
    assert step_ends(having)[-1]["payload"] == {"words": ["ada"], "lengths": [3]}


def test_text_is_what_the_run_streams(backend: str, capsys: Captured) -> None:
    """With --text tokens go to standard output unchanged, progress goes to standard error."""
    state = '{"words": ["ada", "grace"]}'

    status = main(
        ["run", target("counting"), "--state", state, "--text", "--backend", backend]
    )

    out, err = capsys.readouterr()
    assert status == 0
    assert out.endswith('in all 8\n{"words": ["ada", "grace"]}\n')
    assert "split: done in" in err
    assert "2 of 2 items" in err
    assert re.search(r"success in \S+, 4 invocations, 3 tokens", err)


def test_the_state_can_be_shown_as_text(capsys: Captured) -> None:
    """With --text --with-state the last line is the state as JSON."""
    main(
        [
            "run",
            target("counting"),
            "--state",
            '{"words": []}',
            "--text",
            "--with-state",
        ]
    )

    out = capsys.readouterr().out
    assert json.loads(out.splitlines()[-1]) == {"words": [], "lengths": []}


def test_the_survey_runs(backend: str, tmp_path: Path, capsys: Captured) -> None:
    """The example runs by its file: relative imports work, and the state's class is filled."""
    (tmp_path / "one.py").write_text("import json\n")
    state = json.dumps({"root": str(tmp_path)})

    status = main(
        ["run", f"{EXAMPLE}:pipe", "--state", state, "--text", "--backend", backend]
    )

    assert status == 0
    assert capsys.readouterr().out.startswith("Survey of ")


# -- what is stored


@pytest.mark.parametrize("name", ["counting", "failing"])
def test_a_run_is_stored_on_request(
    name: str, backend: str, store: Store, command: Command
) -> None:
    """With --persist a run is stored, and the output names the command that shows it."""
    arguments = ["run", target(name), "--persist", "--text", "--backend", backend]

    status, _, err = command(*arguments)

    (found,) = json.loads(command("list", "--json")[1])
    assert found["status"] == ("failed" if status else "success")
    assert (
        f"stored; look at it with: justpipe-actors show {found['run_id'][:8]}\n" in err
    )


def test_a_run_is_stored_elsewhere(
    store: Store, command: Command, tmp_path: Path
) -> None:
    """With --storage only this run is stored there."""
    elsewhere = str(tmp_path / "elsewhere")

    _, _, err = command("run", target("counting"), "--storage", elsewhere, "--text")
    command("run", target("counting"), "--text")

    assert len(json.loads(command("list", "--json", "--storage", elsewhere)[1])) == 1
    assert err.endswith(f" --storage {elsewhere}\n")
    assert not store.root.exists()


def test_a_store_that_cannot_be_opened_gives_a_warning(
    store: Store, command: Command, tmp_path: Path
) -> None:
    """The run goes on."""
    (tmp_path / "file").write_text("")

    status, out, err = command(
        "run", target("counting"), "--storage", str(tmp_path / "file"), "--text"
    )

    assert status == 0
    assert "in all 0" in out
    assert f"not stored in {tmp_path / 'file'}" in err


# -- how it ends


def test_a_failure_names_step_and_error(backend: str, capsys: Captured) -> None:
    """A failed run has status 1; the step, the error and its line are named once."""
    status = main(["run", target("failing"), "--text", "--backend", backend])

    err = capsys.readouterr().err
    assert status == 1
    assert "in step refuse: ValueError: no 1" in err
    assert f"at {RUNNABLE}:" in err
    assert "in refuse[0], for the item 1\n" in err
    assert "also in refuse: no 2 (refuse[1])" in err
    assert "\x1b" not in err, "an error's text cannot move the cursor"
    assert "Step 'refuse' failed with" not in err, "the log does not say it again"


def test_a_failure_is_text_beside_json(capsys: Captured) -> None:
    """A reader of the JSON gets the failure as text on standard error, too."""
    status = main(["run", target("failing"), "--json"])

    out, err = capsys.readouterr()
    assert status == 1
    assert json.loads(out.splitlines()[-1])["payload"]["failed_step"] == "refuse"
    assert "failed after" in err


def test_a_timeout_is_no_success(backend: str, capsys: Captured) -> None:
    """A run that reaches --timeout has status 1 and says so."""
    arguments = ["run", target("waiting"), "--text", "--timeout", "0.01"]

    status = main([*arguments, "--backend", backend])

    assert status == 1
    assert "timed out after" in capsys.readouterr().err


def test_a_suspended_run_names_its_reason(capsys: Captured) -> None:
    """It has status 0."""
    status = main(["run", target("asking"), "--text"])

    assert status == 0
    assert "suspended after" in capsys.readouterr().err


def test_a_step_that_exits_ends_its_run_only(backend: str, command: Command) -> None:
    """A step that raises SystemExit fails the run, and the program reports it."""
    status, _, err = command("run", target("leaving"), "--text", "--backend", backend)

    assert status == 1
    assert "Step 'leave' ended the run with SystemExit" in err


# -- wrong input

WRONG = {
    "no such file": (["nowhere/pipe.py:x"], "there is no file nowhere/pipe.py"),
    "no such module": (["no_such.module:x"], "there is no module 'no_such'"),
    "no such pipe": ([target("countings")], "Did you mean 'counting'?"),
    "no pipe at all": (["json:loads"], "is a function and not a Pipe"),
    "many pipes": ([str(RUNNABLE)], "has several pipes. Its pipes: asking, counting"),
    "miswired": ([target("miswired")], "targets unknown step 'nowhere'"),
    "no such start": ([target("counting"), "--start", "x"], "unknown step 'x'"),
    "no JSON": ([target("needy"), "--state", "{"], "not JSON: Expecting property"),
    "no such field": (
        [target("needy"), "--state", '{"names": ""}'],
        "you mean 'name'?",
    ),
    "wrong type": ([target("needy"), "--state", '{"name": 1}'], "name: expected a str"),
    "no state": ([target("needy")], "Needy needs name"),
    "no number": ([target("needy"), "--timeout", "0"], "not in the range x>0"),
    "no such loop": ([target("needy"), "--backend", "curio"], "'asyncio', 'trio'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_reported_in_a_sentence(case: str, capsys: Captured) -> None:
    """It has status 2 and a sentence on standard error, no traceback."""
    arguments, expected = WRONG[case]

    status = main(["run", *arguments])

    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert expected in err
    assert "Traceback" not in err


def test_a_module_that_fails_is_located(tmp_path: Path, capsys: Captured) -> None:
    """A module that raises while it is imported is named with its line."""
    (tmp_path / "broken_pipe.py").write_text("x = 1\nx.nothing\n")

    status = main(["run", str(tmp_path / "broken_pipe.py")])

    err = capsys.readouterr().err
    assert status == 2
    assert "AttributeError" in err
    assert "broken_pipe.py:2" in err


MISNAMED = """
from justpipe_actors import (Pipe)

pipe = Pipe(dict)


@pipe.step
async def ask(state: dict, unheard, clok): ...
"""


def test_a_refused_definition_is_located(tmp_path: Path, capsys: Captured) -> None:
    """It is named with the user's line, not with one of the library."""
    (tmp_path / "misnamed_pipe.py").write_text(MISNAMED)

    status = main(["run", str(tmp_path / "misnamed_pipe.py")])

    err = capsys.readouterr().err
    assert status == 2
    assert "unrecognized parameters: unheard, clok" in err
    assert "misnamed_pipe.py:7)" in err


def test_several_problems_are_a_list(tmp_path: Path, capsys: Captured) -> None:
    """Each problem is on a line, without the words of an exception group."""
    text = MISNAMED.replace("step", "step(to=['ak', 'b'])").replace(
        ", unheard, clok", ""
    )
    (tmp_path / "twice_wrong_pipe.py").write_text(text)

    status = main(["run", str(tmp_path / "twice_wrong_pipe.py")])

    err = capsys.readouterr().err
    assert status == 2
    assert err.count("\n  - ") >= 2
    assert "sub-exception" not in err


def test_a_taken_module_name_is_refused(tmp_path: Path, capsys: Captured) -> None:
    """A file whose name belongs to another module is not confused with it."""
    (tmp_path / "json.py").write_text("")

    status = main(["run", str(tmp_path / "json.py")])

    assert status == 2
    assert "its name, json, is taken by" in capsys.readouterr().err


# -- signals


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX here")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run(backend: str, signum: signal.Signals) -> None:
    """After the first signal steps clean up, FINISH is published, and nothing is left."""
    line = program("run", target("waiting"), "--json", "--backend", backend)
    with started(line) as process:
        assert process.stdout is not None
        events = []
        for text in process.stdout:
            events.append(json.loads(text))
            if events[-1]["type"] == "token":
                process.send_signal(signum)
        _, errors = process.communicate()

    assert process.returncode == 128 + signum
    assert events[-1]["payload"]["status"] == "cancelled"
    assert "cleaned up" in errors
    assert "nothing of the run is left behind" in errors
    assert "Traceback" not in errors


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX here")
def test_a_step_that_blocks_the_loop_can_be_interrupted(backend: str) -> None:
    """A further Ctrl-C interrupts a step that blocks the first one."""
    line = program("run", target("holding"), "--text", "--backend", backend)
    with started(line) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        _, errors = process.communicate()

    # On a busy machine one more may reach an interpreter that is closing down.
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in errors


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX here")
def test_an_ignored_signal_stays_ignored() -> None:
    """A program that was started with Ctrl-C ignored, as by ``&``, does not stop for it."""
    deaf = INTERRUPTIBLE.replace("default_int_handler", "SIG_IGN")
    line = code(deaf, "run", target("waiting"), "--json")
    with started(line) as process:
        assert process.stdout is not None
        while '"token"' not in process.stdout.readline():
            continue
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.communicate()

    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_a_run_without_a_reader_ends_quietly(backend: str) -> None:
    """This happens when the process at the other end of the pipe has ended."""
    line = program("run", target("waiting"), "--json", "--backend", backend)
    with started(line) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
        status = process.wait()

    assert status == 141
    assert "Traceback" not in errors
