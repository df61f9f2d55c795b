"""``graph``: draw a pipe without running it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ...pipe import Pipe
from ...visualization import MermaidRenderer, MermaidTheme, SvgRenderer
from ..errors import InvalidInput
from ..loading import load_pipe
from ..options import STDOUT, output_option, write_document


FORMATS_BY_SUFFIX = {
    ".svg": "svg",
    ".json": "json",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".md": "mermaid",
    ".txt": "mermaid",
}
"""The format of a drawing, by the suffix of its file."""


@click.command("graph")
@click.argument("target", metavar="PIPE")
@click.option(
    "--format",
    "-f",
    "form",
    type=click.Choice(["mermaid", "svg", "json"]),
    help="The format; json is the description. By default it follows the name of the file.",
)
@click.option(
    "--direction",
    type=click.Choice(["TD", "LR"]),
    default="TD",
    show_default=True,
    help="From top to bottom, or from left to right.",
)
@output_option()
def command(target: str, form: str | None, direction: str, output: str) -> None:
    """Draw a pipe without running it.

    PIPE is path/to/file.py:pipe or package.module:pipe, as for run.
    """
    form = form or _format_of(output)
    write_document(render(load_pipe(target), form, direction), output)


def _format_of(output: str) -> str:
    """Return the format that a file's name asks for.

    Raises:
        InvalidInput: that is none of those that can be written.
    """
    suffix = "" if output == STDOUT else Path(output).suffix
    if not suffix:
        return "mermaid"
    form = FORMATS_BY_SUFFIX.get(suffix.lower())
    if form is None:
        msg = (
            f"--output: {output} would be a {suffix} file, which cannot be drawn. "
            "Name a .svg, .mmd or .json file, or say --format."
        )
        raise InvalidInput(msg)
    return form


def render(pipe: Pipe[Any, Any], form: str, direction: str) -> str:
    """Return the drawing."""
    theme = MermaidTheme(direction=direction)
    match form:
        case "svg":
            return pipe.graph(SvgRenderer(theme=theme))
        case "json":
            return json.dumps(pipe.describe(), indent=2, default=str)
        case _:
            return pipe.graph(MermaidRenderer(theme=theme))
