"""The shared state of one application: its parts, settings and worker threads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.to_thread
import attrs
from starlette.requests import HTTPConnection

from ..abc import Journal
from ..storage.registry import PipelineInfo, PipelineRegistry
from .api import DashboardAPI
from .durable import DurableRuns
from .errors import NotFoundError, TooBusyError
from .guard import Rules
from .run_details import StoredRun
from .streams import Streams


if TYPE_CHECKING:
    from ..supervisor import Supervisor


T = TypeVar("T")

THREADS = 4
"""Number of threads for store queries."""

STORE_TIMEOUT = 30.0
"""Seconds that a store query may take."""

ACTIONS = frozenset({"answer", "cancel", "redrive", "start", "cleanup"})
"""Names of the actions that can be enabled."""


@attrs.define(eq=False)
class Site:
    """One dashboard."""

    registry: PipelineRegistry
    """Finds the stored runs."""
    supervisor: Supervisor | None = None
    """The supervisor that shows live runs; None if there is none."""
    journal: Journal | None = None
    """The journal of durable runs; None if there is none."""
    actions: frozenset[str] = frozenset()
    """Names of the enabled actions."""
    title: str = "justpipe_actors"
    """The name that pages show."""
    rules: Rules = attrs.field(factory=Rules)
    """The rules by which the guard accepts requests."""
    user: Callable[[HTTPConnection], str | None] | None = None
    """Names the user of a request."""
    has_payloads: bool = True
    """Whether payloads and states are shown."""
    streams: Streams = attrs.field(factory=Streams)
    _limiter: anyio.CapacityLimiter | None = attrs.field(default=None, init=False)

    @property
    def durable(self) -> DurableRuns:
        """The questions about durable runs."""
        return DurableRuns(self.journal, self.supervisor)

    @property
    def has_asks(self) -> bool:
        """Whether there is a source of asks: a journal or a supervisor."""
        return self.journal is not None or self.supervisor is not None

    @property
    def api(self) -> DashboardAPI:
        """The requests of programs for justpipe."""
        return DashboardAPI(self.registry)

    async def in_thread(
        self, function: Callable[..., T], *args: Any, **options: Any
    ) -> T:
        """Run a store query in one of the dashboard's threads.

        Raises:
            TooBusyError: it took too long.
        """
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(THREADS)
        try:
            with anyio.fail_after(STORE_TIMEOUT):
                return await anyio.to_thread.run_sync(
                    partial(function, *args, **options),
                    limiter=self._limiter,
                    abandon_on_cancel=True,
                )
        except TimeoutError as error:
            msg = f"The store did not answer within {STORE_TIMEOUT:g} seconds."
            raise TooBusyError(msg) from error

    def find(self, run_id: str) -> StoredRun:
        """Return a stored run by its id or a unique beginning of it.

        Raises:
            NotFoundError: there is none.
            AmbiguousRunError: there are several.
        """
        found = self.registry.resolve_run(run_id)
        if found is None:
            msg = f"There is no run {run_id!r} in {self.registry.storage_dir}."
            raise NotFoundError(msg)
        return StoredRun(*found, has_payloads=self.has_payloads)

    def find_pipeline(self, pipeline_hash: str) -> PipelineInfo:
        """Return a stored pipeline.

        Raises:
            NotFoundError: there is none.
        """
        found = self.registry.find_pipeline(pipeline_hash)
        if found is None:
            msg = f"There is no pipeline {pipeline_hash!r}."
            raise NotFoundError(msg)
        return found

    def meta(self) -> dict[str, Any]:
        """Return the settings that pages load first."""
        return {
            "version": version("justpipe_actors"),
            "title": self.title,
            "has_supervisor": self.supervisor is not None,
            "has_journal": self.journal is not None,
            "has_asks": self.has_asks,
            "read_only": not self.actions,
            "actions": sorted(self.actions),
            "has_payloads": self.has_payloads,
            "storage": str(self.registry.storage_dir),
        }
