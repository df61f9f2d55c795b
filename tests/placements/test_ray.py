"""Steps with ``placement="ray"``, on a cluster that these tests start."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.errors import PlacementLost, RemoteError
from justpipe_actors.placements import RayPlacement
from justpipe_actors.testing.conformance import PLACEMENT_CHECKS
from justpipe_actors.testing.conformance.placements import Check

from ..helpers import error_of
from . import functions
from .functions import Report


AnyPipe = Pipe[Any, Any]

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]

if importlib.util.find_spec("ray") is None:
    if os.environ.get("JUSTPIPE_ACTORS_REQUIRE_RAY") == "1":
        pytest.fail("This session must run the tests on Ray.", pytrace=False)
    pytest.skip("needs the extra [ray]", allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Any]:
    """Return Ray, connected to a cluster of this module."""
    ray = importlib.import_module("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


def one_step(func: Callable[..., Any], **options: Any) -> AnyPipe:
    """Return a pipe with one step on Ray."""
    pipe = AnyPipe(Report)
    pipe.step("work", placement="ray", **options)(func)
    return pipe


def is_any_running(folder: Path) -> bool:
    """Tell whether a process runs whose id is the name of a file in a folder."""
    return any(Path("/proc", path.name).exists() for path in folder.iterdir())


@pytest.mark.parametrize("check", PLACEMENT_CHECKS, ids=lambda check: check.__name__)
async def test_ray_keeps_the_contract(check: Check) -> None:
    """Each check of the conformance suite for placements holds for Ray."""
    await check(RayPlacement())


async def test_a_cluster_of_the_program_is_left_alone(cluster: Any) -> None:
    """A connection of the program stays when an owner closes."""
    state = Report()

    async with Supervisor():
        await one_step(functions.add_word).run(state).wait()

    assert state.words == ["there"]
    assert cluster.is_initialized()


async def test_local_functions_and_classes_are_sent() -> None:
    """Ray pickles by value what its workers cannot import."""
    word = "closure"

    async def append(state: Report) -> None:
        state.words.append(word)

    state = Report()

    end = await one_step(append).run(state).wait()

    assert (end.error, state.words) == (None, ["closure"])


async def test_a_lost_worker_fails_its_step() -> None:
    """The step fails with PlacementLost, and ``retries=`` begins it again."""
    error = await error_of(one_step(functions.kill_self), Report())

    assert isinstance(error, PlacementLost)
    assert (error.step, error.placement) == ("work", "ray")


async def test_retries_apply_to_a_lost_worker(tmp_path: Path) -> None:
    """With ``retries=`` the step runs again, on another worker."""
    state = Report(folder=str(tmp_path))
    pipe = one_step(functions.kill_self_once, retries=2, retry_wait_min=0)

    end = await pipe.run(state).wait()

    assert (end.error, state.count) == (None, 1)


async def test_errors_come_back() -> None:
    """An error has its type and its traceback from the worker, or at least its text."""
    error = await error_of(one_step(functions.change_and_fail), Report())
    other = await error_of(one_step(functions.fail_unpicklable), Report())

    assert type(error) is LookupError
    assert "in change_and_fail" in "".join(error.__notes__)
    assert isinstance(other, RemoteError)
    assert other.kind == "UnpicklableError"


async def test_log_records_are_handled_in_this_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Records of a remote step have the run and the step."""
    with caplog.at_level(logging.INFO):
        run = one_step(functions.log_something).run(Report())
        await run.wait()

    first = next(one for one in caplog.records if one.name == "their.module")
    assert (first.__dict__["run"], first.__dict__["step"]) == (run.run_id, "work")


async def test_a_big_state_is_stored_once(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers of a map that share a big state share one copy in the object store."""
    stored: list[Any] = []
    put = cluster.put

    def counted(value: Any) -> Any:
        stored.append(value)
        return put(value)

    monkeypatch.setattr(cluster, "put", counted)
    pipe = AnyPipe(Report)
    pipe.map("fan", each="look")(lambda: range(10))
    pipe.step("look", placement=RayPlacement())(functions.look_at)

    end = await pipe.run(Report(folder="x" * 200_000)).wait()

    assert end.error is None
    assert len(stored) == 1


async def test_a_timeout_ends_the_task(tmp_path: Path) -> None:
    """A computation that never waits is interrupted when its step times out."""
    pipe = one_step(functions.work_for_ever, timeout=5.0)

    end = await pipe.run(Report(folder=str(tmp_path))).wait()

    assert end.error == "Step 'work' timed out after 5s"
    state = Report()
    assert (await one_step(functions.add_word).run(state).wait()).error is None


async def test_a_function_that_ignores_interrupts_is_killed(tmp_path: Path) -> None:
    """After some seconds its worker is killed, and the next call gets another one."""
    pipe = one_step(functions.ignore_interrupts, timeout=3.0)

    end = await pipe.run(Report(folder=str(tmp_path))).wait()

    assert end.error == "Step 'work' timed out after 3s"
    with anyio.fail_after(30):
        while is_any_running(tmp_path):  # noqa: ASYNC110 - no signal comes from there
            await anyio.sleep(0.05)
