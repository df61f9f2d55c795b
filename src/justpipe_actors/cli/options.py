"""Options shared by several commands: storage, run, output and view."""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Callable, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click
from rich.console import Console

from .._supervisor.journaled_history import OPEN_LABELS, JournalLookup
from .._util.environment import expand_home
from ..abc import StorageBackend
from ..errors import AmbiguousRunError, StoreError
from ..records import LABELS
from ..storage.paths import storage_root
from ..storage.registry import AnnotatedRun, PipelineRegistry
from .errors import CommandFailed, InvalidInput
from .formatting import printable
from .live_view import LiveView
from .output_files import write_whole
from .progress import Progress
from .views import JsonView, LinesView, StreamInfo, Style, View, style_for


if TYPE_CHECKING:
    RegistryType = click.ParamType[PipelineRegistry]
else:  # click below 8.4 has no generic class
    RegistryType = click.ParamType

FuncT = TypeVar("FuncT", bound=Callable[..., Any])


class FiniteRange(click.FloatRange):
    """A number within limits; neither NaN nor infinity, which no limit excludes."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Return the number.

        Raises:
            BadParameter: it is no number, too small or too large, or not finite.
        """
        number = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value!r:.50} is no finite number.", param, ctx)
        return number


LAST_RUN = re.compile(r"last(?:~([0-9]{1,9}))?")
"""Names a run by its age: ``last`` is the newest, ``last~1`` the one before."""


class StorageRoot(RegistryType):
    """Parameter type for a storage root, which must exist if it is given."""

    name = "path"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> PipelineRegistry:
        """Return the registry of the runs below it."""
        if isinstance(value, PipelineRegistry):
            return value
        try:
            path = expand_home(value)
            is_directory = path.is_dir()
        except (OSError, ValueError) as error:
            self.fail(printable(error), param, ctx)
        if not is_directory:
            self.fail(f"there is no directory {printable(path)}.", param, ctx)
        return PipelineRegistry(path)


def storage_option(func: FuncT) -> FuncT:
    """Add the option for the storage root; the command gets ``registry``."""
    return click.option(
        "--storage",
        "registry",
        type=StorageRoot(),
        default=lambda: PipelineRegistry(storage_root()),
        show_default="$JUSTPIPE_ACTORS_STORAGE_PATH, else your data directory",
        metavar="PATH",
        help="Where runs are stored.",
    )(func)


def json_option(func: FuncT) -> FuncT:
    """Add the option for JSON output; the command gets ``is_json``."""
    return click.option(
        "--json", "is_json", is_flag=True, help="Write JSON, for programs."
    )(func)


@attrs.frozen(kw_only=True)
class Selection:
    """The stored runs that a command works on, and its output format."""

    registry: PipelineRegistry
    """Finds the stored runs."""
    pipeline: str | None
    """Name of the pipeline; None means all."""
    statuses: tuple[str, ...]
    """Statuses of the runs; none means all."""
    is_json: bool
    """Whether to write JSON."""


def pipeline_option(func: FuncT) -> FuncT:
    """Add the option that selects pipelines by name."""
    return click.option(
        "--pipeline", "-p", metavar="NAME", help="Only runs of pipelines of this name."
    )(func)


def status_option(labels: tuple[str, ...] = LABELS) -> Callable[[FuncT], FuncT]:
    """Add the option that selects statuses; the command gets ``statuses``."""
    return click.option(
        "--status",
        "-s",
        "statuses",
        multiple=True,
        type=click.Choice(labels),
        help="Only runs of this status; may be given several times.",
    )


def run_argument(name: str = "run_id") -> Callable[[FuncT], FuncT]:
    """Add the argument for a run."""
    return click.argument(name, metavar=name.upper())


def find_run(
    registry: PipelineRegistry, text: str
) -> tuple[AnnotatedRun, StorageBackend]:
    """Return a run by its id, a unique id prefix or ``last``.

    Raises:
        CommandFailed: there is none.
        InvalidInput: several ids begin so.
    """
    last_match = LAST_RUN.fullmatch(text)
    try:
        found = (
            _find_by_age(registry, int(last_match[1] or 0))
            if last_match
            else registry.resolve_run(text)
        )
    except AmbiguousRunError as error:
        raise InvalidInput(str(error)) from error
    if found is None:
        msg = (
            f"Run not found: {printable(text)}. "
            "See the runs there are with: justpipe-actors list"
        )
        raise CommandFailed(msg)
    annotated, store = found
    return current_runs(registry, [annotated])[0], store


