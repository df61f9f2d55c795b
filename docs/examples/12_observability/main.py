"""Watch a run: a log, a timeline, what each step did to the state, numbers, a store.

Observers only listen: each has a queue of its own, and a slow or broken one holds up
nothing.  The store here is in memory and gone afterwards; give ``storage=`` a directory,
or leave it out and say ``persist=True``, and ``justpipe-actors list`` shows the runs.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

import anyio

from justpipe_actors import Event, Pipe
from justpipe_actors.observability import (
    EventLogger,
    Observer,
    ObserverMeta,
    StateDiffTracker,
    TimelineVisualizer,
)
from justpipe_actors.storage import InMemoryBackend


class Checkout:
    def __init__(self, prices: list[int]) -> None:
        self.prices = prices
        self.total = 0
        self.discount = 0
        self.paid = False


class StepCounter(Observer):
    """An observer of your own: only the hooks it wants, for any number of runs."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    async def on_event(
        self, state: Any, context: Any, meta: ObserverMeta, event: Event
    ) -> None:
        self.seen[event.type.value] += 1


store = InMemoryBackend()
pipe = Pipe(Checkout, name="checkout", storage=store, log_state=False)
timelines, states, counter = (
    TimelineVisualizer(width=72),
    StateDiffTracker(),
    StepCounter(),
)
logger = EventLogger(
    level="INFO", sink=lambda one: print(one.message), show_state=False
)
for observer in (logger, timelines, states, counter):
    pipe.add_observer(observer)


@pipe.map(each="price", to=["find_discount", "check_stock"], max_concurrency=2)
def items(checkout: Checkout) -> list[int]:
    return checkout.prices


@pipe.step
async def price(item: int, checkout: Checkout) -> None:
    await anyio.sleep(0.01 * item)
    checkout.total += item


@pipe.step(to="pay")
async def find_discount(checkout: Checkout) -> None:
    await anyio.sleep(0.03)
    checkout.discount = checkout.total // 10


@pipe.step(to="pay")
async def check_stock(checkout: Checkout) -> None:
    await anyio.sleep(0.05)


@pipe.step
async def pay(checkout: Checkout) -> None:
    if checkout.total > 20:
        msg = "card declined"
        raise PermissionError(msg)
    checkout.paid = True


async def main() -> None:
    print("JUSTPIPE OBSERVABILITY DEMO\n\n-- the log")
    ends = []
    for prices in ([4, 7, 2], [9, 8, 7]):
        async with pipe.run(Checkout(prices)) as run:
            ends.append(await run.wait())

    print("\n-- the last run's timeline")
    print(timelines.render_ascii())
    print("\n-- what find_discount did to the state")
    print(states.diff("items", "find_discount"))
    print("\n-- the numbers that FINISH carries")
    end, metrics = ends[-1], ends[-1].metrics
    assert metrics is not None
    print(f"Total Duration: {end.duration_s:.2f} s")
    for step, timing in metrics.step_latency.items():
        print(f"  {step:14} {timing.count} x {timing.avg_s * 1000:3.0f} ms")
    print(f"  workers at once: {metrics.maps.peak_workers}")
    print(f"\n-- events of both runs\n{dict(counter.seen)}")
    print("\n-- the store")
    for record in store.list_runs():
        print(f"  {record.label:8} {record.error_message or ''}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    anyio.run(main, backend=options.parse_args().backend)
