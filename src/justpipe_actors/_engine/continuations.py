"""How a run continues after a question between two steps.

A step has returned ``Ask(...)`` and ended, so no invocation exists while the question is
open.  Its continuation holds a token of the run and keeps the wave open, as an unfinished
message does; with the answer it starts the steps that follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from .._plan.plan import NO_ITEM
from .._plan.step_results import AskBetween
from .._util.lazy_classes import define
from ..errors import AskTimeout
from . import routing
from .joins import Report, Wave
from .messages import Start
from .wait_records import Place, WaitRecord


if TYPE_CHECKING:
    from .run_state import RunState


Fail = Callable[["RunState", "Place", Exception], None]
"""Records the failure of a step that has ended, and routes it."""


@define(eq=False, repr=False)
class Continuation:
    """Continuation after a question between steps; keeps the run and wave open."""

    run_state: RunState
    record: WaitRecord
    """The record of its wait."""
    place: Place
    """Where the run continues."""
    question: AskBetween
    fail: Fail
    """Fails the step if no answer arrives in time and no timeout route exists."""
    wave: Wave = attrs.field(init=False)
    """The pass through the graph it belongs to."""

    def hold(self) -> None:
        """Hold a token and the wave, as an unfinished message does."""
        self.wave = self.run_state.waves[self.place.wave]
        self.wave.live_count += 1
        self.run_state.acquire_token()

    def release(self) -> None:
        """Release the token and the wave."""
        holder = Start(self.run_state.run_id, self.place.node.name, self.wave.number)
        routing.finish_message(self.run_state, holder)

    def go_on(self, value: object) -> None:
        """Start the steps after the question, with the answer."""
        try:
            if self.run_state.halted:
                return
            if self.question.to is not None:
                self._start(self.question.to, value)
                return
            routing.report_to_successors(
                self.run_state,
                self.wave,
                self.place.node,
                Report.ARRIVED,
                cause=self.place.ids.invocation,
                item=value,
            )
        finally:
            self.release()

    def go_on_late(self) -> None:
        """Start the timeout route, or fail the step if there is none."""
        question = self.question
        if question.on_timeout is None and question.form is None:
            self.go_on(NO_ITEM)
            return
        try:
            if self.run_state.halted:
                return
            if question.on_timeout is not None:
                self._start(question.on_timeout, NO_ITEM)
                return
            error = AskTimeout(self.record.id, question.seconds or 0.0)
            self.fail(self.run_state, self.place, error)
        finally:
            self.release()

    def _start(self, target: str, value: object) -> None:
        node, cause = self.place.node, self.place.ids.invocation
        is_lap = routing.start_named_step(
            self.run_state,
            self.wave,
            node,
            target,
            cause=cause,
            scope=self.place.ids.scope,
            item=value,
        )
        if not is_lap and not node.is_leaf:
            routing.report_to_successors(
                self.run_state,
                self.wave,
                node,
                Report.ABSENT,
                chosen=target,
                cause=cause,
            )
