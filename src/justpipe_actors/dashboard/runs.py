"""Runs over all pipelines: one query, pages of runs, counts and a histogram.

A query is one line: words are looked for in the error, the step at fault and the
metadata; ``pipe:NAME``, ``id:PREFIX``, ``step:NAME`` and ``tag:KEY=VALUE`` restrict, and
a ``-`` in front of one excludes.
"""

from __future__ import annotations

import base64
import binascii
import json
import shlex
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from ..records import RunQuery
from ..storage.registry import AnnotatedRun, PipelineRegistry
from ..storage.shapes import parse_json_or_text, run_to_json
from .errors import RequestError


MAX_RUNS_READ = 10_000
"""Maximum number of runs to filter in Python when the store cannot filter."""

KEYS = ("pipe", "id", "step", "tag")


@attrs.frozen
class Term:
    """One ``key:value`` of a query."""

    key: str
    """One of ``KEYS``."""
    value: str
    """The value to compare with."""
    is_excluded: bool
    """Whether runs that match are left out."""


@attrs.frozen
class RunFilter:
    """A filter for runs."""

    labels: tuple[str, ...] = ()
    """Only runs with one of these statuses."""
    pipelines: tuple[str, ...] = ()
    """Only these pipelines, by name or hash."""
    since: datetime | None = None
    """Started at this time or later."""
    until: datetime | None = None
    """Started before this time."""
    text: str = ""
    """Words of the query that have no key."""
    terms: tuple[Term, ...] = ()
    """Words that have one."""

    def query(self, *, has_labels: bool = True) -> RunQuery:
        """Return the part of the filter that the store evaluates."""
        return RunQuery(
            labels=self.labels if has_labels else (),
            since=self.since,
            until=self.until,
            text=self.text,
        )

    @property
    def is_simple(self) -> bool:
        """Whether the store can evaluate the whole filter."""
        return not self.terms

    def matches(self, one: AnnotatedRun) -> bool:
        """Tell whether a run that the store returned matches the filter."""
        return all(_matches(term, one) != term.is_excluded for term in self.terms)

    def is_wanted(self, name: str, pipeline_hash: str) -> bool:
        """Tell whether runs of this pipeline are asked for at all."""
        return not self.pipelines or bool({name, pipeline_hash} & {*self.pipelines})


def _matches(term: Term, one: AnnotatedRun) -> bool:
    match term.key:
        case "pipe":
            return term.value.casefold() in one.pipeline_name.casefold()
        case "id":
            return one.run.run_id.startswith(term.value)
        case "step":
            return term.value.casefold() in (one.run.error_step or "").casefold()
        case _:
            return term.value in tags_of(one.run.run_meta)


def tags_of(run_meta: str | None) -> list[str]:
    """Return the tags of a run's metadata, and its plain values as ``key=value``."""
    meta = parse_json_or_text(run_meta)
    if not isinstance(meta, dict):
        return []
    tags = [str(tag) for tag in meta.get("tags") or () if isinstance(tag, str)]
    data = meta.get("data")
    if isinstance(data, dict):
        tags += [
            f"{key}={value}"
            for key, value in data.items()
            if isinstance(value, str | int | float | bool)
        ]
    return tags


def parse_query(text: str) -> tuple[str, tuple[Term, ...]]:
    """Return the words without a key, and the terms that have one."""
    try:
        words = shlex.split(text)
    except ValueError:  # a quotation mark that is not closed yet
        words = text.split()
    plain: list[str] = []
    terms: list[Term] = []
    for word in words:
        key, colon, value = word.lstrip("-").partition(":")
        if colon and key in KEYS and value:
            terms.append(Term(key, value, word.startswith("-")))
        else:
            plain.append(word)
    return " ".join(plain), tuple(terms)


# -- pages


