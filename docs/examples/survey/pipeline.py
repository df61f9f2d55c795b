"""The survey as a pipe, and the ranking as a pipe within it.

::

    discover (map) ═ parse, parse, ... ═╦═ imports ─────┬─ overview ─ judge (switch)
                                        ╚═ definitions ─┘               │
                  nothing ◄──────────────────────────────── nothing ◄───┤
                  broken ─┐ ◄─────────────────────────────── broken ◄───┤
                          ├─► rank (sub) ─► hot_spots                   │
                          └ ◄──────────────────────────────── clean ◄───┘
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from justpipe_actors import Pipe

from . import report
from .analysis import (
    DefinitionFindings,
    HotModule,
    ImportFindings,
    hot_functions,
    hot_modules,
    look_at_definitions,
    look_at_imports,
)
from .reading import Definition, Facts, UnreadableError, python_files, read


STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))
"""What is surveyed when nothing else is named."""

WINDOW = 4
"""Files in hand at once; the walk over the directories waits for them."""

PLACEMENT = os.environ.get("SURVEY_PLACEMENT", "thread")
"""Where files are parsed: in a thread, or in one ``process`` per core."""


@dataclass(frozen=True)
class SourceFile:
    """What a worker needs to know: it gets this and nothing else."""

    path: Path
    """Where it is."""
    root: Path
    """The surveyed directory."""


@dataclass(frozen=True)
class Skipped:
    """A file that was left out."""

    path: str
    """Where it is, below the surveyed directory."""
    reason: str
    """What such files are counted under."""
    detail: str
    """What exactly is wrong with it."""


@dataclass(frozen=True)
class Ranking:
    """The state of the pipe within: what to rank, and the lists to fill."""

    facts: list[Facts]
    """All modules."""
    importers: dict[str, int]
    """How often each is imported."""
    modules: list[HotModule] = field(default_factory=list)
    """The hottest first."""
    functions: list[tuple[Facts, Definition]] = field(default_factory=list)
    """The one with the most branches first."""


class NothingToSurveyError(Exception):
    """There was no file, or none that could be parsed."""


class Survey:
    """The state of a run.

    No two steps write to one place: what the workers return is collected in ``parsed``,
    and each step after them has an attribute of its own.
    """

    def __init__(self, root: Path = STANDARD_LIBRARY, limit: int | None = None) -> None:
        self.root = root
        self.limit = limit
        self.parsed: list[Facts | Skipped] = []
        self.closed: list[Skipped] = []
        self.imports: ImportFindings | None = None
        self.definitions: DefinitionFindings | None = None
        self.ranking: Ranking | None = None
        self.problem: str | None = None

    @property
    def facts(self) -> list[Facts]:
        """What was found in the files that could be parsed."""
        return [one for one in self.parsed if isinstance(one, Facts)]

    @property
    def skipped(self) -> list[Skipped]:
        """What was left out."""
        left_out = [one for one in self.parsed if isinstance(one, Skipped)]
        return [*self.closed, *left_out]

    def in_order(self) -> list[Facts]:
        """Return the facts by path."""
        return sorted(self.facts, key=lambda one: one.path)


def skip(path: str | Path, root: Path, reason: str, detail: str) -> Skipped:
    """Leave a file out, and say why."""
    where = Path(path)
    if where.is_relative_to(root):
        where = where.relative_to(root)
    return Skipped(str(where), reason, detail)


# -- the pipe within

ranking: Pipe[Ranking, None] = Pipe(Ranking, name="ranking")


@ranking.step(placement="thread", to="rank_functions")
def rank_modules(state: Ranking) -> None:
    """Find the modules that are dangerous to touch."""
    state.modules.extend(hot_modules(state.facts, state.importers, report.ROWS))


@ranking.step(placement="thread")
def rank_functions(state: Ranking) -> None:
    """Find the functions that are hard to follow."""
    state.functions.extend(hot_functions(state.facts, report.ROWS))


# -- the pipe

# A survey of many files is large, and it would be stored again with every step.
pipe: Pipe[Survey, None] = Pipe(
    Survey, name="survey", max_map_items=1_000_000, persist_state="none"
)


@pipe.map(
    each="parse",
    collect="parsed",
    to=["imports", "definitions"],
    max_concurrency=WINDOW,
)
def discover(survey: Survey) -> Iterator[SourceFile]:
    """Find the files; the generator is asked for the next one when there is room."""

    def closed_to_us(error: OSError) -> None:
        text = error.strerror or str(error)
        survey.closed.append(skip(error.filename, root, "cannot be read", text))

    root = survey.root
    paths = islice(python_files(root, closed_to_us), survey.limit)
    return (SourceFile(path, root) for path in paths)


@pipe.step(placement=PLACEMENT)
def parse(file: SourceFile) -> Facts | Skipped:
    """Read one file, off the loop; it asks for its item alone, so little is sent."""
    try:
        return read(file.path, file.root)
    except UnreadableError as problem:
        return skip(file.path, file.root, problem.reason, problem.detail)


@pipe.step(placement="thread", to="overview")
def imports(survey: Survey) -> None:
    """Look at which modules import which."""
    survey.imports = look_at_imports(survey.in_order())


@pipe.step(placement="thread", to="overview")
def definitions(survey: Survey) -> None:
    """Look at what is defined."""
    survey.definitions = look_at_definitions(survey.in_order())


@pipe.step(to="judge")
async def overview(survey: Survey) -> AsyncIterator[str]:
    """Begin the report, now that both have finished; the ranking is not waited for."""
    if not survey.facts or survey.imports is None or survey.definitions is None:
        return
    yield report.head(survey.root, survey.facts, len(survey.skipped))
    yield report.on_definitions(survey.definitions)
    yield report.on_imports(survey.imports)


@pipe.switch(to={"nothing": "nothing", "broken": "broken", "clean": "rank"})
def judge(survey: Survey) -> str:
    """Choose the way: was there anything, and was all of it good?"""
    if not survey.facts:
        return "nothing"
    return "broken" if survey.skipped else "clean"


@pipe.step
def nothing(survey: Survey) -> None:
    """Fail, and say why there is nothing to report.

    Raises:
        NothingToSurveyError: always.
    """
    survey.problem = report.why_nothing(survey.root, survey.skipped)
    raise NothingToSurveyError(survey.problem)


@pipe.step(to="rank")
async def broken(survey: Survey) -> AsyncIterator[str]:
    """Name what was left out."""
    yield report.on_skipped(survey.skipped)


@pipe.sub(pipeline=ranking, to="hot_spots")
def rank(survey: Survey) -> Ranking:
    """Hand the facts to the pipe within, and keep hold of its state."""
    importers = survey.imports.importers if survey.imports else {}
    survey.ranking = Ranking(survey.in_order(), dict(importers))
    return survey.ranking


@pipe.step
async def hot_spots(survey: Survey) -> AsyncIterator[str]:
    """End the report with what to look at first."""
    if survey.ranking is not None:
        yield report.on_hot_modules(survey.ranking.modules)
        yield report.on_hot_functions(survey.ranking.functions)
