"""The group of commands, and what becomes of their exceptions.

The module of a command is imported when the command is used.  An exception becomes one
sentence on standard error and an exit status; ``--traceback`` shows where it was raised.
"""

from __future__ import annotations

import difflib
import io
import os
import sqlite3
import sys
import traceback
import warnings
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import click

from .._util.text import safe_str
from ..errors import StoreError
from .errors import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, CommandFailed, discard_output
from .formatting import printable


PROGRAM = "justpipe-actors"

EPILOG = """\b
Exit status: 0 it worked, 1 it did not (the run failed, there is no such run),
2 the input is wrong, 4 the run waits or was released, 130 interrupted, 143 terminated, 141 the reader of the output is gone."""


COMMANDS = {
    "run": "run:command",
    "list": "list:command",
    "show": "show:command",
    "tail": "tail:command",
    "timeline": "timeline:command",
    "compare": "compare:command",
    "stats": "stats:command",
    "pipelines": "pipelines:command",
    "export": "export:command",
    "cleanup": "cleanup:command",
    "runs": "runs:command",
    "asks": "asks:command",
    "answer": "answer:command",
    "cancel": "run_operations:cancel",
    "resume": "run_operations:resume",
    "retry": "run_operations:retry",
    "fork": "run_operations:fork",
    "redrive": "run_operations:redrive",
    "graph": "graph:command",
    "dashboard": "dashboard:command",
}
"""The module and attribute of each command, in the order of ``--help``."""


class LazyGroup(click.Group):
    """Imports the module of a command when the command is used: most are not."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, None if there is no such one."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(
            import_module(f".commands.{module}", __package__), attribute
        )
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
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if ctx.params.get("show_traceback"):
                traceback.print_exc()
            raise CommandFailed(_problem_text(error)) from error
        return status


def _problem_text(error: Exception) -> str:
    """Return the error as text: that of a store or a file alone, any other with its type."""
    if isinstance(error, StoreError | sqlite3.Error | OSError) and str(error):
        return str(error)
    text = safe_str(error, typed=True).removesuffix(".")
    return f"{text}. See where with: {PROGRAM} --traceback COMMAND ..."


@click.group(
    PROGRAM,
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(version("justpipe_actors"), prog_name=PROGRAM)
@click.option(
    "--traceback",
    "show_traceback",
    is_flag=True,
    help="Show the traceback of an unexpected error.",
)
def cli(*, show_traceback: bool) -> None:
    """Run pipelines, and look at the runs that were stored."""


def _open_closed_streams() -> None:
    """Give a process that was started without them standard streams to the null device."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - kept
            setattr(sys, name, stream)


def _write_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning as a sentence, without the line of this program that gave it."""
    sys.stderr.write(f"warning: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What a terminal cannot show is written out, and ends no run.
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _write_warning
            status = cli.main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        # Names of files, runs and steps come from elsewhere and may hold anything.
        escaped = "\n".join(map(printable, error.message.split("\n")))
        vars(error)["message"] = escaped
        error.show()
        return error.exit_code
    except click.Abort:
        sys.stderr.write("interrupted\n")
        return EXIT_INTERRUPTED
    return status if isinstance(status, int) else 0
