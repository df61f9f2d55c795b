"""Protection against KeyboardInterrupt in programs that may not use trio."""

from __future__ import annotations

import subprocess

from ..programs import code


PROGRAM = """
import sys
import anyio, sniffio
from justpipe_actors import Pipe, Supervisor

assert "trio" not in sys.modules
pipe = Pipe(dict)
protected = {}

@pipe.step(to="say")
async def look(state):
    protected["step"] = is_protected()

@pipe.step
async def say(state):
    yield 1

def is_protected():
    if sniffio.current_async_library() != "trio":
        return None
    import trio
    return trio.lowlevel.currently_ki_protected()

async def main():
    async with Supervisor(pipe) as supervisor:
        run = supervisor.run(pipe, {})
        while True:
            try:
                await run.__anext__()
            except StopAsyncIteration:
                break
        await supervisor.run(pipe, {}).wait()
    async with pipe.run({}) as run:
        await run.wait()
    print(run.end.status.value, protected["step"], "trio" in sys.modules)

for backend in sys.argv[1:]:
    anyio.run(main, backend=backend)
"""


def run_on(*backends: str) -> list[str]:
    """Run the program once on each loop, in one process."""
    done = subprocess.run(
        code(PROGRAM, *backends), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_program_on_asyncio_never_imports_trio() -> None:
    """This holds for a run, a supervisor and a stream of tokens."""
    assert run_on("asyncio") == ["success None False"]


def test_both_loops_work_in_one_process() -> None:
    """A program may begin on asyncio, go on under trio and return."""
    assert run_on("asyncio", "trio", "asyncio") == [
        "success None False",
        "success False True",
        "success None True",
    ]


ENGINE = """
import sys
import justpipe_actors._engine.dispatcher as dispatcher
import justpipe_actors._engine.user_code as user_code
import justpipe_actors._run.lifecycle as lifecycle
import justpipe_actors.supervisor as supervisor
assert "trio" not in sys.modules

import trio
import anyio
import justpipe_actors._backends as backends

def is_protected(function):
    return trio._core._ki._CODE_KI_PROTECTION_STATUS_WMAP[function.__code__]

def known():
    try:
        return [
            is_protected(dispatcher.Dispatcher._run_task),
            is_protected(lifecycle.execute_run),
            is_protected(supervisor.Supervisor.__aenter__),
            is_protected(user_code.call),
        ]
    except KeyError:
        return None

async def main():
    backends.current_loop()
    print(known())

print(known())
anyio.run(main, backend="trio")
"""


def test_functions_imported_before_trio_are_protected() -> None:
    """They are protected when trio runs them."""
    done = subprocess.run(code(ENGINE), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["None", "[True, True, True, False]"]
