"""Two steps at the same time, and one that waits for both."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import anyio

from justpipe_actors import EventType, Pipe


@dataclass
class Order:
    net: int
    shipping: int = 0
    tax: int = 0
    total: int = 0


pipe = Pipe(Order, name="order")


@pipe.step(to=["ask_carrier", "work_out_tax"])
async def receive(order: Order) -> None:
    """Two names in a list: both start when this step has ended."""


@pipe.step(to="add_up")
async def ask_carrier(order: Order) -> None:
    """Stand for a slow service."""
    await anyio.sleep(0.2)
    order.shipping = 5


@pipe.step(to="add_up")
async def work_out_tax(order: Order) -> None:
    """Stand for another one."""
    await anyio.sleep(0.2)
    order.tax = order.net * 7 // 40


@pipe.step
async def add_up(order: Order) -> None:
    """Two parents lead here, so it begins when both are done: that is a join."""
    order.total = order.net + order.shipping + order.tax


async def main() -> None:
    order = Order(net=40)
    began = anyio.current_time()
    async with pipe.run(order) as run:
        async for event in run:
            if event.type in (EventType.STEP_START, EventType.STEP_END):
                at = anyio.current_time() - began
                print(f"{at:5.2f} s  {event.type.value:10}  {event.stage}")
    print(f"Result: {order.total}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    anyio.run(main, backend=options.parse_args().backend)
