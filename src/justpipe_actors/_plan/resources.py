"""A resource of a plan: what opens it, and what it needs to be opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs


@attrs.frozen(eq=False, repr=False, kw_only=True)
class ResourceNode:
    """A resource of a plan, with those it needs."""

    name: str
    """Unique in the plan."""
    func: Callable[..., object]
    """Returns an async context manager, or is an async generator function."""
    needs: Mapping[str, ResourceNode] = attrs.field(factory=dict)
    """Other resources, by parameter."""
    eager: bool = False
    """Whether it is opened before anybody asks for it."""
    shutdown: float = 5.0
    """Seconds it may take to close."""
    start_timeout: float = 60.0
    """Seconds it may take to open."""
    identity: object = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda self: (
                self.func,
                tuple((name, one.identity) for name, one in self.needs.items()),
            ),
            takes_self=True,
        ),
    )
    """What makes two resources one: the function and what it needs are the same."""
