"""``DashboardAPI``: the store queries of justpipe's dashboard API.

Every method is synchronous, reads the store each time and returns plain data.  ``None``
means that there is no such thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ..events import EventType
from ..observability.compare import compare_runs
from ..records import LABELS, RunQuery, RunRecord
from ..storage.cleanup import (
    CleanupRule,
    delete_stored_runs,
    select_stored_runs,
)
from ..storage.registry import AnnotatedRun, PipelineInfo, PipelineRegistry
from ..storage.shapes import run_to_json
from .errors import UnknownWordError
from .serializers import (
    pipeline_to_json,
    serialize_comparison,
    serialize_event,
    serialize_run,
    serialize_stats,
    serialize_timeline,
)


PREVIEWED = 20
"""Number of runs that the preview of a cleanup names."""


class DashboardAPI:
    """Answers about the pipelines and runs of one storage root.

    Args:
        registry: finds the stores.
    """

    def __init__(self, registry: PipelineRegistry) -> None:
        self.registry = registry

    def list_pipelines(self) -> list[dict[str, Any]]:
        """Return a summary of every pipeline."""
        summaries = self.registry.summarize_runs(RunQuery())
        return [
            pipeline_to_json(info, summary, self._newest(info))
            for info, summary in summaries
        ]

    def get_pipeline(self, pipeline_hash: str) -> dict[str, Any] | None:
        """Return a pipeline's summary, its description and its drawing as data.

        Args:
            pipeline_hash: the pipeline's hash.
        """
        info = self.registry.find_pipeline(pipeline_hash)
        if info is None:
            return None
        summary = self.registry.get_backend(info.hash).summarize_runs(RunQuery())
        topology = self.registry.describe_pipeline(pipeline_hash)
        return {
            **pipeline_to_json(info, summary, self._newest(info)),
            "topology": topology,
            "visual_ast": (topology or {}).get("visual_ast"),
        }

    def list_runs(
        self,
        pipeline_hash: str,
        statuses: Sequence[str] | None = None,
        limit: int = 20,
        offset: int = 0,
    ) -> list[dict[str, Any]] | None:
        """Return a pipeline's runs, the newest first.

        Args:
            pipeline_hash: the pipeline's hash.
            limit: most runs.
            offset: number of runs to leave out, from the newest on.

        Raises:
            UnknownWordError: one of the statuses is no label of a run.
        """
        labels = checked_labels(statuses or ())
        info = self.registry.find_pipeline(pipeline_hash)
        if info is None:
            return None
        store = self.registry.get_backend(info.hash)
        runs = store.query_runs(RunQuery(labels=labels), limit, offset)
        return [serialize_run(run, info.name, info.hash) for run in runs]

    def search_runs(self, query: str, limit: int = 10) -> list[dict[str, Any]]:
        """Return runs by a prefix of their id or a part of their pipeline's name.

        Args:
            query: the prefix or part.
            limit: most runs.
        """
        found: dict[str, AnnotatedRun] = {}
        for info in self.registry.list_pipelines():
            store = self.registry.get_backend(info.hash)
            runs = store.find_runs_by_prefix(query, limit)
            if query.casefold() in info.name.casefold():
                runs += store.list_runs(limit=limit)
            for run in runs:
                found[run.run_id] = AnnotatedRun(run, info.name, info.hash)
        newest = sorted(
            found.values(), key=lambda one: one.run.start_time, reverse=True
        )
        return [run_to_json(one) for one in newest[:limit]]

    def get_run(self, run_id: str) -> dict[str, Any] | None:
        """Return a run by its id or a unique beginning of it.

        Args:
            run_id: the run's id, or the beginning of it.

        Raises:
            AmbiguousRunError: several ids begin with it.
        """
        found = self.registry.resolve_run(run_id)
        return None if found is None else run_to_json(found[0])

    def get_events(
        self, run_id: str, event_type: EventType | str | None = None
    ) -> list[dict[str, Any]] | None:
        """Return a run's events, with payloads.

        Raises:
            UnknownWordError: there is no such type.
        """
        kind = checked_type(event_type)
        found = self.registry.resolve_run(run_id)
        if found is None:
            return None
        one, store = found
        return [serialize_event(e) for e in store.get_events(one.run.run_id, kind)]

    def get_timeline(self, run_id: str) -> list[dict[str, Any]] | None:
        """Return one entry for each invocation of a run that ended.

        Args:
            run_id: the run's id, or the beginning of it.
        """
        found = self.registry.resolve_run(run_id)
        if found is None:
            return None
        one, store = found
        return serialize_timeline(store.get_events(one.run.run_id))

    def compare(self, run1_id: str, run2_id: str) -> dict[str, Any] | None:
        """Return the differences between two runs.

        Args:
            run1_id: the first run.
            run2_id: the second run.
        """
        first, second = (self.registry.resolve_run(one) for one in (run1_id, run2_id))
        if first is None or second is None:
            return None
        (a, a_store), (b, b_store) = first, second
        comparison = compare_runs(
            a.run,
            a_store.get_events(a.run.run_id),
            b.run,
            b_store.get_events(b.run.run_id),
            a.pipeline_name,
            b.pipeline_name,
        )
        return serialize_comparison(comparison)

    def get_stats(self, pipeline_hash: str, days: int = 7) -> dict[str, Any] | None:
        """Return figures over a pipeline's runs of the last days.

        Args:
            pipeline_hash: the pipeline's hash.
            days: length of the time to look at.
        """
        info = self.registry.find_pipeline(pipeline_hash)
        if info is None:
            return None
        since = datetime.now(UTC) - timedelta(days=days)
        store = self.registry.get_backend(info.hash)
        return serialize_stats(store.query_runs(RunQuery(since=since)), days)

    def cleanup_runs(
        self,
        pipeline_hash: str,
        older_than_days: int | None = None,
        status: str | None = None,
        keep: int = 10,
        *,
        dry_run: bool = True,
    ) -> dict[str, Any] | None:
        """Delete old runs of a pipeline, or only say which they are.

        Args:
            pipeline_hash: the pipeline's hash.
            older_than_days: only runs that began longer ago; None is all.
            status: only runs that ended so; None is any.
            keep: number of the newest runs that stay.
            dry_run: delete nothing.

        Returns:
            The runs and their number; None when there is no such pipeline.

        Raises:
            CleanupRuleError: one of the values makes no sense.
        """
        info = self.registry.find_pipeline(pipeline_hash)
        if info is None:
            return None
        chosen = self.cleanup_choice(info, older_than_days, status, keep)
        if not dry_run:
            delete_stored_runs(self.registry, chosen)
        return {
            "count": len(chosen),
            "runs": [run_to_json(one) for one in chosen[:PREVIEWED]],
        }

    def cleanup_choice(
        self,
        info: PipelineInfo,
        older_than_days: int | None,
        status: str | None,
        keep: int,
    ) -> list[AnnotatedRun]:
        """Return the runs of a pipeline that a cleanup would delete.

        Args:
            info: the pipeline.
            older_than_days: as for ``cleanup_runs``.
            status: as for ``cleanup_runs``.
            keep: as for ``cleanup_runs``.

        Raises:
            CleanupRuleError: one of the values makes no sense.
        """
        rule = CleanupRule(
            keep=keep,
            older_than=None
            if older_than_days is None
            else timedelta(days=older_than_days),
            labels=() if status is None else (status,),
            pipeline_name=info.name,
        )
        chosen = select_stored_runs(self.registry, rule)
        return [one for one in chosen if one.pipeline_hash == info.hash]

    def delete_runs(
        self, pipeline_hash: str, run_ids: Sequence[str]
    ) -> dict[str, Any] | None:
        """Delete exactly these runs of a pipeline; a run that still runs stays.

        Args:
            pipeline_hash: the pipeline's hash.
            run_ids: the runs.

        Returns:
            What was deleted; None when there is no such pipeline.
        """
        info = self.registry.find_pipeline(pipeline_hash)
        if info is None:
            return None
        store = self.registry.get_backend(info.hash)
        runs = [run for name in run_ids if (run := store.get_run(name)) is not None]
        chosen = [
            AnnotatedRun(run, info.name, info.hash)
            for run in runs
            if run.label not in ("running", "waiting", "stuck")
        ]
        report = delete_stored_runs(self.registry, chosen)
        return {"deleted": list(report.deleted), "failed": report.failed}

    def _newest(self, info: PipelineInfo) -> RunRecord | None:
        runs = self.registry.get_backend(info.hash).list_runs(limit=1)
        return runs[0] if runs else None


def checked_labels(words: Sequence[str]) -> tuple[str, ...]:
    """Return words that are all labels of runs.

    Raises:
        UnknownWordError: one of them is not.
    """
    for word in words:
        if word not in LABELS:
            raise UnknownWordError(parameter="status", word=word, known=LABELS)
    return tuple(words)


def checked_type(word: EventType | str | None) -> EventType | None:
    """Return the type of event that a word names.

    Raises:
        UnknownWordError: it names none.
    """
    if word is None or isinstance(word, EventType):
        return word
    try:
        return EventType(word)
    except ValueError:
        known = [kind.value for kind in EventType]
        raise UnknownWordError(parameter="type", word=word, known=known) from None
