"""What the facts about single files say about all of them; plain functions, no pipe."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest

from .reading import Definition, Facts, Import


Graph = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class ImportFindings:
    """Which modules import which."""

    importers: Counter[str]
    """For each module here, how many others here import it."""
    standard: Counter[str]
    """For each standard module from elsewhere, how many modules here import it."""
    foreign: Counter[str]
    """The same for other packages."""
    tangles: tuple[tuple[str, ...], ...]
    """Groups of modules that need each other to be imported, the largest first."""


@dataclass(frozen=True)
class DefinitionFindings:
    """What is defined."""

    functions: int
    """Functions and methods."""
    coroutines: int
    """How many of them are ``async def``."""
    classes: int
    """Classes."""
    public: int
    """Functions and classes that others may use."""
    documented: int
    """How many of those have a docstring."""
    typical: int
    """Half of all functions are no longer than this."""
    longest: tuple[tuple[Facts, Definition], ...]
    """The longest functions."""


@dataclass(frozen=True)
class HotModule:
    """A module that is dangerous to touch."""

    facts: Facts
    """The module."""
    importers: int
    """How many others would notice."""

    @property
    def heat(self) -> int:
        """How many branches, times how many look at them, itself included."""
        return self.facts.branches * (1 + self.importers)


# -- imports


def look_at_imports(facts: Iterable[Facts]) -> ImportFindings:
    """Find out which modules import which, and which import each other."""
    by_module = {one.module: one for one in facts}
    importers: Counter[str] = Counter()
    standard: Counter[str] = Counter()
    foreign: Counter[str] = Counter()
    for one in by_module.values():
        inside, outside = _targets(one.imports, by_module)
        importers.update(inside - {one.module})
        known = outside & sys.stdlib_module_names
        standard.update(known)
        foreign.update(outside - known)
    tangles = sorted(
        _tangles(_import_time_graph(by_module)), key=lambda t: (-len(t), t)
    )
    return ImportFindings(importers, standard, foreign, tuple(tangles))


def _targets(
    imports: Iterable[Import], known: Mapping[str, Facts]
) -> tuple[set[str], set[str]]:
    """Return the modules here that are meant, and the packages elsewhere."""
    inside: set[str] = set()
    outside: set[str] = set()
    for one in imports:
        target = _resolved(one, known)
        if target is not None:
            inside.add(target)
        elif one.module:
            outside.add(one.module.partition(".")[0])
    return inside, outside - {""}


def _resolved(one: Import, known: Mapping[str, Facts]) -> str | None:
    """Return the longest beginning of what is imported that is a module here."""
    parts = [*one.module.split("."), one.name] if one.name else one.module.split(".")
    for end in range(len(parts), 0, -1):
        name = ".".join(parts[:end])
        if name in known:
            return name
    return None


def _import_time_graph(by_module: Mapping[str, Facts]) -> Graph:
    return {
        name: frozenset(
            _targets((i for i in one.imports if i.at_import), by_module)[0] - {name}
        )
        for name, one in by_module.items()
    }


def _tangles(graph: Graph) -> Iterator[tuple[str, ...]]:
    """Yield the strongly connected parts with more than one member (Kosaraju)."""
    backwards: dict[str, set[str]] = defaultdict(set)
    for name, targets in graph.items():
        for target in targets:
            backwards[target].add(name)
    seen: set[str] = set()
    for name in reversed(_finishing_order(graph)):
        part = _flood(name, backwards, seen)
        if len(part) > 1:
            yield tuple(sorted(part))


def _finishing_order(graph: Graph) -> list[str]:
    order: list[str] = []
    seen: set[str] = set()
    for root in graph:
        path = [] if root in seen else [(root, iter(graph[root]))]
        seen.add(root)
        while path:
            name, targets = path[-1]
            fresh = next((t for t in targets if t not in seen), None)
            if fresh is None:
                order.append(name)
                path.pop()
            else:
                seen.add(fresh)
                path.append((fresh, iter(graph[fresh])))
    return order


def _flood(start: str, graph: Mapping[str, set[str]], seen: set[str]) -> list[str]:
    part: list[str] = []
    todo = [start]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            part.append(name)
            todo.extend(graph.get(name, ()))
    return part


# -- definitions


def look_at_definitions(facts: Sequence[Facts]) -> DefinitionFindings:
    """Count what is defined and find what is long."""
    all_of_it = [(one, definition) for one in facts for definition in one.definitions]
    functions = [pair for pair in all_of_it if not pair[1].is_class]
    public = [definition for _, definition in all_of_it if definition.is_public]
    lengths = sorted(definition.lines for _, definition in functions)
    return DefinitionFindings(
        functions=len(functions),
        coroutines=sum(definition.is_async for _, definition in functions),
        classes=len(all_of_it) - len(functions),
        public=len(public),
        documented=sum(definition.has_docstring for definition in public),
        typical=lengths[(len(lengths) - 1) // 2] if lengths else 0,
        longest=tuple(nlargest(5, functions, key=lambda pair: pair[1].lines)),
    )


# -- hot spots


def hot_modules(
    facts: Iterable[Facts], importers: Mapping[str, int], most: int
) -> list[HotModule]:
    """Return the modules with the most branches that the most others look at."""
    every = (HotModule(one, importers.get(one.module, 0)) for one in facts)
    return nlargest(most, (m for m in every if m.heat), key=lambda m: m.heat)


def hot_functions(facts: Iterable[Facts], most: int) -> list[tuple[Facts, Definition]]:
    """Return the functions with the most branches."""
    every = ((one, d) for one in facts for d in one.definitions if not d.is_class)
    branchy = (pair for pair in every if pair[1].branches)
    return nlargest(most, branchy, key=lambda pair: pair[1].branches)
