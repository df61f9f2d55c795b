"""Two ways to wait for parents: for the first of them, or for all.

The profile comes from a cache or from the database, whichever answers first.
The decision needs the profile and the limits.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import anyio

from justpipe_actors import Pipe
from justpipe_actors.types import BarrierType


@dataclass
class Loan:
    user: str
    cache_takes: float
    profile: str = ""
    limit: int = 0
    verdict: str = ""


pipe = Pipe(Loan, name="loan")


@pipe.step(to=["ask_cache", "ask_database", "ask_limits"])
async def receive(loan: Loan) -> None:
    print(f"Starting fetch for user {loan.user}")


@pipe.step(to="use_profile")
async def ask_cache(loan: Loan) -> None:
    await anyio.sleep(loan.cache_takes)
    loan.profile = loan.profile or "from the cache"


@pipe.step(to="use_profile")
async def ask_database(loan: Loan) -> None:
    await anyio.sleep(0.1)
    loan.profile = loan.profile or "from the database"


@pipe.step(barrier_type=BarrierType.ANY, to="decide")
async def use_profile(loan: Loan) -> None:
    """Runs once, for the first; the other one still ends, and changes nothing."""
    print(f"  profile {loan.profile}")


@pipe.step(to="decide")
async def ask_limits(loan: Loan) -> None:
    await anyio.sleep(0.15)
    loan.limit = 5000
    print("  limits known")


@pipe.step
async def decide(loan: Loan) -> None:
    """Waits for both, which is what a step with several parents does."""
    loan.verdict = f"{loan.user} may borrow {loan.limit}"
    print(f"Finalizing decision: {loan.verdict}")


async def main() -> None:
    for loan in (Loan("ada", cache_takes=0.02), Loan("bob", cache_takes=0.3)):
        async with pipe.run(loan) as run:
            await run.wait()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    anyio.run(main, backend=options.parse_args().backend)
