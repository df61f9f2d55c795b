"""Where a document goes that a command has made: a file, or standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from .formatting import printable
from .refusals import Failed


FuncT = TypeVar("FuncT", bound=Callable[..., Any])

STDOUT = "-"
"""The name of standard output."""


def output_option(default: str = STDOUT) -> Callable[[FuncT], FuncT]:
    """Let a command be told where to write."""
    return click.option(
        "--output",
        "-o",
        metavar="PATH",
        default=default,
        show_default="standard output" if default == STDOUT else default,
        help="The file to write, - for standard output.",
    )


def write_document(text: str, output: str) -> None:
    """Write a text that ends with its last line; say where, unless it is to be seen.

    Raises:
        Failed: the file cannot be written.
    """
    text = text.rstrip("\n") + "\n"
    if output == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        Path(output).write_text(text, "utf-8")
    except OSError as error:
        msg = f"{printable(output)} cannot be written: {error.strerror}."
        raise Failed(msg) from error
    sys.stderr.write(f"written to {printable(output)}\n")
