"""The main function of a worker process: run calls until the owner is gone.

Two mechanisms end the process with its owner, also during a computation.  A thread
waits for the end of standard input, which is a pipe from the owner: when the owner has
closed the pipe or died, the thread ends the process.  On Linux the kernel also kills
the worker, even when a C extension keeps that thread from running.

The program's main script is imported only when a pickle asks for something in it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from multiprocessing import spawn
from types import ModuleType
from typing import Any

from .._util.environment import main_import
from ..abc import Call
from .framing import ConnectionLost, FrameKind, receive_blocking, send_blocking
from .importing import UNGUARDED


_PR_SET_PDEATHSIG = 1


def main(setup: Mapping[str, Any]) -> None:
    """Run calls for an owner until it closes the connection.

    Args:
        setup: facts about the owner: the connection, its process, its main script,
        the levels of its loggers.
    """
    _end_with_owner(setup["owner"])
    connection = _connect(setup)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _import_main_lazily(setup["main"], connection)
    for name, level in setup["levels"].items():
        logging.getLogger(name).setLevel(level)
    with contextlib.suppress(ConnectionLost, OSError):
        _serve(connection)
    os._exit(0)  # threads of the function's own must not keep it alive


def _serve(connection: socket.socket) -> None:
    lock = threading.Lock()

    def report(record: Mapping[str, Any]) -> None:
        with lock:
            send_blocking(connection, FrameKind.LOG, pickle.dumps(record))

    while True:
        _, content = receive_blocking(connection)
        call: Call = pickle.loads(content)
        outcome = pickle.dumps(call.run(report))
        with lock:
            send_blocking(connection, FrameKind.OUTCOME, outcome)


def _connect(setup: Mapping[str, Any]) -> socket.socket:
    if sys.platform == "win32":
        return socket.fromshare(bytes.fromhex(setup["connection"]))
    return socket.socket(fileno=setup["connection"])


# -- the end of the owner


def _end_with_owner(owner: int) -> None:
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - in workers only

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != owner:
            os._exit(1)
    from_owner = os.dup(0)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    threading.Thread(
        target=_wait_end, args=(from_owner,), name="owner watch", daemon=True
    ).start()


def _wait_end(from_owner: int) -> None:
    while os.read(from_owner, 1):
        continue
    os._exit(1)


# -- the owner's main script


class _LazyMain(ModuleType):
    """Placeholder of ``__main__`` that imports it when a pickle needs an attribute."""

    def __init__(self, main: Mapping[str, Any], connection: socket.socket) -> None:
        super().__init__("__main__")
        self.__dict__["_load"] = (dict(main), connection)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or sys.modules["__main__"] is not self:
            raise AttributeError(name)
        data, connection = self.__dict__["_load"]
        _import_main(data, connection)
        if sys.modules["__main__"] is self:
            raise AttributeError(name)
        return getattr(sys.modules["__main__"], name)


def _import_main_lazily(main: Mapping[str, Any], connection: socket.socket) -> None:
    early = {k: v for k, v in main.items() if not k.startswith("init_main")}
    spawn.prepare(early)
    if "sys_argv" in early:
        sys.argv = list(early["sys_argv"])
    sys.modules["__main__"] = _LazyMain(main, connection)


def _import_main(main: Mapping[str, Any], connection: socket.socket) -> None:
    """Import the main script as ``__mp_main__``, as multiprocessing does."""

    def refuse() -> None:
        send_blocking(connection, FrameKind.REFUSED, UNGUARDED.encode())
        os._exit(1)

    main_import.on_run = refuse
    root = logging.getLogger()
    handlers = list(root.handlers)
    try:
        spawn.prepare({k: v for k, v in main.items() if k.startswith("init_main")})
    finally:
        main_import.on_run = None
        root.handlers[:] = handlers  # the script's logging setup is for its own process
