"""The failed work of a durable run, which stays in its rows so that a retry can redo it.

A message whose invocation failed moves from ``m/<id>`` to ``b/<id>`` instead of being
deleted.  What it needs stays with it: its map and the map's items and results, its child
run, what it has kept and asked, and the gates of its wave.  A retry turns these back into
live work and takes back the reports that failed steps have made; everything else of the
run stays done.

A run that is interrupted is *frozen*: its entities stay as they were at that moment, so
the work that is cancelled or dropped afterwards is still there.

Rejected: a copy from before the first failure.  Whatever succeeded after it, such as the
other items of a map, would be done again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from .._util.lazy_classes import define
from .journal_port import JsonValue


if TYPE_CHECKING:
    from .joins import Wave
    from .run_state import RunState


@define(eq=False, repr=False)
class FailedWork:
    """What one run keeps of the work that failed."""

    failing: dict[int, dict[str, JsonValue]] = attrs.field(factory=dict)
    """Messages of failed invocations that are not finished, and what to note."""
    messages: dict[int, JsonValue] = attrs.field(factory=dict)
    """The failed messages as they are recorded, by number."""
    kept_waves: set[int] = attrs.field(factory=set)
    """Numbers of the waves that are kept when they close."""
    closed: dict[int, Wave] = attrs.field(factory=dict)
    """Closed waves that are kept."""
    children: dict[int, dict[str, JsonValue]] = attrs.field(factory=dict)
    """Entities of ended child runs that are kept, by their parent's message."""
    new_children: set[int] = attrs.field(factory=set)
    """Those that the next batch has to record."""
    frozen: dict[str, JsonValue] | None = None
    """The run's entities when it was interrupted; None if it was not."""
    frozen_delta: dict[str, JsonValue] = attrs.field(factory=dict)
    """Changes until that time, for the next batch."""

    def keep_waves(self, run_state: RunState, number: int) -> None:
        """Keep a wave, and the waves around it, when they close."""
        wave = run_state.waves.get(number)
        while wave is not None:
            self.kept_waves.add(wave.number)
            wave = wave.parent_wave

    def restore(self, messages: dict[int, JsonValue], run_state: RunState) -> None:
        """Adopt the failed messages of a run that was taken up."""
        self.messages.update(messages)
        for number in list(self.closed):
            self.kept_waves.add(number)
        for value in messages.values():
            assert isinstance(value, dict)
            wave = value.get("m", value.get("e"))
            assert isinstance(wave, dict)
            self.keep_waves(run_state, int(str(wave["w"])))
