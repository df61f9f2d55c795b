"""An actor serves its runs in turn, one message each."""

from __future__ import annotations

from hypothesis import given, strategies as st

from justpipe_actors._engine.actor import Inbox
from justpipe_actors._engine.messages import Start


def start(run: str, number: int = 0, map_id: str | None = None) -> Start:
    """Return a message of a run."""
    return Start(run, f"step{number}", 1, map_id=map_id)


def test_a_busy_run_delays_another_by_one_message() -> None:
    """The single message of one run waits for one message of a run that has two thousand."""
    inbox = Inbox()
    for number in range(2000):
        inbox.put(start("busy", number))
    inbox.put(start("light"))

    taken = [inbox.take() for _ in range(2)]
    assert [message.run_id for message in taken if message] == ["busy", "light"]


@given(runs=st.lists(st.sampled_from("abc"), max_size=40))
def test_messages_are_taken_once_and_in_the_order_of_their_run(runs: list[str]) -> None:
    """No message is lost, whatever the order of puts and takes."""
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
    """``drop`` returns the messages of that run, or only those for workers of maps."""
    inbox = Inbox()
    plain, worker, other = start("a"), start("a", map_id="f"), start("b")
    for message in (plain, worker, other):
        inbox.put(message)

    assert inbox.drop("a", workers_only=True) == [worker]
    assert inbox.drop("a") == [plain]
    assert inbox.drop("a") == []
    statistics = inbox.statistics()
    assert (statistics.depth, statistics.runs, statistics.taken) == (1, 1, 0)
