"""When the next batch of a run in sync mode is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from justpipe_actors._engine.batch_stream import COPY_SHARE, BatchStream
from justpipe_actors._engine.journal_port import BatchDraft, BatchEnd, OnBatchEnd


TAKES = 0.5
"""Seconds that a batch takes here."""


@attrs.define
class Clock:
    """A clock that advances with each copy of the state."""

    seconds: float = 100.0

    def now(self) -> float:
        return self.seconds


@attrs.define
class Member:
    """The journal of a run with a state that is slow to copy."""

    clock: Clock
    queued: int | None = 0

    @property
    def is_untouched(self) -> bool:
        self.clock.seconds += TAKES
        return True

    def count_queued(self) -> int | None:
        return self.queued

    def waits_left(self) -> None:
        return None


@attrs.define
class Timers:
    """Notes the times at which a function is to be called."""

    due: list[float] = attrs.field(factory=list)

    def start(self, due: float, _fire: Callable[[], None], *, name: str) -> None:
        self.due.append(due)


@attrs.define
class Stage:
    """A stream of batches, and its requests."""

    clock: Clock = attrs.field(factory=Clock)
    timers: Timers = attrs.field(factory=Timers)
    drafts: list[tuple[BatchDraft, OnBatchEnd]] = attrs.field(factory=list)

    def stream(self, *, holds: bool = True) -> tuple[BatchStream, Member]:
        unused: Any = None
        stream = BatchStream(
            run=1,
            n=0,
            incarnation=1,
            holds=holds,
            put=lambda draft, on_stored: self.drafts.append((draft, on_stored)),
            codec=unused,
            call_soon=lambda func: func(),
            now=self.clock.now,
            wall_now=self.clock.now,
            timers=self.timers,  # type: ignore[arg-type]
            find_pipe=unused,
            on_lost=unused,
            on_parked=unused,
            on_broken=unused,
        )
        member = Member(self.clock)
        stream.members.append(member)  # type: ignore[arg-type]
        return stream, member

    def store_last(self) -> None:
        self.drafts[-1][1](BatchEnd.STORED)


def test_a_run_that_only_waits_for_its_commit_is_stored_at_once() -> None:
    """A chain of steps is not delayed, however long a batch takes."""
    stage = Stage()
    stream, _ = stage.stream()
    stream.request()
    stage.store_last()

    stream.request()

    assert [draft.n for draft, _ in stage.drafts] == [1, 2]
    assert stage.timers.due == []


@pytest.mark.parametrize("queued", [None, 1], ids=["code runs", "messages wait"])
def test_a_run_at_work_shares_its_batches(queued: int | None) -> None:
    """While other steps run, copies take a part of the loop's time, not all of it."""
    stage = Stage()
    stream, member = stage.stream()
    stream.request()
    ended = stage.clock.now()
    stage.store_last()
    member.queued = queued

    stream.request()

    assert len(stage.drafts) == 1
    [due] = stage.timers.due
    assert due == ended + COPY_SHARE * TAKES


def test_a_delayed_batch_is_taken_after_some_time() -> None:
    """A run at work is stored again when its last batch is long enough ago."""
    stage = Stage()
    stream, member = stage.stream()
    stream.request()
    stage.store_last()
    member.queued = None
    stage.clock.seconds += COPY_SHARE * TAKES

    stream.request()

    assert len(stage.drafts) == 2
