"""Steps that cannot run in another process are refused before anything runs."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from justpipe_actors import DefinitionError, Pipe
from justpipe_actors.abc import AnyPlacement, is_remote
from justpipe_actors.cancellation import CancellationToken
from justpipe_actors.placements import ProcessPlacement, RayPlacement, ThreadPlacement
from justpipe_actors.types import Meta

from ..programs import file, started
from . import functions
from .functions import Report


AnyPipe = Pipe[Any, Any]


@dataclass
class Noting:
    """A context with a field for ``Meta``."""

    meta: Meta | None = None


def ask_token(cancel: CancellationToken) -> None:
    """Take a parameter that cannot be sent."""


def ask_meta(meta: Meta) -> None:
    """Take a parameter that cannot be sent."""


def ask_session(session: Any) -> None:
    """Take a resource."""


def use_context(context: Noting) -> None:
    """Take a context with ``Meta``."""


def stream() -> Iterator[str]:
    """Yield in a plain generator."""
    yield "token"


async def stream_async() -> AsyncIterator[str]:
    """Yield in an async generator."""
    yield "token"


def local() -> Callable[[], None]:
    """Return a function that no other process can import."""

    def inner() -> None: ...

    return inner


REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "lambda": (lambda: None, "lambda; define it with def at the top level"),
    "local": (local(), "inside a function; move it to the top level"),
    "token": (ask_token, "cancellation token .* Remove the parameter"),
    "meta": (ask_meta, "exists only where the run is"),
    "stream": (stream, "yields .* Return a list"),
    "async stream": (stream_async, "yields .* Return a list"),
    "open file": (open(__file__).readline, "cannot be pickled"),  # noqa: SIM115
}


@pytest.mark.parametrize(("func", "text"), REFUSED.values(), ids=REFUSED)
def test_an_invalid_placed_step_is_refused_at_registration(
    func: Callable[..., Any], text: str
) -> None:
    """The decorator raises a DefinitionError that names the step and the remedy."""
    pipe = AnyPipe(Report)

    with pytest.raises(DefinitionError, match=text) as caught:
        pipe.step("far", placement="process")(func)

    assert caught.value.step_name == "far"
    assert "Step 'far' cannot run in placement 'process'" in str(caught.value)
    assert not pipe.registry.steps


def test_a_resource_is_refused_wherever_it_was_defined() -> None:
    """A step with a resource is refused by the decorator or by validation."""
    before, after = AnyPipe(), AnyPipe()

    async def session() -> AsyncIterator[str]:
        yield "open"

    before.resource(session)
    with pytest.raises(DefinitionError, match="resource 'session', which stays here"):
        before.step("far", placement="process")(ask_session)

    after.step("far", placement="process")(ask_session)
    after.resource(session)
    with pytest.raises(DefinitionError, match="resource 'session', which stays here"):
        after.validate()


def test_a_context_with_meta_is_refused() -> None:
    """Notes are made in the process of the run."""
    pipe = AnyPipe(dict, Noting)
    pipe.step("far", placement="process")(use_context)

    with pytest.raises(DefinitionError, match="context with Meta"):
        pipe.validate()


def test_a_name_that_hides_the_function_is_refused() -> None:
    """A worker that imports the name must get the same function."""

    def disguised() -> None: ...

    disguised.__qualname__ = "Report"
    disguised.__module__ = functions.__name__
    pipe = AnyPipe()
    pipe.step("far", placement="process")(disguised)

    with pytest.raises(DefinitionError, match="not the same object"):
        pipe.plan()


def test_async_functions_are_for_remote_placements() -> None:
    """An async function cannot run in a thread, but in a process."""
    pipe = AnyPipe(Report)

    with pytest.raises(DefinitionError, match="already shares the loop"):
        pipe.step("near", placement="thread")(functions.add_word_async)
    pipe.step("far", placement="process")(functions.add_word_async)

    assert list(pipe.registry.steps) == ["far"]


def test_an_unknown_name_is_refused_when_validated() -> None:
    """The error lists the known names, with those of the pipe."""
    pipe = AnyPipe(placements={"gpu": RayPlacement(num_gpus=1)})
    pipe.step("far", placement="moon")(functions.log_something)

    with pytest.raises(DefinitionError, match="here, gpu, process, ray, thread"):
        pipe.validate()


def test_configured_placements_have_names() -> None:
    """``Pipe(placements=...)`` names instances and may replace a built-in one."""
    small = ProcessPlacement(workers=1)
    pipe = AnyPipe(Report, placements={"small": small, "process": small})
    pipe.step("a", placement="small", to="b")(functions.add_word)
    pipe.step("b", placement="process")(functions.add_word)

    assert [node.placement for node in pipe.plan().nodes.values()] == [small, small]


def test_which_placements_are_remote() -> None:
    """Threads share memory with the loop; processes and clusters do not."""
    kinds: list[AnyPlacement] = [ThreadPlacement(), ProcessPlacement(), RayPlacement()]

    assert [is_remote(kind) for kind in kinds] == [False, True, True]


def test_sizes_of_pools_are_positive() -> None:
    """A pool without workers would never run a call."""
    with pytest.raises(ValueError, match="workers must be at least 1, not 0"):
        ProcessPlacement(workers=0)
    with pytest.raises(ValueError, match="max_calls must be at least 1, not -1"):
        ProcessPlacement(max_calls=-1)


def test_without_ray_the_error_has_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pipe that needs Ray is refused before anything runs."""
    monkeypatch.setitem(sys.modules, "ray", None)
    pipe = AnyPipe(Report)
    pipe.step("far", placement="ray")(functions.add_word)

    with pytest.raises(DefinitionError, match=r"pip install 'justpipe_actors\[ray\]'"):
        pipe.validate()


