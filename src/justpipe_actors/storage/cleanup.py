"""Select and delete old runs: one rule for the command line, the dashboard and code.

A rule keeps the newest ``keep`` runs of each pipeline.  Of the other runs, it selects
those that are old enough and have one of the labels.  It never selects a running run.

Selection is pure, and deletion takes the selected runs, so exactly the runs that were
shown to the user are deleted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from ..errors import CleanupRuleError
from ..records import LABELS, OpenStatus, RunQuery
from .registry import AnnotatedRun, PipelineRegistry


def _check_keep(rule: object, field: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise CleanupRuleError(field.name, value, "a whole number of at least 0")


def _check_age(
    rule: object, field: attrs.Attribute[Any], value: timedelta | None
) -> None:
    if value is not None and value < timedelta(0):
        raise CleanupRuleError(field.name, value, "no negative time")


def _check_labels(
    rule: object, field: attrs.Attribute[Any], value: tuple[str, ...]
) -> None:
    for label in value:
        if label not in CLEANED_LABELS:
            taken = f"one of {', '.join(CLEANED_LABELS)}"
            raise CleanupRuleError(field.name, label, taken)


_OPEN = (
    OpenStatus.RUNNING.value,
    OpenStatus.WAITING.value,
    OpenStatus.STUCK.value,
)
"""Labels of open work, which is never cleaned up."""

CLEANED_LABELS = tuple(label for label in LABELS if label not in _OPEN)
"""Labels that may be selected."""

ENDED_LABELS = tuple(label for label in CLEANED_LABELS if label != "suspended")
"""Labels selected by default; suspended runs are open work, so name them explicitly."""


@attrs.frozen(kw_only=True)
class CleanupRule:
    """Which runs to delete.

    Raises:
        CleanupRuleError: one of the fields is invalid.
    """

    keep: int = attrs.field(default=10, validator=_check_keep)
    """Number of newest runs of each pipeline to keep, with any label."""
    older_than: timedelta | None = attrs.field(default=None, validator=_check_age)
    """How long ago a run must have started; None is any time."""
    labels: tuple[str, ...] = attrs.field(default=(), validator=_check_labels)
    """Values of ``RunRecord.label`` to delete; none means ``ENDED_LABELS``."""
    pipeline_name: str | None = None
    """Only runs of pipelines of this name."""


@attrs.frozen
class CleanupReport:
    """The result of a deletion."""

    deleted: tuple[str, ...]
    """Ids of runs that are gone."""
    failed: dict[str, str]
    """Ids of runs that could not be deleted, and why."""


def select_runs(
    runs: Iterable[AnnotatedRun], rule: CleanupRule, now: datetime | None = None
) -> list[AnnotatedRun]:
    """Return the runs that a rule selects for deletion, the newest first.

    Args:
        runs: the runs to choose from.
        rule: the rule.
        now: the time that ages are measured from; None is now.
    """
    started_before = _moment_before(now or datetime.now(UTC), rule.older_than)
    newest_first = sorted(
        runs, key=lambda annotated: annotated.run.start_time, reverse=True
    )
    seen_counts: dict[str, int] = defaultdict(int)
    selected: list[AnnotatedRun] = []
    for annotated in newest_first:
        seen_counts[annotated.pipeline_hash] += 1
        if (
            seen_counts[annotated.pipeline_hash] > rule.keep
            and annotated.run.status.value not in _OPEN
            and rule.pipeline_name in (None, annotated.pipeline_name)
            and annotated.run.label in (rule.labels or ENDED_LABELS)
            and (rule.older_than is None or annotated.run.start_time < started_before)
        ):
            selected.append(annotated)
    return selected


def _moment_before(now: datetime, age: timedelta | None) -> datetime:
    """Return the time that long ago, or the earliest time that can be represented."""
    try:
        return now - (age or timedelta(0))
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def select_stored_runs(
    registry: PipelineRegistry, rule: CleanupRule
) -> list[AnnotatedRun]:
    """Return the runs of a storage root that a rule selects for deletion.

    Args:
        registry: the storage root.
        rule: the rule.
    """
    return select_runs(registry.query_runs(RunQuery(), rule.pipeline_name), rule)


def delete_stored_runs(
    registry: PipelineRegistry, runs: Sequence[AnnotatedRun]
) -> CleanupReport:
    """Delete exactly these runs, one transaction per pipeline, and shrink the files.

    Args:
        registry: the storage root.
        runs: the runs.

    Returns:
        What was deleted.
    """
    by_pipeline: dict[str, list[str]] = defaultdict(list)
    for annotated in runs:
        by_pipeline[annotated.pipeline_hash].append(annotated.run.run_id)
    deleted: list[str] = []
    failed: dict[str, str] = {}
    for pipeline_hash, run_ids in by_pipeline.items():
        try:
            _delete(registry, pipeline_hash, run_ids)
        except Exception as error:  # noqa: BLE001 - a damaged file may raise anything
            failed.update(dict.fromkeys(run_ids, str(error)))
        else:
            deleted.extend(run_ids)
    return CleanupReport(tuple(deleted), failed)


def _delete(
    registry: PipelineRegistry, pipeline_hash: str, run_ids: Sequence[str]
) -> None:
    store = registry.get_backend(pipeline_hash, read_only=False)
    try:
        store.delete_runs(run_ids)
        store.shrink()
    finally:
        store.close()
