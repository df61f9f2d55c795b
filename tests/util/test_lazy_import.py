"""A program imports only the modules that it uses."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import justpipe_actors
from justpipe_actors import middleware as middleware

from ..programs import code


FRONTS = (
    "justpipe_actors",
    "justpipe_actors.abc",
    "justpipe_actors.observability",
    "justpipe_actors.storage",
    "justpipe_actors.testing",
    "justpipe_actors.visualization",
)

RUN = """
import sys
import anyio
from justpipe_actors import (Pipe, Supervisor)

pipe = Pipe()

@pipe.step
async def step(): ...

async def main():
    async with Supervisor() as supervisor:
        await supervisor.run(pipe, None).wait()

anyio.run(main, backend=sys.argv[1])
print(*sys.modules)
"""


@pytest.mark.parametrize("name", FRONTS)
def test_dir_lists_all_names_of_a_package(name: str) -> None:
    """This holds for names that are not imported yet."""
    module = importlib.import_module(name)

    assert set(module.__all__) <= set(dir(module))


def test_a_lazy_module_can_be_reached_as_an_attribute() -> None:
    """It is imported at that time."""
    assert justpipe_actors.middleware is middleware


@pytest.mark.parametrize("name", FRONTS)
def test_an_unknown_name_is_an_attribute_error(name: str) -> None:
    """It is the same as in any module."""
    module = importlib.import_module(name)

    for missing in ("no_such_name", "_no_such_name"):
        with pytest.raises(AttributeError, match=f"no attribute '{missing}'"):
            getattr(module, missing)


@pytest.mark.parametrize(
    ("backend", "other"), [("asyncio", "trio"), ("trio", "asyncio")]
)
def test_a_run_imports_what_it_needs(backend: str, other: str) -> None:
    """It imports no store, no drawing, no retries, and nothing for the other loop."""
    done = subprocess.run(
        code(RUN, backend), capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.split())

    unwanted = {
        "cattrs",
        "platformdirs",
        "tenacity",
        f"justpipe_actors._backends._{other}",
        "justpipe_actors.records",
        "justpipe_actors.storage.sqlite",
        "justpipe_actors.visualization.builder",
        other,
    }
    assert f"justpipe_actors._backends._{backend}" in imported
    assert imported & unwanted == set()


FROZEN = """
from importlib.machinery import SourceFileLoader

exec_module = SourceFileLoader.exec_module

def exec_without_source(self, module):
    if module.__name__.startswith("justpipe_actors"):
        module.__spec__.origin = "frozen"
    exec_module(self, module)

SourceFileLoader.exec_module = exec_without_source
import justpipe_actors, sys
print("justpipe_actors.supervisor" in sys.modules, justpipe_actors.Pipe.__name__)
"""


def test_a_program_without_source_text_imports_everything() -> None:
    """In a frozen program the names are imported at once."""
    done = subprocess.run(code(FROZEN), capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["True", "Pipe"]


def test_a_name_without_its_extra_names_the_extra() -> None:
    """The message does not name a library that the user never chose."""
    program = (
        "import sys; sys.modules['starlette'] = None\n"
        "from justpipe_actors.errors import MissingExtraError\n"
        "try:\n"
        "    from justpipe_actors.dashboard import create_app\n"
        "except MissingExtraError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "justpipe_actors[dashboard]" in done.stdout
