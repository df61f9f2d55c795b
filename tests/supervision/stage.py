"""Children that log their begins and ends, and an owner for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import attrs

from justpipe_actors._supervision.child import ChildSpec, ServiceStatus
from justpipe_actors._supervision.children import ChildOwner, Children
from justpipe_actors._supervision.restart_policy import RestartPolicy
from justpipe_actors.errors import SupervisionError


@attrs.define
class Stage:
    """Log of the begins and ends of children."""

    log: list[str] = attrs.field(factory=list)
    break_now: dict[str, anyio.Event] = attrs.field(factory=dict)
    failures: list[SupervisionError] = attrs.field(factory=list)

    def player(self, name: str, **options: Any) -> ChildSpec:
        """Return a child that runs until it is told to fail, or stopped."""

        async def play(task_status: ServiceStatus) -> None:
            self.log.append(f"+{name}")
            event = self.break_now[name] = anyio.Event()
            task_status.started()
            try:
                await event.wait()
            finally:
                self.log.append(f"-{name}")
            raise ValueError(f"{name} broke")

        return ChildSpec(name=name, func=play, **options)

    async def live(
        self,
        children: Children,
        body: Callable[[], Awaitable[None]],
        *specs: ChildSpec,
    ) -> None:
        """Open children around a body, as a supervisor does."""
        for spec in specs:
            children.add(spec)
        async with anyio.create_task_group() as tasks:
            await children.open(
                ChildOwner(tasks.start_soon, anyio.current_time, self.failures.append)
            )
            try:
                await body()
            finally:
                with anyio.CancelScope(shield=True):
                    await children.aclose()


def steady(**options: Any) -> Children:
    """Return children whose restart delays have no jitter."""
    return Children(RestartPolicy(**options), jitter=lambda: 0.0)
