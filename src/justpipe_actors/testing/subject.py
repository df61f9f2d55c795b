"""A pipeline that is run again and again, each time a little differently."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from ..events import Event
from ..pipe import Pipe
from .clocks import Backend
from .harness import TestPipe
from .result import TestResult, final_state


Check = Callable[[TestResult[Any]], object]
"""Raises, or returns False, when a run did not do what it should."""


@attrs.frozen(eq=False, kw_only=True)
class Subject:
    """What is run, and what makes a run a good one."""

    pipe: Pipe[Any, Any]
    """A copy of the pipe under test, mocks in place, with every step on the loop."""
    steps: frozenset[str]
    """Its own steps."""
    state: Callable[[], Any]
    """Makes the state of a run."""
    check: Check
    """Is told what a run did."""
    backend: Backend
    """The event loop."""
    options: Mapping[str, Any]
    """As for ``Pipe.run``."""

    def judge(self, events: list[Event], state: Any) -> TestResult[Any]:
        """Return what a run did.

        Args:
            events: what it said.
            state: what it was given.

        Raises:
            Exception: the check's, when that is wrong.
        """
        result = TestResult(events, final_state(events, state, self.steps))
        if self.check(result) is False:
            msg = "the check returned False"
            raise AssertionError(msg)
        return result


def subject_of(pipe: Pipe[Any, Any] | TestPipe[Any, Any], **details: Any) -> Subject:
    """Prepare a pipe, or a harness with mocks, for being run often.

    Args:
        pipe: the pipe or the harness.
        **details: the other fields of a ``Subject``.
    """
    harness = pipe if isinstance(pipe, TestPipe) else TestPipe(pipe)
    steps = frozenset(harness.pipe.registry.steps)
    return Subject(pipe=harness.overlaid(inline=True), steps=steps, **details)
