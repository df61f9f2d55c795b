"""The group of commands, and what becomes of their exceptions."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

import click

from .words import INTERRUPTED


PROGRAM = "justpipe-actors"

EPILOG = """\b
Exit status: 0 it worked, 1 it did not (the run failed, there is no such run),
2 the input is wrong, 130 interrupted, 143 terminated, 141 nobody reads the output."""


@click.group(
    PROGRAM,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(version("justpipe_actors"), prog_name=PROGRAM)
def cli() -> None:
    """Run pipelines, and look at the runs that were stored."""


@cli.command("run")
@click.argument("target", metavar="PIPE")
@click.option(
    "--state", metavar="JSON", help="The state; @FILE reads a file, - standard input."
)
@click.option("--context", metavar="JSON", help="The context, likewise.")
@click.option(
    "--backend",
    type=click.Choice(["asyncio", "trio"]),
    default="asyncio",
    show_default=True,
    help="The event loop to run in.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop the run after this time.",
)
@click.option(
    "--start", metavar="STEP", help="Begin with this step instead of at the roots."
)
@click.option("--with-state", "has_state", is_flag=True, help="Show the state, too.")
@click.option(
    "--json",
    "style",
    flag_value="json",
    default=None,
    help="Write every event as a line of JSON; the default when output is no terminal.",
)
@click.option(
    "--text",
    "style",
    flag_value="lines",
    default=None,
    help="Write what the run streams, progress to standard error.",
)
def run(**options: Any) -> int:
    """Run a pipe and show what it does.

    PIPE is path/to/file.py:pipe or package.module:pipe; the part behind the colon may be
    left out where there is only one.

    On a terminal every step has a line and every map a bar, and what the run streams
    goes above them.  Elsewhere every event is a line of JSON.  Ctrl-C asks the run to
    end and waits until nothing of it is left.
    """
    from .commands.run import RunOptions, run_command  # noqa: PLC0415 - only when used

    return run_command(RunOptions(**options))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    try:
        status = cli.main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    return status if isinstance(status, int) else 0
