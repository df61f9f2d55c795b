"""Where stored runs are, and which one is meant."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click

from ..abc import StorageBackend
from ..errors import AmbiguousRunError
from ..records import LABELS
from ..storage.places import storage_root
from ..storage.registry import AnnotatedRun, PipelineRegistry
from .formatting import printable
from .refusals import Failed, Refused


FuncT = TypeVar("FuncT", bound=Callable[..., Any])

LAST = re.compile(r"last(?:~(\d+))?")
"""What names a run by its age: ``last`` is the newest, ``last~1`` the one before."""


class Root(click.ParamType[PipelineRegistry]):
    """A storage root that is there, if it was named."""

    name = "path"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> PipelineRegistry:
        """Return what finds runs below it."""
        if isinstance(value, PipelineRegistry):
            return value
        path = Path(value).expanduser()
        if not path.is_dir():
            self.fail(f"there is no directory {printable(path)}.", param, ctx)
        return PipelineRegistry(path)


def storage_option(func: FuncT) -> FuncT:
    """Let a command be told where runs are stored; it gets a ``registry``."""
    return click.option(
        "--storage",
        "registry",
        type=Root(),
        default=lambda: PipelineRegistry(storage_root()),
        show_default="$JUSTPIPE_ACTORS_STORAGE_PATH, else your data directory",
        metavar="PATH",
        help="Where runs are stored.",
    )(func)


def json_option(func: FuncT) -> FuncT:
    """Let a command write JSON; it gets ``is_json``."""
    return click.option(
        "--json", "is_json", is_flag=True, help="Write JSON, for programs."
    )(func)


@attrs.frozen(kw_only=True)
class Selection:
    """Which stored runs a command was asked about, and by whom."""

    registry: PipelineRegistry
    """Where."""
    pipeline: str | None
    """Whose."""
    statuses: tuple[str, ...]
    """How they stand; none means all."""
    is_json: bool
    """For a program."""


def pipeline_option(func: FuncT) -> FuncT:
    """Let a command look at the pipelines of one name only."""
    return click.option(
        "--pipeline", "-p", metavar="NAME", help="Only runs of pipelines of this name."
    )(func)


def status_option(labels: tuple[str, ...] = LABELS) -> Callable[[FuncT], FuncT]:
    """Let a command look at some statuses only; it gets ``statuses``."""
    return click.option(
        "--status",
        "-s",
        "statuses",
        multiple=True,
        type=click.Choice(labels),
        help="Only runs of this status; may be said several times.",
    )


def run_argument(name: str = "run_id") -> Callable[[FuncT], FuncT]:
    """Let a command be told a run."""
    return click.argument(name, metavar=name.upper())


def find_run(
    registry: PipelineRegistry, text: str
) -> tuple[AnnotatedRun, StorageBackend]:
    """Return the run a text means: an id, how one begins, or ``last``.

    Raises:
        Failed: there is none.
        Refused: several ids begin so.
    """
    by_age = LAST.fullmatch(text)
    try:
        found = (
            _by_age(registry, int(by_age[1] or 0))
            if by_age
            else registry.resolve_run(text)
        )
    except AmbiguousRunError as error:
        raise Refused(str(error)) from error
    if found is None:
        msg = (
            f"Run not found: {printable(text)}. "
            "See the runs there are with: justpipe-actors list"
        )
        raise Failed(msg)
    return found


def _by_age(
    registry: PipelineRegistry, age: int
) -> tuple[AnnotatedRun, StorageBackend] | None:
    newest = registry.list_all_runs(limit=age + 1)
    if len(newest) <= age:
        return None
    return newest[age], registry.get_backend(newest[age].pipeline_hash)
