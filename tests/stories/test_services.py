"""Services of a supervisor: their order beside runs, their restarts and failures."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import anyio
import pytest

from justpipe_actors import DefinitionError, Pipe, Supervisor
from justpipe_actors.errors import (
    ChildStartFailed,
    RestartIntensityExceeded,
    RunRejected,
)


pytestmark = pytest.mark.virtual_time


def logging_pipe(log: list[str]) -> Pipe[Any, Any]:
    """Return a pipe whose step takes a second, or for ever, and logs its end."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="p")

    @pipe.step
    async def s(state: dict[str, Any]) -> None:
        log.append("run begins")
        try:
            await anyio.sleep(state["seconds"])
        finally:
            log.append("run ends")

    return pipe


def logging_service(log: list[str], name: str) -> Any:
    """Return a service that logs its begin and its end."""

    async def serve(*, task_status: Any) -> None:
        await anyio.sleep(1)
        log.append(f"+{name}")
        task_status.started()
        try:
            await anyio.sleep_forever()
        finally:
            log.append(f"-{name}")

    return serve


async def test_services_run_from_before_the_first_run_to_after_the_last() -> None:
    """They start in order before the block begins; after the runs they stop in reverse."""
    log: list[str] = []
    pipe = logging_pipe(log)
    supervisor = Supervisor(pipe)
    supervisor.add_service("a", logging_service(log, "a"))
    supervisor.add_service("b", logging_service(log, "b"))
    async with supervisor:
        log.append("block")
        run = await supervisor.submit(pipe, {"seconds": 1})

    assert log == ["+a", "+b", "block", "run begins", "run ends", "-b", "-a"]
    assert (await run.wait()).status.value == "success"


async def test_cancelling_the_block_keeps_the_order() -> None:
    """The runs end at once, and still before the services that they may need."""
    log: list[str] = []
    pipe = logging_pipe(log)
    supervisor = Supervisor()
    supervisor.add_service("a", logging_service(log, "a"))
    with anyio.move_on_after(10):
        async with supervisor:
            run = await supervisor.submit(pipe, {"seconds": 1e6})
            await anyio.sleep_forever()

    assert log == ["+a", "run begins", "run ends", "-a"]
    assert run.end is not None
    assert run.end.error == "The supervisor was cancelled"


async def test_a_service_may_submit_runs_while_others_start() -> None:
    """``submit`` waits until all services have started; ``submit_nowait`` is rejected."""
    log: list[str] = []
    pipe = logging_pipe(log)
    supervisor = Supervisor()

    async def poll() -> None:
        with pytest.raises(RunRejected, match="still starting"):
            supervisor.submit_nowait(pipe, {"seconds": 0})
        log.append("asks")
        await supervisor.submit(pipe, {"seconds": 0})
        await anyio.sleep_forever()

    supervisor.add_service("poll", poll)
    supervisor.add_service("late", logging_service(log, "late"))
    async with supervisor:
        await anyio.sleep(1)

    assert log == ["asks", "+late", "run begins", "run ends", "-late"]


async def test_a_failed_service_is_restarted_beside_the_runs() -> None:
    """The runs and the block do not notice; the snapshot shows it."""
    pipe = logging_pipe([])
    lives: list[float] = []

    async def flaky() -> None:
        lives.append(anyio.current_time())
        if len(lives) == 1:
            raise ConnectionError("gone")
        await anyio.sleep_forever()

    supervisor = Supervisor()
    supervisor.add_service("flaky", flaky)
    async with supervisor:
        run = await supervisor.submit(pipe, {"seconds": 3})
        end = await run.wait()
        (service,) = supervisor.snapshot().services

    assert end.status.value == "success"
    assert (service.name, service.incarnation, service.restarts) == ("flaky", 2, 1)
    assert service.last_error == "ConnectionError: gone"


@pytest.mark.parametrize("leaving", [False, True])
async def test_too_many_failures_end_the_runs_and_are_raised(leaving: bool) -> None:
    """The block raises RestartIntensityExceeded, while it works and while it is left."""
    log: list[str] = []
    pipe = logging_pipe(log)

    async def hopeless() -> None:
        await anyio.sleep(0.5)
        raise ConnectionError("still gone")

    supervisor = Supervisor(intensity=1, period=100, grace=100)
    supervisor.add_service("steady", logging_service(log, "steady"))
    supervisor.add_service("hopeless", hopeless)
    with pytest.raises(RestartIntensityExceeded) as caught:
        async with supervisor:
            run = await supervisor.submit(pipe, {"seconds": 1e6})
            if not leaving:
                await anyio.sleep_forever()

    assert isinstance(caught.value.__cause__, ConnectionError)
    assert log == ["+steady", "run begins", "run ends", "-steady"]
    assert run.end is not None
    assert run.end.status.value == "cancelled"
    assert run.end.error == str(caught.value)


