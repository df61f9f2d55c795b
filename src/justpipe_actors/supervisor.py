"""``Supervisor``: many runs, one set of actors, one owner.

While it is open, every plain ``pipe.run(...)`` in the same loop is hosted by it.  Its runs
share the actors of their plans; each activation has a scope, a token and context
variables of its own, so what happens to one run happens to no other.

Leaving the block lets runs finish within ``grace`` seconds, then cancels them.  When the
block is left by an error or a cancellation they are cancelled at once; either way it is
left only when nothing of them is alive.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import anyio
import attrs
from anyio.abc import TaskGroup
from trio.lowlevel import enable_ki_protection

from ._actors.actor import ActorStatistics
from ._actors.host import Host
from ._run.hosting import current_loop, open_ambient
from ._run.stream import RunStream
from .outcomes import PipelineTerminalStatus
from .pipe import Pipe


@attrs.frozen
class SupervisorSnapshot:
    """What a supervisor is doing right now; plain data."""

    actors: tuple[ActorStatistics, ...]
    """Every actor that has been needed so far."""
    runs: dict[str, dict[str, int]]
    """Tokens by holder, for every run at work."""


class Supervisor:
    """Owns the runs begun inside its block, and the actors they share.

    Args:
        grace: seconds that runs may take to finish when the block is left.
    """

    def __init__(self, *, grace: float = 10.0) -> None:
        self._grace = grace
        self._tasks: TaskGroup | None = None
        self._host: Host | None = None
        self._close_ambient: Callable[[], None] = lambda: None

    @enable_ki_protection
    async def __aenter__(self) -> Self:
        """Open the host and make it the ambient one.

        Raises:
            RuntimeError: this supervisor was opened before.
        """
        if self._tasks is not None:
            msg = "A Supervisor is opened once; build another one."
            raise RuntimeError(msg)
        tasks = self._tasks = anyio.create_task_group()
        await tasks.__aenter__()
        loop = current_loop()
        self._host = Host(tasks, loop.now, loop.watch_task())
        self._close_ambient = open_ambient(self._host)
        return self

    @enable_ki_protection
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let runs finish, then end them; a body's error goes on bare."""
        host, tasks = self._open()
        self._close_ambient()
        try:
            if error is None:
                with anyio.move_on_after(self._grace):
                    await _all_quiet(host)  # noqa: ASYNC102 - bounded by the grace
        finally:
            with anyio.CancelScope(shield=True):
                _cancel_runs(host, "The supervisor was closed")
                await _all_quiet(host)  # noqa: ASYNC102 - runs end when stopped
            tasks.cancel_scope.cancel()
        if isinstance(error, Exception):
            # The body's own error goes out, even if the block is cancelled meanwhile.
            with suppress(BaseException):
                await tasks.__aexit__(None, None, None)  # noqa: ASYNC102
        else:
            await tasks.__aexit__(None, None, None)  # noqa: ASYNC102

    def run(
        self, pipe: Pipe[Any, Any], state: Any, context: Any = None, **options: Any
    ) -> RunStream:
        """Return one run of a pipe in this supervisor; options as for ``Pipe.run``.

        Raises:
            RuntimeError: the supervisor is not open.
        """
        host, _ = self._open()
        return RunStream(lambda: pipe.order(state, context, **options), host)

    def snapshot(self) -> SupervisorSnapshot:
        """Return what its actors and runs are doing right now."""
        host, _ = self._open()
        return SupervisorSnapshot(
            actors=tuple(actor.statistics() for actor in host.actors()),
            runs={name: dict(ledger.holders) for name, ledger in host.runs.items()},
        )

    def _open(self) -> tuple[Host, TaskGroup]:
        if self._host is None or self._tasks is None:
            msg = "The Supervisor is not open; use it in 'async with Supervisor() as ...'."
            raise RuntimeError(msg)
        return self._host, self._tasks


def _cancel_runs(host: Host, reason: str) -> None:
    for run in list(host.conducting):
        run.stop(PipelineTerminalStatus.CANCELLED, reason)


async def _all_quiet(host: Host) -> None:
    """Wait until every run that is hosted has ended."""
    while host.conducting:
        await next(iter(host.conducting)).done.wait()
