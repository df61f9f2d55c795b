"""Pipes that are replaced while runs are at work, and actors that are dropped when unused."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.errors import DefinitionError


def version(number: int) -> Pipe[Any, Any]:
    """Return a version of one pipe: two steps, the second after ``state["go"]``."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="job")

    @pipe.step(to="second")
    async def first(state: dict[str, Any]) -> None:
        await state["go"].wait()

    @pipe.step
    async def second(state: dict[str, Any]) -> None:
        state["by"] = number

    return pipe


def plain(name: str = "plain") -> Pipe[Any, Any]:
    """Return a pipe of one step."""
    pipe: Pipe[Any, Any] = Pipe(dict, name=name)
    pipe.step("only")(lambda state: None)
    return pipe


async def test_new_runs_get_the_new_version() -> None:
    """After ``add_pipe`` the name means the new pipe; older runs end with the old one."""
    old: dict[str, Any] = {"go": anyio.Event()}
    new: dict[str, Any] = {"go": anyio.Event()}

    async with Supervisor(version(1)) as supervisor:
        before = await supervisor.submit("job", old)
        await anyio.wait_all_tasks_blocked()
        supervisor.add_pipe(version(2))
        after = await supervisor.submit("job", new)
        for state in (new, old):
            state["go"].set()
        await after.wait()
        await before.wait()

    assert (old["by"], new["by"]) == (1, 2)


async def test_the_actors_of_an_old_version_are_dropped_with_its_last_run() -> None:
    """They stay until all its runs have ended."""
    state, done = {"go": anyio.Event()}, {"go": anyio.Event()}
    done["go"].set()

    async with Supervisor(version(1)) as supervisor:
        run = await supervisor.submit("job", state)
        await anyio.wait_all_tasks_blocked()
        supervisor.add_pipe(version(2))
        await (await supervisor.submit("job", done)).wait()
        both = len(supervisor.snapshot().actors)
        state["go"].set()
        await run.wait()
        await anyio.wait_all_tasks_blocked()
        one = len(supervisor.snapshot().actors)

    assert (both, one) == (3, 2)


async def test_a_version_without_runs_is_dropped_at_once() -> None:
    """Replacing a pipe that no run uses leaves nothing of it."""
    done = {"go": anyio.Event()}
    done["go"].set()

    async with Supervisor(version(1)) as supervisor:
        await (await supervisor.submit("job", done)).wait()
        supervisor.add_pipe(version(2))
        actors = supervisor.snapshot().actors

    assert actors == ()


async def test_a_version_that_does_not_compile_changes_nothing() -> None:
    """It is refused, and the name still means the previous pipe."""
    broken: Pipe[Any, Any] = Pipe(dict, name="plain")
    broken.step("s", to="nowhere")(lambda state: None)

    async with Supervisor(plain()) as supervisor:
        before = supervisor.snapshot().pipes
        with pytest.raises(DefinitionError):
            supervisor.add_pipe(broken)
        end = await (await supervisor.submit("plain", {})).wait()
        after = supervisor.snapshot().pipes

    assert end.status.value == "success"
    assert before == after


async def test_a_pipe_per_request_leaves_nothing_behind() -> None:
    """A daemon that builds a pipe for each run keeps only the actors of the last few."""
    dead: list[weakref.ref[Any]] = []

    async def request(number: int) -> weakref.ref[Any]:
        pipe = plain(f"request {number}")
        await (await supervisor.submit(pipe, {})).wait()
        return weakref.ref(pipe.plan())

    async with Supervisor() as supervisor:
        for number in range(100):
            dead.append(await request(number))
        await anyio.wait_all_tasks_blocked()
        gc.collect()
        kept = len(supervisor.snapshot().actors)
        alive = sum(ref() is not None for ref in dead)

    assert kept == 16
    # The last few, and what the task that has just ended still refers to.
    assert alive <= 17


async def test_actors_of_a_sub_pipeline_stay_while_a_parent_runs() -> None:
    """They are kept as long as a run may call them."""
    child = version(1)
    parent: Pipe[Any, Any] = Pipe(dict, name="parent")
    parent.sub("inner", pipeline=child)(lambda state: state)
    state: dict[str, Any] = {"go": anyio.Event()}

    async with Supervisor() as supervisor:
        run = await supervisor.submit(parent, state)
        await anyio.wait_all_tasks_blocked()
        for number in range(20):
            await (await supervisor.submit(plain(str(number)), {})).wait()
        state["go"].set()
        end = await run.wait()

    assert end.status.value == "success"
    assert state["by"] == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "jop",
            r"No pipe is named 'jop'.*Available pipes: job, same.*Did you mean 'job'",
        ),
        ("same", "Two pipes are named 'same'"),
    ],
)
async def test_a_name_means_one_pipe(name: str, words: str) -> None:
    """A name of no pipe, or of two, raises an error that lists the known names."""
    pipes = (version(1), plain("same"), plain("same"))
    async with Supervisor(*pipes) as supervisor:
        with pytest.raises(DefinitionError, match=words):
            await supervisor.submit(name, {})


async def test_adding_a_pipe_settles_an_ambiguous_name() -> None:
    """Where two pipes had one name, ``add_pipe`` decides which one it means."""
    async with Supervisor(plain("same"), plain("same")) as supervisor:
        supervisor.add_pipe(plain("same"))
        end = await (await supervisor.submit("same", {})).wait()

    assert end.status.value == "success"


async def test_a_misspelt_option_of_a_run_is_refused() -> None:
    """The error suggests the option with the nearest spelling."""
    pipe = plain()
    async with Supervisor(pipe) as supervisor:
        with pytest.raises(
            TypeError, match=r"no option 'time_out'.*Did you mean 'timeout'"
        ):
            await supervisor.submit(pipe, {}, time_out=1)  # type: ignore[call-arg]