async def test_an_error_of_the_block_is_raised_before_one_of_services() -> None:
    """The block's own error is raised, and the other one is logged."""

    async def hopeless() -> None:
        raise ConnectionError("gone")

    supervisor = Supervisor(intensity=0)
    supervisor.add_service("hopeless", hopeless)
    with pytest.raises(KeyError):
        async with supervisor:
            try:
                await anyio.sleep_forever()
            finally:
                raise KeyError("mine")


async def test_a_service_that_does_not_start_prevents_the_block() -> None:
    """The error is the service's, and the started services are stopped."""
    log: list[str] = []

    async def broken(*, task_status: Any) -> None:
        raise ConnectionError("no")

    supervisor = Supervisor()
    supervisor.add_service("a", logging_service(log, "a"))
    supervisor.add_service("broken", broken)
    with pytest.raises(ChildStartFailed, match="'broken' did not start") as caught:
        async with supervisor:
            pytest.fail("the block began")

    assert isinstance(caught.value.__cause__, ConnectionError)
    assert log == ["+a", "-a"]


async def takes_two(task_status: Any, queue: Any) -> None:
    """Take the status and another parameter."""


async def takes_a_keyword(*, queue: Any) -> None:
    """Take a keyword parameter only."""


async def streams() -> Any:
    """Yield, which a service may not do."""
    yield 1


@pytest.mark.parametrize(
    ("func", "problem"),
    [
        (7, "must be an async function, and 7 is not one"),
        (streams, "is a generator"),
        (takes_two, "has parameters that nothing supplies: queue. "),
        (takes_a_keyword, "has parameters that nothing supplies: queue. "),
    ],
)
async def test_an_invalid_service_is_refused_when_it_is_added(
    func: Any, problem: str
) -> None:
    """The error names the service, and nothing has been started."""
    with pytest.raises(DefinitionError, match=f"Service 'poll' {problem}"):
        Supervisor().add_service("poll", func)


async def test_a_coroutine_in_place_of_a_service_is_refused() -> None:
    """The error has the remedy, without Python's warning about an unawaited coroutine."""
    text = "Service 'poll' was called; pass the function itself, 'streams_not' without"

    async def streams_not() -> None: ...

    with pytest.raises(DefinitionError, match=text):
        Supervisor().add_service("poll", streams_not())  # type: ignore[arg-type]


async def test_a_service_with_bound_arguments_gets_only_its_status() -> None:
    """Parameters that functools.partial supplies are not filled."""
    log: list[str] = []

    async def poll(queue: list[str], *, task_status: Any) -> None:
        queue.append("up")
        task_status.started()
        await anyio.sleep_forever()

    supervisor = Supervisor()
    supervisor.add_service("poll", partial(poll, log))
    async with supervisor:
        assert log == ["up"]


async def test_a_plain_function_is_no_service() -> None:
    """It is called once to find that its result cannot be awaited."""
    supervisor = Supervisor()
    supervisor.add_service("poll", lambda: None)
    with pytest.raises(ChildStartFailed, match="must be an async function") as caught:
        async with supervisor:
            pytest.fail("the block began")

    assert not str(caught.value).endswith("..")


async def test_a_service_that_does_not_know_its_parameter_gets_the_remedy() -> None:
    """Its parameter is the status whatever its name, so the error says what it got."""

    async def poll(queue: Any) -> None:
        await anyio.sleep_forever()

    supervisor = Supervisor()
    supervisor.add_service("poll", poll, start_timeout=5)
    text = r"within 5s: its parameter 'queue' got its status, and it did not call queue\.started\(\)"
    with pytest.raises(ChildStartFailed, match=text):
        async with supervisor:
            pytest.fail("the block began")


