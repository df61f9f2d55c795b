"""What a daemon does at each signal, and what it reports to the service manager."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from justpipe_actors import Supervisor, daemon as daemon, serve
from justpipe_actors._supervisor.systemd import (
    SystemdNotifier,
    notifier_from_environment,
)

from ..helpers import sleeping_pipe


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Return the socket of the service manager at ``NOTIFY_SOCKET``."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(path)
        end.settimeout(0)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield end


def received_messages(manager: socket.socket) -> list[dict[str, str]]:
    """Return the messages that have come."""
    messages: list[dict[str, str]] = []
    while True:
        try:
            text = manager.recv(4096).decode()
        except BlockingIOError:
            return messages
        messages.append(dict(line.split("=", 1) for line in text.splitlines()))


@pytest.mark.virtual_time
@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_drains(name: signal.Signals) -> None:
    """At SIGTERM or SIGINT runs may finish, and the report lists the finished ones."""
    before = signal.getsignal(name)
    supervisor, reports = Supervisor(grace=10), list[Any]()

    async def main(*, task_status: Any) -> None:
        reports.append(await serve(supervisor, task_status=task_status))

    async with anyio.create_task_group() as tasks:
        await tasks.start(main)
        await supervisor.submit(sleeping_pipe(), {"seconds": 5}, run_id="quick")
        await supervisor.submit(sleeping_pipe(), {"seconds": 3600}, run_id="long")
        signal.raise_signal(name)

    (report,) = reports
    assert (report.completed, report.cancelled) == (("quick",), ("long",))
    assert signal.getsignal(name) == before


@pytest.mark.virtual_time
async def test_the_second_signal_cancels() -> None:
    """It ends the grace; only the cleanup of the runs is waited for."""
    supervisor, state = Supervisor(grace=600), {"seconds": 3600, "cleanup": 3}

    async with anyio.create_task_group() as tasks:
        await tasks.start(_serve, supervisor)
        run = await supervisor.submit(sleeping_pipe(), state)
        began = anyio.current_time()
        signal.raise_signal(signal.SIGTERM)
        await anyio.sleep(4)
        signal.raise_signal(signal.SIGTERM)
    end = await run.wait()

    assert anyio.current_time() - began == pytest.approx(7)
    assert (end.status.value, end.error) == (
        "cancelled",
        "The daemon was stopped by SIGTERM",
    )
    assert supervisor.report is not None
    assert supervisor.report.cancelled == (run.run_id,)


@pytest.mark.virtual_time
async def test_the_third_signal_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It names the runs that are left, also when the loop is blocked."""
    exits: list[int] = []
    monkeypatch.setattr(daemon, "exit_now", exits.append)
    supervisor, state = Supervisor(grace=5), {"seconds": 3600, "cleanup": 100}

    async with anyio.create_task_group() as tasks:
        await tasks.start(_serve, supervisor)
        await supervisor.submit(sleeping_pipe(), state, run_id="mule")
        await anyio.wait_all_tasks_blocked()
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        # Nothing was awaited in between: the handler itself does it.
        early = list(exits)

    assert early == [128 + signal.SIGINT]
    left = [r.message for r in caplog.records if r.levelno == logging.CRITICAL]
    assert left[0].startswith("Left behind: run mule of pipe 'sleeper'")


@pytest.mark.virtual_time
async def test_a_hangup_reloads(caplog: pytest.LogCaptureFixture) -> None:
    """SIGHUP calls the hook; a hook that fails is logged, and the daemon goes on."""
    calls: list[Supervisor] = []

    async def reload(served: Supervisor) -> None:
        calls.append(served)
        if len(calls) == 2:
            raise OSError("no such file")

    supervisor = Supervisor()
    async with anyio.create_task_group() as tasks:
        await tasks.start(_serve, supervisor, reload)
        for _ in range(3):
            signal.raise_signal(signal.SIGHUP)
            await anyio.wait_all_tasks_blocked()
        await supervisor.drain()

    assert calls == [supervisor] * 3
    assert "the reload failed" in caplog.text


