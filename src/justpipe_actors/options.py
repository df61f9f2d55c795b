"""Typed options of the step decorators, for type checkers and editors.

``@pipe.step``, ``map``, ``switch`` and ``sub`` are annotated with
``**options: Unpack[StepOptions]``.  So an editor completes the options and a type checker
refuses ``timeout="3"``.  Values are checked when a step is registered; an option that
nothing reads is reported when the pipe is validated.

``**kwargs: Any`` was rejected: a misspelt option passed every check.  A type parameter
for the options of a user's own middleware was rejected, too, because Python has no way
to add keys to a ``TypedDict`` by parameter.  Such options go through ``options=``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from .abc import AnyPlacement
from .specs import Targets


class StepOptions(TypedDict, total=False):
    """Keyword options of a step; each may be left out."""

    timeout: float | None
    """Seconds that one invocation may take, all tries of ``retries`` included."""
    retries: int | Mapping[str, Any]
    """Further calls of a function that raises; a mapping goes to tenacity as it is."""
    retry_wait_min: float
    """Least seconds between two tries; 0.1 by default."""
    retry_wait_max: float
    """Most seconds between two tries; 10 by default."""
    retry_reraise: bool
    """Whether the last try's own error is raised, and not ``tenacity.RetryError``."""
    concurrency: int | None
    """Most invocations at once, over all runs of a supervisor.

    1 is no lock: an invocation that waits at a ``yield`` for a slow consumer lets another
    one begin.
    """
    placement: str | AnyPlacement | None
    """Placement of the function: a name such as ``"thread"``, or an instance."""
    breaks: Mapping[str, type[Exception] | tuple[type[Exception], ...]]
    """Errors that mean that a resource is broken, by the parameter that receives it."""
    routes: Targets
    """Steps that its results may lead to; drawings show them."""
    options: Mapping[str, Any]
    """Options for middleware of your own, by the names that it ``reads()``."""


OWN_OPTIONS = StepOptions.__optional_keys__ - {"options"}
"""Options that have a meaning of their own, and are none of a user's middleware."""
