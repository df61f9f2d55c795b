"""Flaky steps of a pipeline: they failed or were tried again, and also succeeded.

A step is flaky when it succeeded after further tries, or failed in some runs and
succeeded in others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from ..observability.spans import SpanStatus, collect_spans
from ..records import EventHeader, RunQuery
from ..storage.registry import PipelineRegistry
from .spans import headers_of, tries_by_number


@attrs.define(eq=False)
class StepResult:
    """What became of one step in one run."""

    has_succeeded: bool = False
    """Whether one of its invocations succeeded."""
    has_failed: bool = False
    """Whether one of its invocations failed for good."""
    further_tries: int = 0
    """Calls after the first one of each invocation."""

    @property
    def is_clean(self) -> bool:
        """Whether each of its invocations succeeded the first time."""
        return self.has_succeeded and not (self.has_failed or self.further_tries)

    @property
    def is_recovered(self) -> bool:
        """Whether it succeeded, after further tries."""
        return self.has_succeeded and not self.has_failed and self.further_tries > 0


@attrs.define(eq=False)
class StepHistory:
    """The results of one step over some runs, the newest first."""

    step: str
    results: list[tuple[str, StepResult]] = attrs.field(factory=list)
    """The ids of the runs in which it succeeded or failed, with its result."""

    @property
    def is_flaky(self) -> bool:
        """Whether it does not succeed each time, and does not fail each time."""
        results = [result for _, result in self.results]
        has_failed = any(result.has_failed for result in results)
        return any(result.is_recovered for result in results) or (
            has_failed and any(result.is_clean for result in results)
        )

    def row(self) -> dict[str, Any]:
        """Return its figures, with the newest run of either kind."""
        troubled = [run for run, result in self.results if not result.is_clean]
        clean = [run for run, result in self.results if result.is_clean]
        return {
            "step": self.step,
            "runs": len(self.results),
            "failed": sum(result.has_failed for _, result in self.results),
            "recovered": sum(result.is_recovered for _, result in self.results),
            "further_tries": sum(result.further_tries for _, result in self.results),
            "last_troubled": troubled[0],
            "last_clean": clean[0] if clean else None,
        }


def flaky_steps(
    registry: PipelineRegistry, pipeline_hash: str, most: int
) -> dict[str, Any] | None:
    """Return the flaky steps of a pipeline's newest runs; None for an unknown one.

    Args:
        registry: finds the runs.
        pipeline_hash: the pipeline.
        most: number of runs that are read.
    """
    info = registry.find_pipeline(pipeline_hash)
    if info is None:
        return None
    store = registry.get_backend(info.hash)
    runs = store.query_runs(RunQuery(), most)
    results = ((run.run_id, results_of(headers_of(store, run.run_id))) for run in runs)
    return {"runs": len(runs), "steps": flaky_rows(results)}


def flaky_rows(
    runs: Iterable[tuple[str, dict[str, StepResult]]],
) -> list[dict[str, Any]]:
    """Return the flaky steps of some runs, those with the most unclean runs first."""
    histories: dict[str, StepHistory] = {}
    for run_id, results in runs:
        for step, result in results.items():
            history = histories.setdefault(step, StepHistory(step))
            history.results.append((run_id, result))
    rows = [history.row() for history in histories.values() if history.is_flaky]
    return sorted(rows, key=lambda row: -(row["failed"] + row["recovered"]))


def results_of(headers: Sequence[EventHeader]) -> dict[str, StepResult]:
    """Return what became of each step that succeeded or failed in a run.

    A step that only passes on the failure of its sub-pipeline's step is left out.
    """
    tries = tries_by_number(headers)
    results: dict[str, StepResult] = {}
    for span in collect_spans(headers):
        result = results.setdefault(span.stage, StepResult())
        result.further_tries += tries.get(span.last_seq, 1) - 1
        result.further_tries += span.status is SpanStatus.RETRIED
        result.has_succeeded |= span.status is SpanStatus.DONE
        result.has_failed |= span.status is SpanStatus.FAILED
    failed = [step for step, result in results.items() if result.has_failed]
    return {
        step: result
        for step, result in results.items()
        if result.has_succeeded or result.has_failed
        if not any(inner.startswith(f"{step}:") for inner in failed)
    }