# -- scripts

SCRIPT = """
import sys
import anyio
from justpipe_actors import Pipe

pipe = Pipe(dict)

@pipe.step(placement="process")
def work(state):
    state["name"] = __name__

async def main():
    state = {{}}
    end = await pipe.run(state).wait()
    print(state, end.error)

{start}
"""

GUARDED = 'if __name__ == "__main__":\n    anyio.run(main, backend=sys.argv[1])'
UNGUARDED = "anyio.run(main, backend=sys.argv[1])"
DISGUISED = "name = __name__\nanyio.run(main, backend=sys.argv[1])"


def output_of(start: str, folder: Path, backend: str) -> str:
    """Run a script and return its output."""
    script = folder / "script.py"
    script.write_text(SCRIPT.format(start=start), encoding="utf-8")
    with started(file(script, backend)) as process:
        out, err = process.communicate(timeout=50)
    return out + err


@pytest.mark.slow
def test_functions_of_a_script_are_found(
    tmp_path: Path, anyio_backend: tuple[str, dict[str, Any]]
) -> None:
    """A script with a ``__main__`` guard may define its own steps."""
    said = output_of(GUARDED, tmp_path, anyio_backend[0])

    assert said == "{'name': '__mp_main__'} None\n"


@pytest.mark.slow
def test_a_script_without_a_guard_is_refused(
    tmp_path: Path, anyio_backend: tuple[str, dict[str, Any]]
) -> None:
    """Nothing runs, and the error shows the two missing lines."""
    said = output_of(UNGUARDED, tmp_path, anyio_backend[0])

    assert "DefinitionError: Step 'work' cannot run in placement 'process'" in said
    assert 'if __name__ == "__main__":\n        main()' in said


@pytest.mark.slow
def test_a_script_that_runs_when_it_is_imported_fails_its_step(
    tmp_path: Path, anyio_backend: tuple[str, dict[str, Any]]
) -> None:
    """A guard around too little fails the step once, with the same message."""
    said = output_of(DISGUISED, tmp_path, anyio_backend[0])

    assert said.count("starts a pipeline while a worker imports it") >= 1
    assert 'if __name__ == "__main__":\n        main()' in said


LOGGING = """
import logging.config
import sys
import anyio
from justpipe_actors import Pipe

logging.config.dictConfig({
    "version": 1,
    "formatters": {"plain": {"format": "%(levelname)s %(message)s"}},
    "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout",
                         "formatter": "plain"}},
    "root": {"level": "INFO", "handlers": ["out"]},
})
pipe = Pipe(dict)

@pipe.step(placement="process")
def work():
    logging.info("once")

if __name__ == "__main__":
    anyio.run(pipe.run({}).wait, backend=sys.argv[1])
"""


@pytest.mark.slow
def test_a_script_that_configures_logging_logs_once(
    tmp_path: Path, anyio_backend: tuple[str, dict[str, Any]]
) -> None:
    """A record of a worker is handled by the handlers of the script alone."""
    script = tmp_path / "script.py"
    script.write_text(LOGGING, encoding="utf-8")
    with started(file(script, anyio_backend[0])) as process:
        out, err = process.communicate(timeout=50)

    assert (out, err) == ("INFO once\n", "")


NOTEBOOK = """
from justpipe_actors import Pipe
pipe = Pipe(dict)
def cell(state): ...
try:
    pipe.step(placement="process")(cell)
except Exception as error:
    print(error)
"""


@pytest.mark.slow
def test_functions_of_notebooks_are_refused() -> None:
    """A function that was typed into a session is in no file that a worker can import."""
    with started([sys.executable, "-c", NOTEBOOK]) as process:
        out, _ = process.communicate(timeout=50)

    assert "notebook or an interactive session" in out
    assert "move it into a module" in out