def runs_page(
    registry: PipelineRegistry, wanted: RunFilter, limit: int, before: str | None
) -> dict[str, Any]:
    """Return one page of runs, the newest first, and how many there are by status."""
    start = None if before is None else read_cursor(before)
    page: list[AnnotatedRun] = []
    for one in _newest_first(registry, wanted, start, limit):
        page.append(one)
        if len(page) > limit:
            break
    following = cursor_of(page[limit - 1]) if len(page) > limit else None
    return {
        "runs": [run_row(one) for one in page[:limit]],
        "next": following,
        "counts": counts_of(registry, wanted),
    }


def run_row(one: AnnotatedRun) -> dict[str, Any]:
    """Return a run as the table of runs shows it."""
    return {
        **run_to_json(one),
        "reason": one.run.reason,
        "tags": tags_of(one.run.run_meta),
        "owner": one.run.owner,
    }


def _newest_first(
    registry: PipelineRegistry,
    wanted: RunFilter,
    start: tuple[datetime, str] | None,
    limit: int,
) -> Iterator[AnnotatedRun]:
    query = wanted.query()
    if start is not None:
        # Runs that began at the same time are ordered by their ids.
        until = start[0] + timedelta(microseconds=1)
        query = attrs.evolve(query, until=min(query.until or until, until))
    most = limit + 50 if wanted.is_simple else MAX_RUNS_READ
    found = [
        AnnotatedRun(run, info.name, info.hash)
        for info in registry.list_pipelines()
        if wanted.is_wanted(info.name, info.hash)
        for run in _query(registry, info.hash, query, most)
    ]
    found.sort(key=place_of, reverse=True)
    for one in found:
        if (start is None or place_of(one) < start) and wanted.matches(one):
            yield one


def _query(
    registry: PipelineRegistry, pipeline_hash: str, query: RunQuery, most: int
) -> list[Any]:
    return registry.get_backend(pipeline_hash).query_runs(query, most)


def place_of(one: AnnotatedRun) -> tuple[datetime, str]:
    """Return the sort key of a run."""
    return one.run.start_time, one.run.run_id


def counts_of(registry: PipelineRegistry, wanted: RunFilter) -> dict[str, int]:
    """Return how many runs there are by status, whatever statuses are asked for."""
    counts: Counter[str] = Counter()
    if wanted.is_simple:
        query = wanted.query(has_labels=False)
        for info, summary in registry.summarize_runs(query):
            if wanted.is_wanted(info.name, info.hash):
                counts.update(summary.counts)
    else:
        everything = attrs.evolve(wanted, labels=())
        runs = _newest_first(registry, everything, None, MAX_RUNS_READ)
        counts.update(one.run.label for one in runs)
    return dict(counts)


def histogram(
    registry: PipelineRegistry, wanted: RunFilter, bins: int
) -> dict[str, Any]:
    """Return how many runs started in each part of the window, by status."""
    runs = list(_newest_first(registry, wanted, None, MAX_RUNS_READ))
    now = datetime.now(UTC)
    until = wanted.until or now
    since = wanted.since or min((one.run.start_time for one in runs), default=until)
    width = max((until - since) / bins, timedelta(seconds=1))
    parts: list[Counter[str]] = [Counter() for _ in range(bins)]
    for one in runs:
        place = int((one.run.start_time - since) / width)
        parts[min(max(place, 0), bins - 1)][one.run.label] += 1
    return {
        "since": since.isoformat(),
        "until": (since + width * bins).isoformat(),
        "bins": [dict(part) for part in parts],
    }


# -- cursors


def cursor_of(one: AnnotatedRun) -> str:
    """Return an opaque text that names the place of a run."""
    text = json.dumps([one.run.start_time.isoformat(), one.run.run_id])
    return base64.urlsafe_b64encode(text.encode()).decode()


def read_cursor(text: str) -> tuple[datetime, str]:
    """Return the place that a cursor names.

    Raises:
        RequestError: it is no cursor of ours.
    """
    try:
        moment, name = json.loads(base64.urlsafe_b64decode(text.encode()))
        return datetime.fromisoformat(moment), str(name)
    except (ValueError, TypeError, binascii.Error) as error:
        msg = "before= is no cursor; take it from the 'next' of a page."
        raise RequestError(msg) from error