async def test_the_log_says_that_a_failed_service_is_started_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The failure and the restart are one record; giving up is another one."""

    async def poll() -> None:
        raise ConnectionError("no broker")

    supervisor = Supervisor(intensity=1)
    supervisor.add_service("poll", poll)
    with pytest.raises(RestartIntensityExceeded):
        async with supervisor:
            await anyio.sleep(60)

    again, last, _ = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(
        r"Service 'poll' failed; it is started again in \d\.\d s", again
    )
    assert last == "Service 'poll' failed"


async def test_runs_before_the_supervisor_is_open_are_refused() -> None:
    """start_soon() returns before the supervisor is open, start() does not; the error says so."""
    pipe = logging_pipe([])
    supervisor = Supervisor(pipe)
    with pytest.raises(
        RuntimeError, match=r"await nursery\.start\(supervisor\.serve\)"
    ):
        await supervisor.submit(pipe, {"seconds": 1})


async def test_opening_can_be_cancelled() -> None:
    """A service that is never ready does not keep the opening task."""
    log: list[str] = []

    async def never(*, task_status: Any) -> None:
        await anyio.sleep_forever()

    supervisor = Supervisor()
    supervisor.add_service("a", logging_service(log, "a"))
    supervisor.add_service("never", never)
    with anyio.move_on_after(5) as scope:
        async with supervisor:
            pytest.fail("the block began")

    assert scope.cancelled_caught
    assert log == ["+a", "-a"]


async def test_services_can_be_added_while_it_is_open() -> None:
    """They start soon and stop first."""
    log: list[str] = []
    async with Supervisor() as supervisor:
        supervisor.add_service("a", logging_service(log, "a"))
        await anyio.sleep(2)
        supervisor.add_service("b", logging_service(log, "b"))
        with pytest.raises(DefinitionError, match="a service 'b' already"):
            supervisor.add_service("b", logging_service(log, "b"))
        await anyio.sleep(2)

    assert log == ["+a", "+b", "-b", "-a"]


async def test_a_supervisor_within_a_supervisor() -> None:
    """An inner one that gives up is a failed service of the outer one, and restarts."""
    log: list[str] = []
    lives: list[int] = []

    async def subtree(*, task_status: Any) -> None:
        lives.append(len(lives))

        async def worker() -> None:
            if lives[-1] == 0:
                raise ConnectionError("bad start")
            await anyio.sleep_forever()

        inner = Supervisor(intensity=0)
        inner.add_service("sibling", logging_service(log, f"sibling{lives[-1]}"))
        inner.add_service("worker", worker)
        await inner.serve(task_status=task_status)

    outer = Supervisor(intensity=1)
    outer.add_service("subtree", subtree)
    async with outer:
        await anyio.sleep(10)
        (service,) = outer.snapshot().services
        assert (service.state.value, service.incarnation) == ("running", 2)
        assert service.last_error is not None
        assert service.last_error.startswith("RestartIntensityExceeded")

    assert log == ["+sibling0", "-sibling0", "+sibling1", "-sibling1"]


async def test_escalation_goes_up_level_by_level() -> None:
    """When the outer one gives up too, the chain of causes has all levels."""

    async def hopeless() -> None:
        raise ConnectionError("root of it")

    async def subtree(*, task_status: Any) -> None:
        inner = Supervisor(intensity=1)
        inner.add_service("hopeless", hopeless)
        await inner.serve(task_status=task_status)

    outer = Supervisor(intensity=2, period=100)
    outer.add_service("subtree", subtree)
    with pytest.raises(RestartIntensityExceeded) as caught:
        async with outer:
            await anyio.sleep_forever()

    inner_failure = caught.value.__cause__
    assert caught.value.child == "subtree"
    assert isinstance(inner_failure, RestartIntensityExceeded)
    assert inner_failure.child == "hopeless"
    assert isinstance(inner_failure.__cause__, ConnectionError)


def test_invalid_arguments_are_refused() -> None:
    """Unknown words and impossible numbers raise where they are given."""
    supervisor = Supervisor()
    with pytest.raises(DefinitionError, match="restart must be one of"):
        supervisor.add_service("x", anyio.sleep_forever, restart="often")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="strategy must be one of"):
        Supervisor(strategy="all_for_one")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="intensity must be at least 0"):
        Supervisor(intensity=-1)
    with pytest.raises(ValueError, match="period more than 0"):
        Supervisor(period=0)


async def test_a_pipe_is_validated_when_its_supervisor_opens() -> None:
    """A definition error is raised before anything has started."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.step("a", to="nowhere")(lambda: None)
    supervisor = Supervisor(pipe)
    with pytest.raises(DefinitionError, match="nowhere"):
        await supervisor.__aenter__()
