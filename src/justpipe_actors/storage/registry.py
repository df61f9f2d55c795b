"""All pipelines of a storage root, one folder each; unreadable ones are skipped.

The registry only reads.  Commands and the dashboard use it to find runs without the
program that made them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import attrs

from .._util.text import escape_controls, safe_str
from ..errors import AmbiguousRunError
from ..records import RunQuery, RunRecord, RunStatus, RunSummary
from .paths import DATABASE, DESCRIPTION, storage_root
from .sqlite import SQLiteBackend


T = TypeVar("T")

_logger = logging.getLogger("justpipe_actors.storage")


@attrs.frozen
class PipelineInfo:
    """One pipeline of a storage root."""

    name: str
    """Its name; the hash when its description cannot be read."""
    hash: str
    """``Pipe.pipeline_hash``, and the name of its folder."""
    path: Path
    """Path of its database."""


@attrs.frozen
class AnnotatedRun:
    """A run and its pipeline."""

    run: RunRecord
    pipeline_name: str
    """Name of its pipeline."""
    pipeline_hash: str
    """Hash of its pipeline."""


class PipelineRegistry:
    """Finds pipelines and runs below a storage root; creates and changes nothing.

    Args:
        storage_dir: the root; by default where pipes store their runs.
    """

    def __init__(self, storage_dir: str | Path | None = None) -> None:
        self.storage_dir: Path = (
            storage_root() if storage_dir is None else Path(storage_dir)
        )

    def list_pipelines(self) -> list[PipelineInfo]:
        """Return the pipelines, by hash; none when there is no root."""
        try:
            folders = sorted(self.storage_dir.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [
            PipelineInfo(_pipeline_name(folder), folder.name, folder / DATABASE)
            for folder in folders
            if (folder / DATABASE).is_file()
        ]

    def find_pipeline(self, pipeline_hash: str) -> PipelineInfo | None:
        """Return the pipeline of exactly this hash.

        Args:
            pipeline_hash: the hash.
        """
        matching = (
            info for info in self.list_pipelines() if info.hash == pipeline_hash
        )
        return next(matching, None)

    def get_backend(
        self, pipeline_hash: str, *, read_only: bool = True
    ) -> SQLiteBackend:
        """Return the store of a pipeline, read-only unless it is opened for deletion.

        Args:
            pipeline_hash: the pipeline's hash.
            read_only: whether nothing may be written.

        Raises:
            ValueError: the argument is a path instead of a hash.
        """
        if Path(pipeline_hash).name != pipeline_hash or pipeline_hash == "..":
            msg = f"{pipeline_hash!r} is no pipeline hash; take one from list_pipelines()."
            raise ValueError(msg)
        path = self.storage_dir / pipeline_hash / DATABASE
        return SQLiteBackend(path, read_only=read_only)

    def describe_pipeline(self, pipeline_hash: str) -> dict[str, Any] | None:
        """Return the ``Pipe.describe()`` of a pipeline's latest run.

        Args:
            pipeline_hash: the pipeline's hash.
        """
        info = self.find_pipeline(pipeline_hash)
        return None if info is None else _read_description(info.path.parent)

    def list_all_runs(
        self,
        pipeline_name: str | None = None,
        status: RunStatus | None = None,
        limit: int = 100,
    ) -> list[AnnotatedRun]:
        """Return runs of all pipelines, or of those with a name; the newest first.

        Args:
            pipeline_name: the name; None is any.
            status: the status; None is any.
            limit: most runs.
        """
        return self._newest(
            pipeline_name, limit, lambda store: store.list_runs(status, limit)
        )

    def query_runs(
        self,
        query: RunQuery,
        pipeline_name: str | None = None,
        limit: int | None = None,
    ) -> list[AnnotatedRun]:
        """Return the runs of all pipelines that match a query, the newest first.

        Args:
            query: the conditions.
            pipeline_name: only runs of pipelines with this name; None is any.
            limit: most runs; None is all.
        """
        return self._newest(
            pipeline_name, limit, lambda store: store.query_runs(query, limit)
        )

    def summarize_runs(
        self, query: RunQuery, pipeline_name: str | None = None
    ) -> list[tuple[PipelineInfo, RunSummary]]:
        """Return the figures of a query for each pipeline.

        Args:
            query: the conditions.
            pipeline_name: only pipelines with this name; None is any.
        """
        return list(
            self._query_stores(pipeline_name, lambda store: store.summarize_runs(query))
        )

    def resolve_run(self, prefix: str) -> tuple[AnnotatedRun, SQLiteBackend] | None:
        """Return the run with this id or unique id prefix; None if there is none.

        Raises:
            AmbiguousRunError: several ids begin with it.
        """
        if not _is_storable(prefix):
            return None
        exact = self._newest(None, None, lambda store: _get_run(store, prefix))
        found = exact or self._newest(
            None, None, lambda store: store.find_runs_by_prefix(prefix, -1)
        )
        if len(found) > 1:
            raise AmbiguousRunError(
                prefix, [annotated.run.run_id for annotated in found]
            )
        if not found:
            return None
        return found[0], self.get_backend(found[0].pipeline_hash)

    def _newest(
        self,
        pipeline_name: str | None,
        limit: int | None,
        query_store: Callable[[SQLiteBackend], list[RunRecord]],
    ) -> list[AnnotatedRun]:
        runs = [
            AnnotatedRun(run, info.name, info.hash)
            for info, found in self._query_stores(pipeline_name, query_store)
            for run in found
        ]
        runs.sort(key=lambda annotated: annotated.run.start_time, reverse=True)
        return runs if limit is None or limit < 0 else runs[:limit]

    def _query_stores(
        self, pipeline_name: str | None, query_store: Callable[[SQLiteBackend], T]
    ) -> Iterator[tuple[PipelineInfo, T]]:
        """Query each store; stores that fail are left out with a warning."""
        for info in self.list_pipelines():
            if pipeline_name not in (None, info.name):
                continue
            try:
                result = query_store(self.get_backend(info.hash))
            except Exception as error:  # noqa: BLE001 - a damaged file may raise anything
                problem = escape_controls(safe_str(error, typed=True))
                _logger.warning("Skipped the store %s: %s", info.path, problem)
                continue
            yield info, result


def _is_storable(text: str) -> bool:
    """Tell whether a store can hold this text: invalid UTF-8 cannot be stored."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _get_run(store: SQLiteBackend, run_id: str) -> list[RunRecord]:
    run = store.get_run(run_id)
    return [] if run is None else [run]


def _pipeline_name(folder: Path) -> str:
    name = (_read_description(folder) or {}).get("name")
    return name if isinstance(name, str) and name else folder.name


def _read_description(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
