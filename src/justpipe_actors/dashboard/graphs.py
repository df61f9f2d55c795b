"""Pipelines: their drawings, their versions, and figures over their runs.

Everything comes from the store, and the functions are synchronous: routes call them in
worker threads.  A drawing is made from the stored description, so the pipe need not be
importable.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import attrs

from ..errors import LayoutTooLarge
from ..records import RunQuery, RunRecord
from ..storage.registry import PipelineRegistry
from ..visualization import MermaidTheme, SvgRenderer, VisualAST
from .errors import TooLargeError
from .serializers import pipeline_to_json


STRIP = 30
"""Number of recent runs to show the status of beside a pipeline's name."""

SCATTER = 500
"""Number of runs to show the durations of."""


@attrs.frozen
class GraphWanted:
    """The parameters of a requested drawing."""

    pipeline_hash: str
    fingerprint: str | None
    """Its version; None is that of the latest run."""
    direction: str
    """``TD`` or ``LR``."""


@attrs.frozen
class Drawing:
    """A drawing as SVG."""

    text: str
    """The SVG document."""
    etag: str
    """HTTP entity tag: a hash of the text."""


def graph_svg(registry: PipelineRegistry, wanted: GraphWanted) -> Drawing | None:
    """Return a pipeline's drawing; None when this version of it is not stored."""
    description = describe_version(registry, wanted.pipeline_hash, wanted.fingerprint)
    return draw_description(description or {}, wanted.direction)


def draw_description(description: dict[str, Any], direction: str) -> Drawing | None:
    """Return the drawing of a described pipe; None without one as data.

    Raises:
        TooLargeError: it has too many boxes and lines.
    """
    ast = description.get("visual_ast")
    return _draw(json.dumps(ast), direction) if ast else None


@lru_cache(maxsize=64)
def _draw(ast: str, direction: str) -> Drawing:
    theme = MermaidTheme(direction=direction)
    try:
        text = SvgRenderer(theme=theme).render_ast(VisualAST.from_dict(json.loads(ast)))
    except LayoutTooLarge as error:
        raise TooLargeError(str(error)) from error
    return Drawing(text, f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"')


def describe_version(
    registry: PipelineRegistry, pipeline_hash: str, fingerprint: str | None
) -> dict[str, Any] | None:
    """Return the description of exactly this version; None when that is not stored.

    Without a version, return what it was at its latest run.
    """
    info = registry.find_pipeline(pipeline_hash)
    if info is None:
        return None
    if fingerprint is None:
        return registry.describe_pipeline(pipeline_hash)
    text = registry.get_backend(info.hash).get_definition(fingerprint)
    found = json.loads(text) if text else None
    return found if isinstance(found, dict) else None


def joins_of(description: dict[str, Any]) -> dict[str, list[str]]:
    """Return the steps that wait for several others, with those, by their paths."""
    ast = description.get("visual_ast")
    return dict(_joins_in(ast, "")) if isinstance(ast, dict) else {}


def _joins_in(ast: dict[str, Any], prefix: str) -> Iterator[tuple[str, list[str]]]:
    parents: dict[str, dict[str, None]] = defaultdict(dict)
    for edge in ast.get("edges", ()):
        if not (edge.get("is_map_edge") or edge.get("is_dynamic")):
            parents[edge["target"]][prefix + edge["source"]] = None
    for name, node in ast.get("nodes", {}).items():
        if len(parents[name]) > 1 and node.get("barrier_type") != "any":
            yield prefix + name, list(parents[name])
        if node.get("sub_graph"):
            yield from _joins_in(node["sub_graph"], f"{prefix}{name}:")


def pipelines_overview(registry: PipelineRegistry) -> list[dict[str, Any]]:
    """Return every pipeline with its last runs and percentiles of their durations."""
    found: list[dict[str, Any]] = []
    for info, summary in registry.summarize_runs(RunQuery()):
        runs = registry.get_backend(info.hash).list_runs(limit=STRIP)
        found.append(
            {
                **pipeline_to_json(info, summary, runs[0] if runs else None),
                "counts": dict(summary.counts),
                "strip": [_tick(run) for run in reversed(runs)],
                **percentiles(runs),
            }
        )
    return found


def _tick(run: RunRecord) -> list[Any]:
    return [run.run_id, run.label, run.duration and run.duration.total_seconds()]


def percentiles(runs: Sequence[RunRecord]) -> dict[str, float | None]:
    """Return the median and the 95th percentile of the durations of successes."""
    seconds = sorted(
        run.duration.total_seconds()
        for run in runs
        if run.duration is not None and run.label == "success"
    )
    if not seconds:
        return {"p50": None, "p95": None}
    last = len(seconds) - 1
    return {"p50": seconds[round(last * 0.5)], "p95": seconds[round(last * 0.95)]}


def pipeline_details(
    registry: PipelineRegistry, pipeline_hash: str, days: int
) -> dict[str, Any] | None:
    """Return a pipeline's days, durations, failures and versions."""
    info = registry.find_pipeline(pipeline_hash)
    if info is None:
        return None
    since = datetime.now(UTC) - timedelta(days=days)
    runs = registry.get_backend(info.hash).query_runs(RunQuery(since=since), 10_000)
    daily: dict[str, Counter[str]] = defaultdict(Counter)
    for run in runs:
        daily[run.start_time.date().isoformat()][run.label] += 1
    steps = Counter(run.error_step or "(no step)" for run in runs if _is_failed(run))
    messages = Counter(_kind_of(run) for run in runs if _is_failed(run))
    return {
        "name": info.name,
        "hash": info.hash,
        "days": days,
        "total": len(runs),
        "counts": dict(Counter(run.label for run in runs)),
        **percentiles(runs),
        "daily": {day: dict(counts) for day, counts in sorted(daily.items())},
        "durations": [
            [
                run.start_time.timestamp(),
                run.duration.total_seconds(),
                run.label,
                run.run_id,
            ]
            for run in runs[:SCATTER]
            if run.duration is not None
        ],
        "failures_by_step": steps.most_common(20),
        "failures_by_error": messages.most_common(20),
        "versions": _versions(runs),
    }


def _is_failed(run: RunRecord) -> bool:
    return run.label in ("failed", "timeout")


def _kind_of(run: RunRecord) -> str:
    lines = (run.error_message or run.reason or run.label).splitlines()
    return lines[0][:120] if lines else run.label


def _versions(runs: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Return the versions that ran, the newest first."""
    versions: dict[str, dict[str, Any]] = {}
    for run in runs:
        name = run.fingerprint or ""
        known = versions.setdefault(
            name,
            {
                "fingerprint": run.fingerprint,
                "runs": 0,
                "last": run.start_time.isoformat(),
                "first": None,
            },
        )
        known["runs"] += 1
        known["first"] = run.start_time.isoformat()
    return list(versions.values())
