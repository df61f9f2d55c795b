"""Stopping a run at every step of its scheduler, to see what its cleanup leaves behind.

A cancellation may arrive at any moment, and the moments between two lines are the ones
nobody thinks of.  They can be enumerated: under virtual time a run is a few hundred
steps of the scheduler, so it is run once for each of them and stopped right there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import anyio
import attrs

from ..errors import CleanupFailure
from ..pipe import Pipe
from .clocks import Backend, counted_time
from .harness import TestPipe
from .result import TestResult
from .standing import at_seams
from .steady import steady
from .stopping import How, Stopped
from .subject import Subject, subject_of
from .watching import DAY, Watch


StateT = TypeVar("StateT")

ALL_WAYS: tuple[How, ...] = ("cancel", "owner", "close")
"""Every way to stop a run."""


@attrs.frozen
class Sweep:
    """What ``cancel_everywhere`` has done when nothing was left behind."""

    runs: int
    """Runs that were stopped."""
    steps: int
    """Steps of the scheduler in a run that nobody stops."""
    statuses: dict[str, int]
    """How they ended, and how many."""


def cancel_everywhere(  # noqa: PLR0913 - one call is the whole tool
    pipe: Pipe[StateT, Any] | TestPipe[StateT, Any],
    state: Callable[[], StateT],
    check: Callable[[TestResult[StateT]], object] = lambda result: None,
    *,
    how: Collection[How] = ALL_WAYS,
    steps: Sequence[int] | None = None,
    most: int = 500,
    backend: Backend = "trio",
    **options: Any,
) -> Sweep:
    """Stop a run at every step, in every way, and check what it leaves.

    Every time the run must end, with one status and nothing after it; shutdown hooks
    must have been called once, no step may be at work and no task may be left.  Runs
    are made as by ``explore``, and so it is called from a plain function.

    Args:
        pipe: the pipe, or a harness with mocks in place.
        state: makes the state of a run.
        check: is told what a run did before it was stopped and while it was; raises, or
            returns False, when that is wrong.
        how: ways of stopping.
        steps: the steps to stop at; all by default.
        most: steps to stop at, for each way; of more than that, as many are picked
            evenly.
        backend: the event loop.
        **options: as for ``Pipe.run``.

    Raises:
        CleanupFailure: something was left, or a check failed.
    """
    subject = subject_of(
        pipe, state=state, check=check, backend=backend, options=options
    )
    total = _trial(subject, "cancel", -1).steps
    chosen = range(1, total + 1) if steps is None else steps
    chosen = chosen[:: max(1, -(-len(chosen) // most))]
    runs = [_trial(subject, way, step) for way in how for step in chosen]
    statuses = Counter(stopped.status for stopped in runs)
    return Sweep(len(runs), total, dict(statuses))


def _trial(subject: Subject, how: How, step: int) -> Stopped:
    """Stop one run, and raise if it did not end as it must."""
    stopped = Stopped(subject, how, step)
    clock = counted_time(subject.backend, Watch(DAY), stopped.count)
    try:
        with steady(), at_seams(stopped):
            anyio.run(stopped.main, **clock)
        stopped.verify()
        subject.judge(stopped.events, stopped.state)
    except Exception as problem:
        text = f"{type(problem).__name__}: {problem}"
        raise CleanupFailure(text, how, step) from problem
    return stopped
