"""Messages wait their turn; runs take turns."""

from __future__ import annotations

from hypothesis import given, strategies as st

from justpipe_actors._engine.actor import Inbox
from justpipe_actors._engine.messages import Start


def start(run: str, number: int = 0, map_id: str | None = None) -> Start:
    """Return a message of a run."""
    return Start(run, f"step{number}", 1, map_id=map_id)


def test_a_busy_run_delays_another_by_one_message() -> None:
    """A single message waits for one message of a run that queued two thousand."""
    inbox = Inbox()
    for number in range(2000):
        inbox.put(start("busy", number))
    inbox.put(start("light"))

    taken = [inbox.take() for _ in range(2)]
    assert [message.run_id for message in taken if message] == ["busy", "light"]


@given(runs=st.lists(st.sampled_from("abc"), max_size=40))
def test_nothing_is_lost_and_each_run_keeps_its_order(runs: list[str]) -> None:
    """What was put is taken, once, in its run's order."""
    inbox = Inbox()
    put = [start(run, number) for number, run in enumerate(runs)]
    for message in put:
        inbox.put(message)
    taken = [inbox.take() for _ in put]

    assert inbox.take() is None
    for run in "abc":
        mine = [m for m in taken if m is not None and m.run_id == run]
        assert mine == [m for m in put if m.run_id == run]


def test_dropping_a_run_leaves_the_others() -> None:
    """Dropped messages are handed back to be accounted for; workers can go alone."""
    inbox = Inbox()
    plain, worker, other = start("a"), start("a", map_id="f"), start("b")
    for message in (plain, worker, other):
        inbox.put(message)

    assert inbox.drop("a", workers_only=True) == [worker]
    assert inbox.drop("a") == [plain]
    assert inbox.drop("a") == []
    statistics = inbox.statistics()
    assert (statistics.depth, statistics.runs, statistics.taken) == (1, 1, 0)
