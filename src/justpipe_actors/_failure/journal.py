"""What went wrong in a run, in order, and which of it is the cause.

The journal is bounded: a run that fails a million times keeps the first thousand
troubles, the number of the others, and whatever is its primary failure.
"""

from __future__ import annotations

import attrs

from ..failures import FailureKind, FailureReason
from ..outcomes import PipelineTerminalStatus
from .texts import text_of


KEPT = 1000
"""Troubles a journal keeps whole."""

_PRIORITY = {
    kind: rank
    for rank, kind in enumerate(
        (
            FailureKind.VALIDATION,
            FailureKind.STARTUP,
            FailureKind.STEP,
            FailureKind.SHUTDOWN,
            FailureKind.INFRA,
        )
    )
}

_PREFIXES = {
    FailureKind.STARTUP: "Startup hook failed: ",
    FailureKind.SHUTDOWN: "Shutdown hook failed: ",
}


@attrs.frozen(eq=False)
class Trouble:
    """One failure with its exception, before it becomes a record."""

    kind: FailureKind
    """The phase it happened in."""
    reason: FailureReason
    """Why it counts."""
    error: Exception
    """The exception, whole: classifiers and observers get this very object."""
    step: str | None = None
    """The step at fault."""

    @property
    def text(self) -> str:
        """The exception's text, said to be a hook's where it is one."""
        return _PREFIXES.get(self.kind, "") + text_of(self.error)


@attrs.frozen(eq=False)
class Ending:
    """Why a run is ended from outside its graph; noted before anything is cancelled."""

    status: PipelineTerminalStatus
    """What FINISH will say, unless it is FAILED: then the journal speaks."""
    reason: str | None = None
    """The words for it."""


@attrs.define(eq=False, repr=False)
class Journal:
    """The troubles of one run."""

    troubles: list[Trouble] = attrs.field(factory=list)
    """The first ``KEPT`` of them."""
    dropped: int = 0
    """How many came after those."""
    primary: Trouble | None = None
    """The cause to report: earliest phase first, then first come."""

    def add(self, trouble: Trouble) -> None:
        """Note one more trouble."""
        if len(self.troubles) < KEPT:
            self.troubles.append(trouble)
        else:
            self.dropped += 1
        if self.primary is None or _rank(trouble) < _rank(self.primary):
            self.primary = trouble

    def __bool__(self) -> bool:
        return self.primary is not None


def _rank(trouble: Trouble) -> int:
    return _PRIORITY.get(trouble.kind, len(_PRIORITY))