@pytest.mark.virtual_time
async def test_a_hangup_during_a_reload_reloads_once_more() -> None:
    """However many SIGHUPs come during a reload, exactly one reload follows."""
    calls: list[float] = []

    async def reload(served: Supervisor) -> None:
        calls.append(anyio.current_time())
        await anyio.sleep(10)

    supervisor = Supervisor()
    async with anyio.create_task_group() as tasks:
        await tasks.start(_serve, supervisor, reload)
        for _ in range(4):
            signal.raise_signal(signal.SIGHUP)
            await anyio.sleep(1)
        await anyio.sleep(30)
        await supervisor.drain()

    assert [round(call - calls[0]) for call in calls] == [0, 10]


@pytest.mark.virtual_time
async def test_a_hangup_without_a_hook_is_ignored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By default SIGHUP ends a program; a daemon without a hook logs it and goes on."""
    supervisor = Supervisor()
    async with anyio.create_task_group() as tasks:
        await tasks.start(_serve, supervisor)
        signal.raise_signal(signal.SIGHUP)
        await anyio.wait_all_tasks_blocked()
        await supervisor.drain()

    assert "nothing to reload" in caplog.text


@pytest.mark.virtual_time
async def test_a_supervisor_that_is_open_may_be_served() -> None:
    """``serve`` inside the supervisor's own block drains it, and the block closes it."""
    async with Supervisor(grace=10) as supervisor:
        await supervisor.submit(sleeping_pipe(), {"seconds": 1}, run_id="early")
        async with anyio.create_task_group() as tasks:
            await tasks.start(_serve, supervisor)
            signal.raise_signal(signal.SIGTERM)
        still_open = supervisor.is_open

    assert still_open
    assert supervisor.report is not None
    assert supervisor.report.completed == ("early",)


@pytest.mark.virtual_time
async def test_the_service_manager_is_told_each_state(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """READY, STATUS and WATCHDOG, RELOADING and READY again, STOPPING with more time."""
    monkeypatch.setenv("WATCHDOG_USEC", "6000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    supervisor = Supervisor(grace=20)

    async def reload(served: Supervisor) -> None:
        """Reload nothing."""

    async with anyio.create_task_group() as tasks:
        await tasks.start(_serve, supervisor, reload)
        await supervisor.submit(sleeping_pipe(), {"seconds": 3600})
        await anyio.sleep(4)
        alive = received_messages(manager)
        signal.raise_signal(signal.SIGHUP)
        await anyio.wait_all_tasks_blocked()
        reloaded = received_messages(manager)
        signal.raise_signal(signal.SIGTERM)
        await anyio.wait_all_tasks_blocked()
        stopping = received_messages(manager)

    assert alive[0] == {"READY": "1", "STATUS": "0 runs at work, 0 waiting"}
    assert [message.get("WATCHDOG") for message in alive[1:]] == ["1", "1"]
    assert alive[-1]["STATUS"] == "1 runs at work, 0 waiting"
    assert [next(iter(message)) for message in reloaded] == ["RELOADING", "READY"]
    assert int(reloaded[0]["MONOTONIC_USEC"]) > 0
    assert stopping[0]["STOPPING"] == "1"
    assert int(stopping[0]["EXTEND_TIMEOUT_USEC"]) == 45_000_000


@pytest.mark.parametrize(
    "address",
    ["/nonexistent/notify", "@no-one-listens", "vsock:2:1234", "x" * 300, "a\0b"],
)
def test_an_invalid_notify_socket_raises_nothing(address: str) -> None:
    """The daemon runs, whatever NOTIFY_SOCKET contains."""
    line = SystemdNotifier(address, 1.0)

    line.ready("up")
    line.reloading()
    line.keep_alive("up")
    line.stopping("down", 1)


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "2000000"}, 2.0),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "7"}, 2.0),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_for_one_process(
    environ: dict[str, str], seconds: float | None
) -> None:
    """WATCHDOG_USEC counts only in the process that WATCHDOG_PID names."""
    assert notifier_from_environment(environ, pid=7) == SystemdNotifier(None, seconds)


def test_only_the_main_thread_serves() -> None:
    """In other threads ``serve`` raises an error with the remedy."""
    errors: list[str] = []

    def main() -> None:
        with pytest.raises(RuntimeError) as handle_signals:
            anyio.run(serve, Supervisor())
        errors.append(str(handle_signals.value))

    thread = threading.Thread(target=main)
    thread.start()
    thread.join()

    assert "nursery.start(supervisor.serve)" in errors[0]


async def _serve(
    supervisor: Supervisor, reload: Any = None, *, task_status: Any
) -> None:
    await serve(supervisor, reload=reload, task_status=task_status)
