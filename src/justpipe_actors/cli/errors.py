"""Errors of commands, their exit statuses, and the handling of a closed output."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable

import click


EXIT_FAILED = 1
"""The input was valid, but the command failed."""

EXIT_INVALID_INPUT = 2
"""The input is wrong, and the message says how to correct it."""

EXIT_SIGNAL_BASE = 128
"""Ended by a signal; the exit status is this plus the signal number."""

EXIT_INTERRUPTED = 130
"""Ended by Ctrl-C."""

EXIT_BROKEN_PIPE = 141
"""The reader of the output has closed it."""


class InvalidInput(click.ClickException):
    """The input is wrong; exit status 2."""

    exit_code = EXIT_INVALID_INPUT


class CommandFailed(click.ClickException):
    """The input was right and it did not work; exit status 1."""

    exit_code = EXIT_FAILED


class InvalidTarget(InvalidInput):
    """The target of a command has no pipe."""

    def __init__(self, target: str, problem: str, remedy: str) -> None:
        super().__init__(f"{target}: {problem}. {remedy}")
        self.target = target
        self.problem = problem
        self.remedy = remedy


class InvalidValue(InvalidInput):
    """A JSON value cannot be converted to the type that the pipe expects."""

    def __init__(self, option: str, problems: Iterable[str], remedy: str) -> None:
        self.option = option
        self.problems: tuple[str, ...] = tuple(problems)
        self.remedy = remedy
        problem_text = (
            f" {self.problems[0]}"
            if len(self.problems) == 1
            else "".join(f"\n  - {problem}" for problem in self.problems)
        )
        super().__init__(f"{option}:{problem_text}\n{remedy}")


def suggestion(name: str, choices: Iterable[str]) -> str:
    """Return a suggestion for a misspelled name, or an empty text."""
    matches = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.6)
    return f" Did you mean {matches[0]!r}?" if matches else ""


def discard_output() -> None:
    """Discard buffered output, because flushing it at exit would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
