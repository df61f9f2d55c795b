"""What the start of a program costs: imported modules and CPU time."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from .programs import code


LIBRARIES = "import anyio, attrs"
FRONT = "from justpipe_actors import Pipe, Supervisor"
NOTHING = "async def main(): ..."
RUN = f"""{FRONT}
pipe = Pipe(dict)

@pipe.step(to="second")
async def first(): ...

@pipe.step
async def second(): ...

async def main():
    async with pipe.run({{}}) as run:
        await run.wait()
"""
TIMED = """
import time
{}
print(time.process_time())
"""
SLACK = 1.3
"""A shared machine may be slower by so much in one of two programs."""

UNUSED = (
    "cattrs",
    "datetime",
    "decimal",
    "difflib",
    "fractions",
    "html",
    "numbers",
    "platformdirs",
    "sqlite3",
    "tenacity",
    "trio",
    "uuid",
    "justpipe_actors._backends._trio",
    "justpipe_actors._engine.isolation",
    "justpipe_actors._engine.map_step",
    "justpipe_actors._engine.remote_calls",
    "justpipe_actors._engine.run_journal",
    "justpipe_actors._engine.run_waits",
    "justpipe_actors._plan.lost_updates",
    "justpipe_actors._plan.state_parts",
    "justpipe_actors._publishing.kept_events",
    "justpipe_actors._run.durable_run",
    "justpipe_actors._supervision.resource",
    "justpipe_actors._supervisor.core",
    "justpipe_actors._util.await_chain",
    "justpipe_actors.cli",
    "justpipe_actors.dashboard",
    "justpipe_actors.journals.sqlite",
    "justpipe_actors.merge",
    "justpipe_actors.observability.logger",
    "justpipe_actors.records",
    "justpipe_actors.storage.sqlite",
    "justpipe_actors.testing",
    "justpipe_actors.visualization.builder",
    "justpipe_actors.web",
)
"""Modules that a program with one pipe on asyncio has no use for."""


def modules_after(text: str) -> set[str]:
    """Return the modules that a fresh process has imported after some code."""
    done = subprocess.run(
        code(f"{text}\nimport sys\nprint(*sys.modules)"),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def best_times(folder: Path, programs: Mapping[str, str]) -> dict[str, float]:
    """Return the least CPU seconds of programs that take turns, with compiled byte code."""
    setting = os.environ | {"PYTHONPYCACHEPREFIX": str(folder)}
    setting.pop("PYTHONDONTWRITEBYTECODE", None)
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(6):
        for name, text in programs.items():
            done = subprocess.run(
                code(TIMED.format(text)),
                capture_output=True,
                text=True,
                check=True,
                env=setting,
            )
            times[name].append(float(done.stdout))
    return {name: min(taken[1:]) for name, taken in times.items()}


@pytest.mark.parametrize("text", [FRONT, f"{RUN}\nimport anyio\nanyio.run(main)"])
def test_a_program_imports_no_more_than_it_uses(text: str) -> None:
    """Neither the import nor a run on asyncio loads parts for other programs."""
    bare = modules_after(f"{LIBRARIES}\n{NOTHING}\nanyio.run(main)")

    assert (modules_after(text) - bare).isdisjoint(UNUSED)


def test_the_import_alone_loads_no_engine() -> None:
    """A module that only defines pipes does not load the parts that run them."""
    loaded = modules_after(FRONT)

    engine = ("justpipe_actors._engine.", "justpipe_actors._run.")
    assert "justpipe_actors.pipe" in loaded
    assert [name for name in loaded if name.startswith(engine)] == []


@pytest.mark.slow
def test_a_start_takes_little_more_than_that_of_the_libraries(tmp_path: Path) -> None:
    """The import takes at most twice that of anyio and attrs, a run twice an empty loop."""
    times = best_times(
        tmp_path,
        {
            "libraries": LIBRARIES,
            "import": FRONT,
            "loop": f"{LIBRARIES}\n{NOTHING}\nanyio.run(main)",
            "run": f"{RUN}\nimport anyio\nanyio.run(main)",
        },
    )

    assert times["import"] <= 1.85 * times["libraries"] * SLACK
    assert times["run"] <= 2.0 * times["loop"] * SLACK
