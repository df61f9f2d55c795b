"""Surveys a Python code base: ``python main.py [DIRECTORY]``.

``justpipe-actors run pipeline.py`` runs the same pipe; this is how a program of one's
own runs it, with a progress line and exit codes that fit it.

The report goes to standard output, progress and complaints to standard error.
Exit codes: 0 a report was written, 1 the survey failed, 2 there is nothing to survey,
130 interrupted, 141 the reader of the report is gone.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

import anyio

from justpipe_actors import Event, EventType
from justpipe_actors.types import PipelineEndData, PipelineTerminalStatus


# Run as a script, the package is a directory like any other.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from survey.pipeline import STANDARD_LIBRARY, Survey, pipe
from survey.report import counted, shown


FAILED, NOTHING, INTERRUPTED, UNREAD = 1, 2, 130, 141
"""Exit codes."""

WORDS = {
    "imports": "looking at imports",
    "definitions": "looking at definitions",
    "rank": "ranking hot spots",
}
"""What to say when a step begins."""


class Progress:
    """One line that changes, on a terminal; a line now and then, elsewhere."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._is_live = out.isatty()
        self._pause = 0.1 if self._is_live else 2.0
        self._began = self._last = time.monotonic()
        self._parsed = 0

    def hear(self, event: Event) -> None:
        """Take note of an event of the run, and say so when it is time."""
        if event.type is EventType.STEP_END and event.stage == "parse":
            self._parsed += 1
            if time.monotonic() - self._last >= self._pause:
                self._say(f"{counted(self._parsed, 'file')} parsed")
        elif event.type is EventType.MAP_START:
            self._say("looking for Python files")
        elif event.type is EventType.STEP_START and event.stage in WORDS:
            self._say(f"{counted(self._parsed, 'file')} parsed, {WORDS[event.stage]}")

    def _say(self, text: str) -> None:
        self._last = time.monotonic()
        line = f"{self._last - self._began:5.1f} s  {text}"
        self._out.write(f"\r{line}\x1b[K" if self._is_live else f"{line}\n")
        self._out.flush()

    def clear(self) -> None:
        """Make room for something else."""
        if self._is_live:
            self._out.write("\r\x1b[K")
            self._out.flush()


async def conduct(
    survey: Survey, out: Callable[[str], object], progress: Progress
) -> PipelineEndData | None:
    """Run the pipe; tokens are the report, everything else is progress."""
    with warnings.catch_warnings():
        # What other people's code makes the parser say is not about this program.
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            async with pipe.run(survey) as run:
                async for event in run:
                    if event.type is EventType.TOKEN:
                        progress.clear()
                        out(event.payload)
                    else:
                        progress.hear(event)
            return run.end
        finally:
            progress.clear()


def main(arguments: Sequence[str] | None = None) -> int:
    """Survey, report, and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # What went wrong is said at the end; the log need not say it, too.
    logging.getLogger().addHandler(logging.NullHandler())
    options = parser().parse_args(arguments)
    code = FAILED
    try:
        code = run_in_loop(Survey(options.directory, options.limit), options.backend)
    except* KeyboardInterrupt:
        code = INTERRUPTED
        complain("interrupted")
    except* BrokenPipeError:
        code = UNREAD
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def run_in_loop(survey: Survey, backend: str) -> int:
    """Survey in an event loop of its own."""
    began = time.monotonic()
    progress = Progress(sys.stderr)
    end = anyio.run(conduct, survey, write, progress, backend=backend)
    if survey.problem:
        complain(survey.problem)
        return NOTHING
    if end is None or end.status is not PipelineTerminalStatus.SUCCESS:
        complain(f"the survey failed: {end.error if end else 'it was cut short'}")
        return FAILED
    files = counted(len(survey.facts) + len(survey.skipped), "file")
    write(f"\n{files} in {time.monotonic() - began:.1f} s on {backend}.\n")
    return 0


def write(text: str) -> None:
    """Write a part of the report, now."""
    sys.stdout.write(text)
    sys.stdout.flush()


def complain(text: str) -> None:
    """Say what is wrong."""
    sys.stderr.write(f"survey: {text}\n")


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = argparse.ArgumentParser(
        prog="survey", description="Survey a Python code base."
    )
    made.add_argument(
        "directory",
        nargs="?",
        type=directory,
        default=STANDARD_LIBRARY,
        help="what to survey; this interpreter's standard library if left out",
    )
    made.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    made.add_argument("--limit", type=positive, metavar="N", help="at most N files")
    return made


def directory(text: str) -> Path:
    """Return the directory that is meant.

    Raises:
        ArgumentTypeError: it cannot be looked into.
    """
    try:
        with os.scandir(text):
            return Path(text).resolve()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"cannot survey {shown(text)!r}: {reason}"
        raise argparse.ArgumentTypeError(msg) from error


def positive(text: str) -> int:
    """Return a number of files.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        msg = f"{shown(text)!r} is not a number of files, 1 or more"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
