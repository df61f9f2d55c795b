"""Parallel agents that write into one report, and one that fails half-way.

Each of them works on a copy of the report; what it changed is merged when it succeeds.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import Annotated

import anyio

from justpipe_actors import Merge, Pipe


def longest(committed: str, changed: str) -> str:
    """Keep the longer of two summaries."""
    return max(committed, changed, key=len)


@dataclass
class Report:
    findings: list[str] = field(default_factory=list)
    sources: set[str] = field(default_factory=set)
    tokens: Annotated[int, Merge.add] = 0
    summary: Annotated[str, Merge(longest)] = ""


pipe = Pipe(Report, name="report", state_mode="isolated")


@pipe.map(each="research", to="publish")
def topics() -> list[str]:
    return ["actors", "supervision", "back pressure"]


def drop(report: Report, error: Exception) -> None:
    """Handle a failure: keep what is worth keeping of the half-made change."""
    report.findings.clear()
    print(f"  given up: {error}")


@pipe.step(on_error=drop)
async def research(report: Report, topic: str) -> None:
    """Read, wait for a model, write: what loses updates in shared state."""
    used = report.tokens
    report.findings.append(f"{topic}: half a sentence")
    await anyio.sleep(0.01)
    if topic == "supervision":
        msg = "the model hung up"
        raise ConnectionError(msg)
    report.findings[-1] = f"{topic}: understood"
    report.sources.add(f"https://example.org/{len(topic)}")
    report.tokens = used + 100
    report.summary = f"All about {topic}"


@pipe.step
def publish(report: Report) -> None:
    for finding in sorted(report.findings):
        print(f"  {finding}")
    print(f"Summary: {report.summary}; {len(report.sources)} sources")
    print(f"Tokens used: {report.tokens}")


async def main() -> None:
    async with pipe.run(Report()) as run:
        await run.wait()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    anyio.run(main, backend=options.parse_args().backend)
