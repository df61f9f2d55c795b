"""Metric families, and their text in the format of OpenMetrics 1.0.

The format is the one that Prometheus scrapes.  A ``Family`` counts the series of one
metric, ``merged`` adds up the families of several observers, and ``exposition`` writes
them.  The client library of Prometheus could do the last part only, and would make an
extra necessary for it; see ``docs/design/dashboard.md``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import attrs


CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
"""The media type of ``exposition``."""

OTHER = "other"
"""The value of every label of the series that stands for those beyond the limit."""

MAX_SERIES = 1_000
"""Series of one family; a label with too many values must not fill the memory."""

SECONDS = (0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Upper bounds of the buckets of durations."""

Labels = tuple[str, ...]
"""The values of a family's labels, in their order."""


@attrs.define(eq=False)
class Histogram:
    """Counts of observed values by bucket."""

    bounds: Sequence[float] = SECONDS
    """Upper bounds, ascending; one more bucket has no bound."""
    counts: list[int] = attrs.field(init=False)
    """Observations by bucket."""
    total: float = attrs.field(default=0.0, init=False)
    """Sum of the observations."""

    def __attrs_post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@attrs.define(eq=False)
class Family:
    """All series of one metric."""

    name: str
    """Name, without the suffix ``_total`` of a counter."""
    kind: Literal["counter", "gauge", "histogram"]
    """What the series are: sums that only grow, present values, or distributions."""
    text: str
    """The HELP line, as a sentence."""
    labels: tuple[str, ...] = ()
    """Names of the labels."""
    unit: str = ""
    """Unit that the name ends in; empty without one."""
    values: dict[Labels, float] = attrs.field(factory=dict)
    """The series of a counter or a gauge."""
    histograms: dict[Labels, Histogram] = attrs.field(factory=dict)
    """The series of a histogram."""

    def add(self, labels: Labels, amount: float = 1) -> None:
        """Add to a series."""
        key = self._key(labels, self.values)
        self.values[key] = self.values.get(key, 0) + amount

    def observe(self, labels: Labels, value: float) -> None:
        """Count a value in a series."""
        key = self._key(labels, self.histograms)
        histogram = self.histograms.get(key)
        if histogram is None:
            histogram = self.histograms[key] = Histogram()
        histogram.observe(value)

    def _key(self, labels: Labels, known: Mapping[Labels, object]) -> Labels:
        if labels in known or len(known) < MAX_SERIES:
            return labels
        return (OTHER,) * len(labels)


def exposition(families: Iterable[Family]) -> str:
    """Return families as text; those of one name must come together as one family."""
    lines = [line for family in families for line in _lines(family)]
    return "\n".join([*lines, "# EOF", ""])


def merged(families: Iterable[Family]) -> list[Family]:
    """Return families of different names: series of equal names and labels are summed."""
    found: dict[str, Family] = {}
    for family in families:
        into = found.get(family.name)
        if into is None:
            into = attrs.evolve(family, values={}, histograms={})
            found[family.name] = into
        for labels, value in list(family.values.items()):
            into.add(labels, value)
        for labels, histogram in list(family.histograms.items()):
            target = into.histograms.setdefault(labels, Histogram(histogram.bounds))
            target.total += histogram.total
            for index, count in enumerate(histogram.counts):
                target.counts[index] += count
    return list(found.values())


def _lines(family: Family) -> Iterator[str]:
    yield f"# TYPE {family.name} {family.kind}"
    if family.unit:
        yield f"# UNIT {family.name} {family.unit}"
    yield f"# HELP {family.name} {_escaped(family.text)}"
    suffix = "_total" if family.kind == "counter" else ""
    for labels, value in sorted(family.values.items()):
        pairs = zip(family.labels, labels, strict=True)
        yield f"{family.name}{suffix}{_braces(pairs)} {_number(value)}"
    for key in sorted(family.histograms):
        labelled = tuple(zip(family.labels, key, strict=True))
        yield from _histogram_lines(family.name, labelled, family.histograms[key])


def _histogram_lines(
    name: str, pairs: tuple[tuple[str, str], ...], histogram: Histogram
) -> Iterator[str]:
    count = 0
    bounds = [*map(_number, histogram.bounds), "+Inf"]
    for bound, number in zip(bounds, histogram.counts, strict=True):
        count += number
        yield f"{name}_bucket{_braces((*pairs, ('le', bound)))} {count}"
    yield f"{name}_count{_braces(pairs)} {count}"
    yield f"{name}_sum{_braces(pairs)} {_number(histogram.total)}"


def _braces(pairs: Iterable[tuple[str, str]]) -> str:
    text = ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)
    return f"{{{text}}}" if text else ""


def _escaped(text: str) -> str:
    plain = text.encode(errors="backslashreplace").decode()
    return plain.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    return repr(float(value))