def current_runs(
    registry: PipelineRegistry, runs: Sequence[AnnotatedRun]
) -> list[AnnotatedRun]:
    """Return runs with the status that their journals have now.

    The history of a run that has ended in its journal is completed.
    """
    if all(one.run.journal is None for one in runs):
        return list(runs)
    lookup = JournalLookup()
    try:
        return [
            attrs.evolve(one, run=lookup.current(one.run, _writable(registry, one)))
            for one in runs
        ]
    finally:
        lookup.close()


def _writable(
    registry: PipelineRegistry, annotated: AnnotatedRun
) -> StorageBackend | None:
    """Return a durable run's store for writing; None if it needs none."""
    if annotated.run.journal is None or annotated.run.label not in OPEN_LABELS:
        return None
    try:
        return registry.get_backend(annotated.pipeline_hash, read_only=False)
    except (OSError, sqlite3.Error, StoreError):
        return None


def _find_by_age(
    registry: PipelineRegistry, age: int
) -> tuple[AnnotatedRun, StorageBackend] | None:
    newest = registry.list_all_runs(limit=age + 1)
    if len(newest) <= age:
        return None
    return newest[age], registry.get_backend(newest[age].pipeline_hash)


STDOUT = "-"
"""The name of standard output."""


def output_option(default: str = STDOUT) -> Callable[[FuncT], FuncT]:
    """Add the option for the output file."""
    return click.option(
        "--output",
        "-o",
        metavar="PATH",
        default=default,
        show_default="standard output" if default == STDOUT else default,
        help="The file to write, - for standard output.",
    )


def write_document(text: str, output: str, *, is_private: bool = False) -> None:
    """Write a text with a final newline; report the path unless it is standard output.

    Args:
        text: what to write.
        output: the file, or ``-``.
        is_private: create a new file with access for the user only.

    Raises:
        CommandFailed: the file cannot be written.
    """
    text = text.rstrip("\n") + "\n"
    if output == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        write_whole(Path(output), text, is_private=is_private)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"{printable(output)} cannot be written: {reason}."
        raise CommandFailed(msg) from error
    sys.stderr.write(f"written to {printable(output)}\n")


def style_options(func: FuncT) -> FuncT:
    """Add the options for the view of a run; the command gets ``style``."""
    as_json = click.option(
        "--json",
        "style",
        flag_value="json",
        default=None,
        help="Write every event as a line of JSON; the default when output is no terminal.",
    )
    as_text = click.option(
        "--text",
        "style",
        flag_value="lines",
        default=None,
        help="Write what the run streams, and its progress to standard error.",
    )
    return as_json(as_text(func))


def choose_style(requested: Style | None) -> Style:
    """Return the style for the current output streams."""
    return style_for(requested, _stream_info(sys.stdout), _stream_info(sys.stderr))


def _stream_info(stream: Any) -> StreamInfo:
    console = Console(file=stream)
    return StreamInfo(
        console.is_terminal, console.is_terminal and not console.is_dumb_terminal
    )


@attrs.frozen(kw_only=True)
class ViewOptions:
    """Options of a view."""

    title: str
    """What stands at the end of the rows while it runs."""
    progress: Progress
    """The rows to begin with."""
    has_state: bool = False
    """Whether events carry the state as JSON."""
    started_at: float | None = None
    """Wall clock at the run's start in seconds, if that is not now."""


def view_for(style: Style, view_options: ViewOptions) -> View:
    """Return the view of a style."""
    out, err = sys.stdout, sys.stderr
    match style:
        case "json":
            return JsonView(
                view_options.progress, out, err, has_state=view_options.has_state
            )
        case "lines":
            return LinesView(view_options.progress, out, err)
        case "live":
            draws_on_stdout = _stream_info(out).can_redraw
            return LiveView(
                view_options.title,
                view_options.progress,
                Console(file=out if draws_on_stdout else err),
                None if draws_on_stdout else out,
                view_options.started_at,
            )
