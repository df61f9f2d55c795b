"""Compare with the peers: one table, from fresh processes that take turns.

Each cell is the median over the rounds of CPU microseconds per unit; each ratio is the
median over the rounds of the ratio within one round, so that a machine that gets slower
meanwhile does not decide who wins.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path


ROOT = Path(__file__).parent.parent.parent

PROGRAMS = ("chain", "fan", "diamonds", "map", "tokens", "small")

PEERS = {
    "burr": ("burr", "burr"),
    "justpipe": ("justpipe", "justpipe"),
    "pydantic-graph": ("pydantic_graph", "pydantic_graph"),
    "LangGraph": ("langgraph", "langgraph"),
    "llama-index-workflows": ("llama_workflows", "workflows"),
}
"""By name: how ``sample`` calls it, and the module that is there when it is installed."""

ENGINES = {
    **{name: (kind, "asyncio") for name, (kind, _) in PEERS.items()},
    "floor": ("floor", "asyncio"),
    "ours": ("ours", "asyncio"),
    "ours, waited": ("ours-waited", "asyncio"),
    "supervised": ("supervised", "asyncio"),
    "supervised, waited": ("supervised-waited", "asyncio"),
    "floor, trio": ("floor", "trio"),
    "ours, trio": ("ours", "trio"),
    "ours, waited, trio": ("ours-waited", "trio"),
    "supervised, trio": ("supervised", "trio"),
    "supervised, waited, trio": ("supervised-waited", "trio"),
}

OF_CHEAPEST_PEER = {**dict.fromkeys(PROGRAMS, 0.8), "small": 0.75}
OF_ASYNCIO = dict.fromkeys(PROGRAMS, 1.15)
CHEAPEST = "cheapest peer"

TARGETS: dict[tuple[str, str], dict[str, float]] = {
    ("ours", "justpipe"): {"map": 0.21},
    ("supervised", "justpipe"): {"chain": 0.18},
    ("ours, waited", "justpipe"): {"chain": 0.15, "map": 0.15, "tokens": 0.04},
    ("supervised, waited", "justpipe"): {"chain": 0.14, "small": 0.30},
    ("ours", CHEAPEST): OF_CHEAPEST_PEER,
    ("supervised", CHEAPEST): OF_CHEAPEST_PEER,
    ("ours, trio", "ours"): OF_ASYNCIO,
    ("ours, waited, trio", "ours, waited"): OF_ASYNCIO,
    ("supervised, trio", "supervised"): OF_ASYNCIO,
    ("supervised, waited, trio", "supervised, waited"): OF_ASYNCIO,
    ("ours", "floor"): {},
}
"""Most that a ratio may be, by pair and program."""

Samples = dict[tuple[str, str], list[float]]


def main() -> None:
    """Measure, print the tables, write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--seconds", type=float, default=0.6, help="CPU seconds per cell"
    )
    parser.add_argument("--only", nargs="*", choices=PROGRAMS, default=PROGRAMS)
    parser.add_argument("--engines", nargs="*", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    choice = parser.parse_args()
    engines = [name for name in choice.engines if is_installed(name)]
    for name in set(choice.engines) - set(engines):
        print(f"{name} is not installed, so its row stays empty.")
    samples: Samples = defaultdict(list)
    for number in range(choice.rounds):
        for program in choice.only:
            for engine in engines:
                samples[program, engine].append(
                    measure(program, engine, choice.seconds)
                )
            add_cheapest(samples, program, engines)
            print(f"round {number + 1}: {program}", file=sys.stderr)
    print_table(samples, choice.only, choice.engines)
    missed = print_ratios(samples, choice.only)
    if choice.output:
        choice.output.write_text(json.dumps(as_record(samples), indent=2) + "\n")
    if missed:
        sys.exit(f"\n{len(missed)} targets are missed: {'; '.join(missed)}")


def add_cheapest(samples: Samples, program: str, engines: Sequence[str]) -> None:
    """Add what the cheapest of the peers took in the last round."""
    taken = [samples[program, name][-1] for name in PEERS if name in engines]
    known = [value for value in taken if not math.isnan(value)]
    samples[program, CHEAPEST].append(min(known, default=math.nan))


def is_installed(engine: str) -> bool:
    """Tell whether an engine can be measured here."""
    return engine not in PEERS or find_spec(PEERS[engine][1]) is not None


def measure(program: str, engine: str, seconds: float) -> float:
    """Measure one cell in a fresh process; return microseconds per unit."""
    kind, backend = ENGINES[engine]
    command = [sys.executable, "-m", "tests.benchmarks.sample", kind, program]
    command += ["--backend", backend, "--seconds", str(seconds)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        # A peer may have no such program, as pydantic-graph has no streams.
        reason = done.stderr.splitlines()[-1]
        print(f"{engine} has no figure for {program}: {reason}", file=sys.stderr)
        return math.nan
    return float(json.loads(done.stdout)["us"])


def print_table(
    samples: Samples, programs: Sequence[str], engines: Sequence[str]
) -> None:
    """Print CPU microseconds per unit, as a table of Markdown."""
    print("\nCPU µs per unit: a step, an item, a token; for small, a run of 3 steps\n")
    print("|".join(["| ", *programs, ""]))
    print("|".join(["", *["---"] * (len(programs) + 1), ""]))
    for engine in engines:
        cells = [shown(samples[program, engine]) for program in programs]
        print(f"| {engine} | {' | '.join(cells)} |")


def shown(values: Sequence[float]) -> str:
    """Return the median with three digits; nothing for what could not be measured."""
    middle = statistics.median(values) if values else math.nan
    if math.isnan(middle):
        return "–"
    return f"{middle:,.0f}" if middle >= 100 else f"{middle:.3g}"


def print_ratios(samples: Samples, programs: Sequence[str]) -> list[str]:
    """Print ratios within a round, each with its target; return the missed ones."""
    print("\nratio, target\n")
    missed = []
    for (one, other), targets in TARGETS.items():
        cells = []
        for program in programs:
            value = ratio(samples[program, one], samples[program, other])
            target = targets.get(program)
            is_missed = target is not None and value > target
            mark = "" if target is None else f" {'>' if is_missed else '<='} {target}"
            cells.append("–" if math.isnan(value) else f"{value:.2f}{mark}")
            if is_missed:
                missed.append(f"{program}: {one} / {other} {value:.2f} > {target}")
        print(f"| {one} / {other} | {' | '.join(cells)} |")
    return missed


def ratio(ones: list[float], others: list[float]) -> float:
    """Return the median of the ratios within the rounds."""
    if len(ones) != len(others) or not ones:
        return math.nan
    return statistics.median(a / b for a, b in zip(ones, others, strict=True))


def as_record(samples: Samples) -> dict[str, object]:
    """Return the figures with what they depend on."""
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("anyio", "trio", "attrs")},
        "us": {
            f"{program} | {engine}": values
            for (program, engine), values in samples.items()
        },
    }


if __name__ == "__main__":
    main()
