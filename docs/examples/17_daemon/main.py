"""A daemon in small: a poller feeds runs into a supervisor, and at closing time it drains.

The poller breaks once and is started again, one document breaks its run and no other, and
one takes too long to be waited for.  In a program of its own, the lines of ``main`` that
wait and drain are ``await serve(supervisor)`` from ``justpipe_actors.daemon``, which does
it when the process is told to end.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import anyio

from justpipe_actors import Pipe, Supervisor


@dataclass
class Document:
    name: str
    takes: float = 0.05
    is_torn: bool = False


pipe = Pipe(Document, name="documents", log_state=False)


@pipe.step(to="scan")
async def fetch(document: Document) -> None:
    await anyio.sleep(0.01)


@pipe.step(concurrency=2, to="file")
async def scan(document: Document) -> None:
    """Two at a time, counted over all runs: there are two scanners."""
    await anyio.sleep(document.takes)
    if document.is_torn:
        msg = "it is torn"
        raise ValueError(msg)


@pipe.step
async def file(document: Document) -> None:
    print(f"  filed {document.name}")


class Mailbox:
    """Stands for a queue or a directory outside; its connection breaks once."""

    def __init__(self) -> None:
        self.waiting = [Document(f"letter {n}", is_torn=n == 2) for n in range(1, 6)]
        self.waiting.append(Document("a whole book", takes=3600))
        self.is_broken = True

    async def take(self) -> Document:
        await anyio.sleep(0.02)
        if len(self.waiting) == 3 and self.is_broken:
            self.is_broken = False
            msg = "the mailbox hung up"
            raise ConnectionError(msg)
        if not self.waiting:
            await anyio.sleep_forever()
        return self.waiting.pop(0)


async def main() -> None:
    mailbox = Mailbox()
    supervisor = Supervisor(pipe, max_runs=4, grace=0.2)

    async def poll() -> None:
        """Wait for a place, not for the run: a full supervisor slows the poller down."""
        while True:
            await supervisor.submit(pipe, await mailbox.take())

    supervisor.add_service("poller", poll)
    async with supervisor:
        await anyio.sleep(1)  # business hours
        show(supervisor)
        print("closing time")
        report = await supervisor.drain()
    print(
        f"{len(report.completed)} finished, {len(report.cancelled)} cancelled, "
        f"{len(report.stuck)} stuck"
    )


def show(supervisor: Supervisor) -> None:
    """Look inside; all of it is plain data."""
    health, snapshot = supervisor.health(), supervisor.snapshot()
    print(f"live: {health.live}, ready: {health.ready}")
    for service in snapshot.services:
        print(
            f"service {service.name}: {service.state.value}, restarts: {service.restarts}"
        )
        print(f"  because of {service.last_error}")
    for actor in snapshot.actors:
        print(f"actor {actor.step}: {actor.busy} at work, {actor.depth} waiting")
    for run in snapshot.runs.values():
        print(f"run of {run.age:.1f} s, held by {', '.join(run.tokens)}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    anyio.run(main, backend=options.parse_args().backend)
