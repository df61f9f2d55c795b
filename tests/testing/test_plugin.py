"""The pytest plugin beside other plugins."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, strategies as st

from justpipe_actors import Pipe, TestPipe
from justpipe_actors.testing.virtual_clock import Backend, VirtualLoop


ROOT = Path(__file__).parents[2]

MARKED = """
import anyio, pytest, sniffio

{marks}

@pytest.mark.virtual_time
async def test_days_pass():
    before = anyio.current_time()
    await anyio.sleep(100_000)
    assert anyio.current_time() - before == 100_000
    print("ran on", sniffio.current_async_library())

@pytest.mark.virtual_time("trio")
async def test_one_loop_only():
    assert sniffio.current_async_library() == "trio"

@pytest.mark.virtual_time
@pytest.mark.xfail(strict=True, reason="it waits for nobody")
async def test_that_deadlocks():
    await anyio.Event().wait()

@pytest.mark.virtual_time
def test_plain():
    pass
"""


SCOPE = "asyncio_default_fixture_loop_scope=function"

OWN_FIXTURE = """
@pytest.fixture
def anyio_backend():
    return "trio"

pytestmark = pytest.mark.anyio
"""


def session(folder: Path, source: str, *arguments: str) -> str:
    """Run pytest on one test file as a user does, and return its output."""
    (folder / "test_it.py").write_text(source)
    ran = subprocess.run(
        [
            sys.executable,
            *("-m", "pytest", "-p", "no:cacheprovider", "-rA", "-W", "error"),
            *("-p", "justpipe_actors.testing.plugin", "-p", "no:randomly"),
            *(() if "no:asyncio" in arguments else ("-o", SCOPE)),
            *("--rootdir", str(folder), "-c", os.devnull, *arguments, "test_it.py"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stdout + ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("marks", "arguments"),
    [
        ("", ["-p", "no:asyncio", "-p", "no:trio", "-p", "no:anyio"]),
        ("", []),
        ("pytestmark = pytest.mark.anyio", ["-p", "no:asyncio"]),
        ("", ["-o", "anyio_mode=auto", "-p", "no:asyncio", "-p", "no:trio"]),
        (
            OWN_FIXTURE,
            ["-p", "no:asyncio"],
        ),
        ("", ["-o", "asyncio_mode=strict", "-p", "no:anyio"]),
    ],
    ids=["alone", "beside-all", "anyio", "anyio-auto", "own-fixture", "asyncio-strict"],
)
def test_a_marked_test_runs_in_virtual_time_beside_other_plugins(
    tmp_path: Path, marks: str, arguments: list[str]
) -> None:
    """It runs once on each loop, and a deadlock fails the test in place of a hang."""
    said = session(tmp_path, MARKED.format(marks=marks), *arguments)

    assert re.search(r"4 passed, 2 xfailed in", said), said
    assert {"ran on asyncio", "ran on trio"} <= set(said.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("marker", ["asyncio", "trio"])
def test_a_marked_test_in_real_time_is_refused(tmp_path: Path, marker: str) -> None:
    """The error says why the marker had no effect."""
    source = f"""
import pytest

@pytest.mark.{marker}
@pytest.mark.virtual_time
async def test_it():
    pass
"""
    said = session(tmp_path, source)

    assert f"virtual_time does not go with the marker {marker}" in said


@pytest.mark.slow
def test_tests_of_other_plugins_are_left_alone(tmp_path: Path) -> None:
    """Unmarked tests of pytest-trio, pytest-asyncio and anyio run as before."""
    source = """
import asyncio, anyio, pytest, trio
from justpipe_actors import (TestPipe, TestResult)

@pytest.mark.trio
async def test_trio(autojump_clock, nursery):
    await trio.sleep(1000)

@pytest.mark.asyncio
async def test_asyncio():
    await asyncio.sleep(0)

@pytest.mark.anyio
async def test_anyio():
    await anyio.lowlevel.checkpoint()
"""
    said = session(tmp_path, source)

    assert "4 passed in" in said, said


@pytest.mark.slow
def test_async_fixtures_use_the_virtual_loop(tmp_path: Path) -> None:
    """With anyio's plugin a fixture and its test share the loop."""
    source = """
import anyio, pytest

pytestmark = [pytest.mark.anyio, pytest.mark.virtual_time]

@pytest.fixture
async def later():
    await anyio.sleep(50)
    yield anyio.current_time()
    await anyio.sleep(50)

async def test_it(later):
    await anyio.sleep(50)
    assert anyio.current_time() == later + 50
"""
    said = session(tmp_path, source, "-p", "no:asyncio", "-p", "no:trio")

    assert "2 passed in" in said, said


@pytest.mark.slow
def test_the_plugin_imports_neither_the_engine_nor_a_loop() -> None:
    """Every session loads it, so it must cost little."""
    program = (
        "import sys, pytest, justpipe_actors.testing.plugin\n"
        "print(sorted(m for m in sys.modules if m.startswith('justpipe_actors')),"
        " {'trio', 'anyio', 'attrs'} & set(sys.modules))"
    )
    said = subprocess.check_output([sys.executable, "-c", program], text=True)

    shelf = "justpipe_actors.testing"
    loaded = [
        "justpipe_actors",
        "justpipe_actors._util",
        "justpipe_actors._util.lazy_import",
        shelf,
        f"{shelf}.plugin",
    ]
    assert said.strip() == f"{loaded} set()"


def test_it_is_registered_under_the_name_of_its_module() -> None:
    """So ``-p`` with this name does not load it a second time."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    entry = project["entry-points"]["pytest11"]

    assert entry == {name: name for name in entry} != {}


# -- the fixtures, used here


def application(pipe: Pipe[Any, Any]) -> Callable[[], Any]:
    """Return code under test that runs a pipe by itself."""

    async def call() -> dict[str, Any]:
        state: dict[str, Any] = {}
        await pipe.run(state).wait()
        return state

    return call


PIPE: Pipe[Any, Any] = Pipe(dict)
PIPE.step("mark")(lambda state: state.update(mark="real"))


@pytest.mark.parametrize("round", [1, 2])
async def test_the_harness_ends_with_its_test(
    round: int,  # noqa: A002
    harness: Callable[..., TestPipe[Any, Any]],
) -> None:
    """The next test does not use its mocks, although both share a context."""
    assert (await application(PIPE)()) == {"mark": "real"}
    harness(PIPE).mock("mark")
    assert (await application(PIPE)()) == {}


def test_a_plain_test_can_use_both_loops(
    virtual_loop: VirtualLoop, loop_backend: Backend
) -> None:
    """``virtual_loop.run`` is ``anyio.run`` in virtual time."""

    async def main(seconds: float) -> float:
        await anyio.sleep(seconds)
        return anyio.current_time()

    assert virtual_loop.run(main, 60) == pytest.approx(60)
    assert virtual_loop.backend == loop_backend


@pytest.mark.virtual_time
@given(st.integers(1, 100))
async def test_hypothesis_works_in_virtual_time(seconds: int) -> None:
    """The marker applies to each example."""
    await anyio.sleep(seconds)
