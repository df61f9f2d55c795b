"""Test a pipe whose steps cost money, without spending any.

The functions that begin with ``test_`` are what you would put into your tests.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import anyio

from justpipe_actors import EventType, Pipe, Skip, TestPipe


@dataclass
class Purchase:
    amount: int
    receipt: str | None = None


def refuse(error: Exception, state: Purchase) -> Skip:
    """Do not send a receipt for what was not paid."""
    return Skip()


pipe = Pipe(Purchase, name="purchase")


@pipe.on_startup
async def log_in() -> None:
    msg = "no network in tests"
    raise ConnectionError(msg)


@pipe.step(to="charge")
async def check(purchase: Purchase) -> None:
    if purchase.amount <= 0:
        msg = f"cannot charge {purchase.amount}"
        raise ValueError(msg)


@pipe.step(to="send", on_error=refuse, retries=2, retry_wait_min=0, retry_wait_max=0)
async def charge(purchase: Purchase) -> None:
    msg = "would cost money"
    raise RuntimeError(msg)


@pipe.step
async def send(purchase: Purchase) -> None:
    purchase.receipt = f"paid {purchase.amount}"


async def test_a_purchase_is_charged_and_confirmed() -> None:
    """Mocks see what the originals would; all else is the real pipe."""
    with TestPipe(pipe) as harness:
        startup = harness.mock_startup()
        charged = harness.mock("charge")
        result = await harness.run(Purchase(30))

    assert startup.await_count == 1
    assert charged.call_args.kwargs["purchase"].amount == 30
    assert result.step_starts == ["check", "charge", "send"]
    assert result.final_state.receipt == "paid 30"


async def test_the_bank_is_asked_again() -> None:
    """Retries are a middleware, and mocks are wrapped in it like the originals."""
    with TestPipe(pipe) as harness:
        harness.mock_startup()
        charged = harness.mock("charge", side_effect=[TimeoutError("busy"), None])
        result = await harness.run(Purchase(30))

    assert charged.await_count == 2
    assert result.find_error() is None
    assert result.was_called("send")


async def test_no_receipt_without_payment() -> None:
    """The step's own handler answers for it; the pipe ends well, its branch does not run."""
    with TestPipe(pipe) as harness:
        harness.mock_startup()
        harness.mock("charge", side_effect=PermissionError("card blocked"))
        refused = await harness.run(Purchase(30))
        invalid = await harness.run(Purchase(0))

    assert not refused.was_called("send")
    assert refused.final_state.receipt is None
    assert invalid.find_error("check") == "cannot charge 0"
    assert invalid.failed_steps == ["check"]
    assert invalid.filter(EventType.FINISH)


async def main() -> None:
    for test in (
        test_a_purchase_is_charged_and_confirmed,
        test_the_bank_is_asked_again,
        test_no_receipt_without_payment,
    ):
        await test()
        print(f"passed: {test.__name__.removeprefix('test_').replace('_', ' ')}")
    print("Demo completed successfully!")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    anyio.run(main, backend=options.parse_args().backend)
