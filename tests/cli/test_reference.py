"""The reference page of the command line agrees with ``--help``."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from justpipe_actors.cli.main import COMMANDS, cli


PAGE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"

SECTIONS = dict(
    re.findall(
        r"^## `([\w-]+)`\n(.*?)(?=^## |\Z)",
        PAGE.read_text("utf-8"),
        re.MULTILINE | re.DOTALL,
    )
)


def parameters(name: str) -> list[click.Parameter]:
    """Return the parameters of a command."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command.params


def test_every_command_has_a_section() -> None:
    """The page has all commands in their order."""
    assert list(SECTIONS) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_row(name: str) -> None:
    """The table of a command has all names of all its options, and no others."""
    rows = re.findall(r"^\| (`.*?`) \|", SECTIONS[name], re.MULTILINE)
    documented = [re.findall(r"`(.*?)`", row) for row in rows]

    actual = [
        [*param.opts, *param.secondary_opts]
        if isinstance(param, click.Option)
        else [str(param.metavar).strip("[]")]
        for param in parameters(name)
    ]

    assert sorted(documented) == sorted(actual)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_choice_is_named(name: str) -> None:
    """Choices and defaults that ``--help`` shows are on the page."""
    section = SECTIONS[name] + SECTIONS["list"]
    for param in parameters(name):
        if isinstance(param.type, click.Choice):
            assert all(f"`{choice}`" in section for choice in param.type.choices)
        if isinstance(param.default, int) and not isinstance(param.default, bool):
            assert f"{param.default} by default" in SECTIONS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_complete(name: str) -> None:
    """Every command and every option has a description."""
    command = cli.get_command(click.Context(cli), name)

    assert command is not None
    assert command.help
    for param in parameters(name):
        if isinstance(param, click.Option):
            assert param.help, f"{name} {param.opts}"
