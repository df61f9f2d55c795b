"""One worker process, seen from its owner: start, calls, kill.

A worker is a new interpreter and no fork, because the owner may have threads.  A worker
has its own session, so Ctrl-C at the terminal reaches the owner alone.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from multiprocessing import spawn
from typing import Any

import anyio
import anyio.to_thread

from .._util.portable_logs import handle_record
from ..abc import Call, Outcome
from ..errors import DefinitionError, PlacementLost
from .framing import ConnectionLost, FrameKind, FrameStream


KILL_TIMEOUT = 5.0
"""Seconds to wait for the end of a process that was killed."""

_CODE = (
    "import json, sys\n"
    "setup = json.loads(sys.stdin.buffer.readline())\n"
    "sys.path[:] = setup['path']\n"
    "from justpipe_actors.placements.worker_main import main\n"
    "main(setup)\n"
)


class WorkerProcess:
    """A worker process, which runs one call at a time."""

    def __init__(self, placement: str) -> None:
        self._placement = placement
        self._is_freed = False
        self.calls: int = 0
        """Number of calls so far."""
        self._process, self._frames = _start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    async def call(self, call: Call) -> Outcome:
        """Run a call in the process and return its outcome.

        After an exception the worker must not be used again.

        Raises:
            PlacementLost: the process died.
            DefinitionError: it cannot import the program's main script.
        """
        self.calls += 1
        content = pickle.dumps(call)
        try:
            await self._frames.send(FrameKind.CALL, content)
            while True:
                kind, answer = await self._frames.receive()
                if kind is FrameKind.OUTCOME:
                    outcome: Outcome = pickle.loads(answer)
                    return outcome
                if kind is FrameKind.REFUSED:
                    raise self._refused(call, answer.decode())
                handle_record(pickle.loads(answer))
        except ConnectionLost:
            pass
        await self.wait_end()
        raise PlacementLost(call.step, self._placement, self._how_it_ended())

    def _refused(self, call: Call, reason: str) -> DefinitionError:
        script = sys.argv[0] or "__main__"
        return DefinitionError(
            f"Step '{call.step}' cannot run in placement '{self._placement}': "
            f"'{script}' cannot be imported by a worker, because {reason}.",
            step_name=call.step,
        )

    def _how_it_ended(self) -> str:
        code = self._process.poll()
        if code is None:
            return f"worker process {self.pid} closed its connection"
        if code < 0:
            with contextlib.suppress(ValueError):
                name = signal.Signals(-code).name
                return f"worker process {self.pid} was ended by {name}"
        return f"worker process {self.pid} ended with code {code}"

    def kill(self) -> None:
        """Kill the process if it runs; ``wait_end`` must follow."""
        if self._process.returncode is None:
            self._process.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def wait_end(self) -> None:
        """Kill the process if it runs, wait for its end, and free its resources."""
        self.kill()
        if self._is_freed:
            return
        self._is_freed = True
        try:
            with anyio.CancelScope(shield=True), anyio.move_on_after(KILL_TIMEOUT):
                await self._frames.wait_lost()
                if self._process.poll() is None:
                    wait = partial(self._process.wait, KILL_TIMEOUT)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        await anyio.to_thread.run_sync(wait, limiter=_waiting_threads())
        finally:
            self._frames.close()

    def close(self) -> None:
        """Free the resources of a process that has ended."""
        self.kill()
        self._is_freed = True
        self._frames.close()

    def __repr__(self) -> str:
        return f"<WorkerProcess {self.pid}: {self.calls} calls>"


def _waiting_threads() -> anyio.CapacityLimiter:
    """Return a separate limiter: steps that wait for this may fill the loop's own."""
    return anyio.CapacityLimiter(1)


def _start() -> tuple[subprocess.Popen[bytes], FrameStream]:
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(
            [spawn.get_executable(), *_interpreter_flags(), "-c", _CODE],
            stdin=subprocess.PIPE,
            pass_fds=(theirs.fileno(),) if os.name == "posix" else (),
            start_new_session=True,
        )
        setup: dict[str, Any] = {
            "owner": os.getpid(),
            "connection": _handle_of(theirs, process.pid),
            "path": list(sys.path),
            "main": dict(_main_script()),
            "levels": dict(_logger_levels()),
        }
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(setup, default=str).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            process.stdin.close()  # it died at once; the next read fails
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, FrameStream(ours)


def _handle_of(connection: socket.socket, pid: int) -> int | str:
    """Return the handle with which a worker opens its side of the connection."""
    if sys.platform == "win32":
        return connection.share(pid).hex()
    return connection.fileno()


def _interpreter_flags() -> list[str]:
    """Return the flags of this interpreter, as multiprocessing passes them on."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    return flags


def _main_script() -> Iterator[tuple[str, Any]]:
    """Yield the settings a worker needs to import the main script."""
    data = spawn.get_preparation_data("justpipe_actors worker")
    for name in ("name", "dir", "orig_dir", "sys_argv"):
        if name in data:
            yield name, data[name]
    for name in ("init_main_from_name", "init_main_from_path"):
        if name in data:
            yield name, data[name]


def _logger_levels() -> Iterator[tuple[str, int]]:
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and logger.level:
            yield name, logger.level
