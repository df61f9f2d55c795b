"""Compare with the peers: one table, from fresh processes that take turns.

Each cell is the median over the rounds of CPU microseconds per unit; each ratio is the
median over the rounds of the ratio within one round, so that a machine that gets slower
meanwhile does not decide who wins.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path


ROOT = Path(__file__).parent.parent.parent

PROGRAMS = ("chain", "fan", "diamonds", "map", "tokens", "small")

ENGINES = {
    "justpipe": ("justpipe", "asyncio"),
    "langgraph": ("langgraph", "asyncio"),
    "floor": ("floor", "asyncio"),
    "ours": ("ours", "asyncio"),
    "ours, supervised": ("supervised", "asyncio"),
    "floor, trio": ("floor", "trio"),
    "ours, trio": ("ours", "trio"),
    "ours, supervised, trio": ("supervised", "trio"),
}

TARGETS = {
    ("ours", "justpipe"): {
        "chain": 0.5,
        "fan": 0.5,
        "diamonds": 0.4,
        "map": 0.15,
        "tokens": 0.12,
        "small": 0.5,
    },
    ("ours, supervised", "justpipe"): {"chain": 0.3, "small": 0.2},
    ("ours, trio", "ours"): dict.fromkeys(PROGRAMS, 1.3),
    ("ours, supervised, trio", "ours, supervised"): dict.fromkeys(PROGRAMS, 1.3),
    ("ours", "langgraph"): {**dict.fromkeys(PROGRAMS, 1 / 5), "tokens": 1 / 3},
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
    engines = [name for name in choice.engines if is_installed(ENGINES[name][0])]
    samples: Samples = defaultdict(list)
    for number in range(choice.rounds):
        for program in choice.only:
            for engine in engines:
                samples[program, engine].append(
                    measure(program, engine, choice.seconds)
                )
            print(f"round {number + 1}: {program}", file=sys.stderr)
    print_table(samples, choice.only, engines)
    print_ratios(samples, choice.only, engines)
    if choice.output:
        choice.output.write_text(json.dumps(as_record(samples), indent=2) + "\n")


def is_installed(engine: str) -> bool:
    """Tell whether a peer can be measured here."""
    return engine not in ("justpipe", "langgraph") or find_spec(engine) is not None


def measure(program: str, engine: str, seconds: float) -> float:
    """Measure one cell in a fresh process; return microseconds per unit."""
    kind, backend = ENGINES[engine]
    command = [sys.executable, "-m", "tests.benchmarks.sample", kind, program]
    command += ["--backend", backend, "--seconds", str(seconds)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return float("nan")
    return float(json.loads(done.stdout)["us"])


def print_table(samples: Samples, programs: list[str], engines: list[str]) -> None:
    """Print CPU microseconds per unit."""
    print(
        "\nCPU microseconds per unit (step, item, token; for small: a run of 3 steps)"
    )
    print(f"{'':24}" + "".join(f"{program:>10}" for program in programs))
    for engine in engines:
        row = (statistics.median(samples[program, engine]) for program in programs)
        print(f"{engine:24}" + "".join(f"{value:10.2f}" for value in row))


def print_ratios(samples: Samples, programs: list[str], engines: list[str]) -> None:
    """Print ratios within a round, each with its target and whether it is met."""
    print("\nratio, target")
    for (one, other), targets in TARGETS.items():
        if one not in engines or other not in engines:
            continue
        cells = []
        for program in programs:
            value = ratio(samples[program, one], samples[program, other])
            target = targets.get(program)
            mark = (
                ""
                if target is None
                else f" {'<=' if value <= target else '> '}{target:.2f}"
            )
            cells.append(f"{value:.2f}{mark}")
        print(f"{one + ' / ' + other:40}" + "".join(f"{cell:>14}" for cell in cells))


def ratio(ones: list[float], others: list[float]) -> float:
    """Return the median of the ratios within the rounds."""
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
