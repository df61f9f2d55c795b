"""How ``run`` gets its pipe and its state: factories, structs, single fields."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


Command = Callable[..., tuple[int, str, str]]

FILE = Path(__file__).parent / "factories.py"


def run(command: Command, name: str, *arguments: str) -> tuple[int, str, str]:
    """Run a pipe of the file."""
    return command("run", f"{FILE}:{name}", "--text", *arguments)


def test_a_factory_is_called(command: Command) -> None:
    """A function without parameters is called for its pipe."""
    status, out, _ = run(command, "build", "--state", '{"item": "tea"}')
    assert (status, out) == (0, "1 tea\n")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("build_for", "missing a required argument: 'name'"),
        ("build_nothing", "build_nothing() returned a NoneType and not a Pipe"),
        ("build_badly", "build_badly() raised LookupError: no such table"),
    ],
)
def test_a_factory_that_makes_no_pipe_is_refused(
    name: str, problem: str, command: Command
) -> None:
    """The message has the reason."""
    status, _, err = run(command, name)
    assert status == 2
    assert problem in err


def test_a_struct_is_filled_like_any_other_type(command: Command) -> None:
    """Types are checked, and misspelt fields are refused."""
    status, _, err = run(command, "build", "--state", '{"item": 5}')
    assert (status, "Expected `str`, got `int`" in err) == (2, True)
    status, _, err = run(command, "build", "--state", '{"item": "a", "cuont": 2}')
    assert (status, "there is no 'cuont'. Did you mean 'count'?" in err) == (2, True)


def test_fields_are_set_one_by_one(command: Command) -> None:
    """A value is JSON, or text for a field of text; ``--state`` comes first."""
    state = ("--state", '{"item": "tea", "count": 1}')
    assert run(command, "build", *state, "--set", "count=3")[1] == "3 tea\n"
    assert run(command, "build", "--set", "item=7", "--set", "count=2")[1] == "2 7\n"


@pytest.mark.parametrize(
    ("setting", "problem"),
    [("item", "'item' is no KEY=VALUE"), ("item.x.y=1", "a string has no fields")],
)
def test_an_invalid_setting_is_refused(
    setting: str, problem: str, command: Command
) -> None:
    """The message names the option."""
    state = ("--state", '{"item": "tea"}')
    status, _, err = run(command, "build", *state, "--set", setting)
    assert status == 2
    assert "--set" in err
    assert problem in err


def test_tracebacks_are_shown_on_demand(command: Command) -> None:
    """Without the option there is one sentence with the type of the exception."""
    arguments = ("build", "--set", "item=tea", "--set", "count=10")
    status, _, err = run(command, *arguments)
    assert (status, "Traceback" in err) == (1, False)
    assert "KeyError: 'missing'" in err
    err = run(command, *arguments, "--traceback")[2]
    assert "Traceback (most recent call last)" in err
    assert 'raise KeyError("missing")' in err
