"""The report's sections, from findings to text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from .analysis import DefinitionFindings, HotModule, ImportFindings
from .reading import Definition, Facts


ROWS = 10
"""Rows in a table."""

NAMED = 3
"""Files that are named of each kind that was skipped."""


class Left(Protocol):
    """A file that was left out."""

    @property
    def path(self) -> str:
        """Where it is."""
        ...

    @property
    def reason(self) -> str:
        """What such files are counted under."""
        ...

    @property
    def detail(self) -> str:
        """What exactly is wrong with it."""
        ...


def head(root: Path, facts: Sequence[Facts], skipped: int) -> str:
    """Return the title and the totals."""
    title = f"Survey of {shown(root)}"
    lines = sum(one.lines for one in facts)
    branches = sum(one.branches for one in facts)
    totals = f"{counted(len(facts), 'file')}, {lines:,} lines, {branches:,} branches"
    left = f"; {counted(skipped, 'file')} left out, see below" if skipped else ""
    return f"{title}\n{'=' * len(title)}\n\n{totals}{left}.\n"


def on_definitions(found: DefinitionFindings) -> str:
    """Return what is defined."""
    share = 100 * found.documented / found.public if found.public else 0
    rows = [
        (f"{d.lines:,}", "lines", place(one, d), shown(f"{one.path}:{d.line}"))
        for one, d in found.longest
    ]
    return section(
        "Definitions",
        f"{counted(found.functions, 'function')} ({found.coroutines:,} async), "
        f"{counted(found.classes, 'class', 'classes')}.",
        f"{share:.0f}% of the {found.public:,} public ones have a docstring.",
        f"Half of the functions have at most {counted(found.typical, 'line')}; the longest:",
        table(rows),
    )


def on_imports(found: ImportFindings) -> str:
    """Return which modules import which."""
    rows = [(f"{n:,}", "importers", shown(name)) for name, n in top(found.importers)]
    return section(
        "Imports",
        "Imported by the most modules here:",
        table(rows),
        outside("From other packages", found.foreign),
        outside("From the standard library", found.standard),
        *_tangles(found.tangles),
    )


def outside(label: str, counts: Counter[str]) -> str:
    """Return a line about what is imported from elsewhere."""
    names = ", ".join(f"{shown(name)} {n:,}" for name, n in top(counts, 8))
    more = f" and {len(counts) - 8:,} more" if len(counts) > 8 else ""
    return f"{label}: {names or 'nothing'}{more}."


def _tangles(tangles: Sequence[tuple[str, ...]]) -> Iterable[str]:
    if not tangles:
        yield "No modules import each other in a circle."
        return
    groups = counted(len(tangles), "group")
    verb = "imports" if len(tangles) == 1 else "import"
    yield f"{groups} of modules {verb} each other in a circle; the largest:"
    yield table(
        (f"{len(one):,}", "modules", some([shown(name) for name in one], 5))
        for one in tangles[:5]
    )


def on_skipped(skipped: Iterable[Left]) -> str:
    """Return what was left out: counted by reason, the first few by name."""
    groups: dict[str, list[Left]] = defaultdict(list)
    for one in skipped:
        groups[one.reason].append(one)
    lines: list[str] = []
    for reason, members in sorted(groups.items(), key=lambda group: -len(group[1])):
        members.sort(key=lambda one: one.path)
        lines.append(f"{counted(len(members), 'file')}: {reason}")
        lines.extend(f"    {named(one)}" for one in members[:NAMED])
        if len(members) > NAMED:
            lines.append(f"    ... and {len(members) - NAMED:,} more")
    return section("Left out", *lines)


def on_hot_modules(modules: Iterable[HotModule]) -> str:
    """Return the modules that are dangerous to touch."""
    rows = [
        (
            f"{hot.heat:,}",
            f"{hot.facts.branches:,}",
            f"{hot.importers:,}",
            shown(hot.facts.path),
        )
        for hot in modules
    ]
    return section(
        "Hot spots: modules",
        "Much can go wrong in them, and many would notice (branches x (importers + 1)):",
        table([("heat", "branches", "importers", ""), *rows]) if rows else "None.",
    )


def on_hot_functions(functions: Iterable[tuple[Facts, Definition]]) -> str:
    """Return the functions that are hard to follow."""
    rows = [
        (
            f"{d.branches:,}",
            f"{d.lines:,}",
            place(one, d),
            shown(f"{one.path}:{d.line}"),
        )
        for one, d in functions
    ]
    return section(
        "Hot spots: functions",
        "The most branches in one function:",
        table([("branches", "lines", "", ""), *rows]) if rows else "None.",
    )


def why_nothing(root: Path, skipped: Sequence[Left]) -> str:
    """Return the reason why there is nothing to report, in a sentence."""
    if not skipped:
        return f"no Python files in {shown(root)}"
    first = sorted(skipped, key=lambda one: one.path)[:NAMED]
    names = "; ".join(named(one) for one in first)
    more = f"; and {len(skipped) - NAMED:,} more" if len(skipped) > NAMED else ""
    return f"nothing in {shown(root)} could be parsed: {names}{more}"


# -- words


def section(title: str, *lines: str) -> str:
    """Return a titled section."""
    body = "\n".join(line for line in lines if line)
    return f"\n{title}\n{'-' * len(title)}\n{body}\n"


def table(rows: Iterable[Sequence[str]]) -> str:
    """Return aligned rows, numbers to the right."""
    cells = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        (
            "  " + "  ".join(map(_aligned, row, widths, _is_number_column(cells)))
        ).rstrip()
        for row in cells
    )


def _is_number_column(cells: Sequence[Sequence[str]]) -> list[bool]:
    return [cell[:1].isdigit() for cell in cells[-1]] if cells else []


def _aligned(cell: str, width: int, is_number: bool) -> str:  # noqa: FBT001
    return cell.rjust(width) if is_number else cell.ljust(width)


def top(counts: Counter[str], most: int = ROWS) -> list[tuple[str, int]]:
    """Return the largest counts, equal ones by name."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]


def place(one: Facts, definition: Definition) -> str:
    """Return a definition's full name."""
    return shown(f"{one.module}.{definition.name}")


def named(one: Left) -> str:
    """Return a file that was left out, and why."""
    return f"{shown(one.path)} ({shown(one.detail or one.reason)})"


def some(names: Sequence[str], most: int) -> str:
    """Return the first few of a list."""
    more = f", ... {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number and its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def shown(text: object) -> str:
    """Return text that a terminal survives, whatever a file may be called."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))
