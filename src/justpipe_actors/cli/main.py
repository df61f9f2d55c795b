"""The group of commands, and what becomes of their exceptions."""

from __future__ import annotations

import difflib
import io
import sqlite3
import sys
from importlib import import_module
from importlib.metadata import version

import click

from ..errors import StoreError
from .errors import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, CommandFailed, discard_output
from .formatting import printable


PROGRAM = "justpipe-actors"

EPILOG = """\b
Exit status: 0 it worked, 1 it did not (the run failed, there is no such run),
2 the input is wrong, 4 the run waits or was let go of, 130 interrupted, 143 terminated, 141 nobody reads the output."""


COMMANDS = (
    "run",
    "list",
    "show",
    "tail",
    "timeline",
    "compare",
    "stats",
    "pipelines",
    "export",
    "cleanup",
    "runs",
    "asks",
    "answer",
    "cancel",
    "resume",
    "retry",
    "fork",
    "redrive",
    "graph",
    "dashboard",
)
"""The commands, in the order of ``--help``; each has a file of its name."""


class LazyGroup(click.Group):
    """Imports a command's file when it is asked for: most are not."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, None if there is no such one."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f".commands.{cmd_name}", __package__)
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was named.

        Raises:
            UsageError: there is none; it names one that is spelt almost so.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            matches = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if not matches or "Did you mean" in error.message:
                raise
            msg = f"{error.message} Did you mean '{matches[0]}'?"
            raise click.UsageError(msg, ctx) from None

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; a store or a file that fails is a sentence.

        Raises:
            CommandFailed: one did.
        """
        try:
            status = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            discard_output()
            return EXIT_BROKEN_PIPE
        except (StoreError, sqlite3.Error, OSError) as error:
            raise CommandFailed(printable(error)) from error
        return status


@click.group(
    PROGRAM,
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(version("justpipe_actors"), prog_name=PROGRAM)
def cli() -> None:
    """Run pipelines, and look at the runs that were stored."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What a terminal cannot show is written out, and ends no run.
            stream.reconfigure(errors="backslashreplace")
    try:
        status = cli.main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        sys.stderr.write("interrupted\n")
        return EXIT_INTERRUPTED
    return status if isinstance(status, int) else 0
