"""What a daemon tells systemd: one datagram per message, and never a failure.

The protocol is sd_notify(3).  Nothing is told when ``NOTIFY_SOCKET`` is not set, and
whatever is wrong with the socket is logged at DEBUG and forgotten: a service manager that
cannot be told is no reason to stop serving.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Mapping

import attrs


_logger = logging.getLogger("justpipe_actors.daemon")

MICROSECONDS = 1_000_000


@attrs.frozen
class SystemdNotifier:
    """The line to the service manager."""

    address: str | None = None
    """A path, or a name behind ``@``; None when nobody asked."""
    watchdog: float | None = None
    """Seconds after which the manager takes silence for a hang; None when it does not."""

    def notify(self, **fields: str | int) -> None:
        """Send ``NAME=value`` lines in one datagram."""
        if self.address is None:
            return
        text = "\n".join(f"{name}={value}" for name, value in fields.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
                connection.settimeout(0)
                connection.sendto(text.encode(), _path(self.address))
        except (AttributeError, OSError, ValueError) as error:
            _logger.debug("The service manager cannot be told: %r", error)

    def ready(self, status: str) -> None:
        """Say that start or reload is done."""
        self.notify(READY=1, STATUS=status)

    def reloading(self) -> None:
        """Say that a reload begins; ``ready`` says that it is done."""
        self.notify(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)

    def stopping(self, status: str, seconds: float) -> None:
        """Say that the end begins, and how long it may take."""
        usec = int(seconds * MICROSECONDS)
        self.notify(STOPPING=1, STATUS=status, EXTEND_TIMEOUT_USEC=usec)

    def keep_alive(self, status: str) -> None:
        """Say what is going on, and that it goes on."""
        if self.watchdog is None:
            self.notify(STATUS=status)
        else:
            self.notify(WATCHDOG=1, STATUS=status)


def notifier_from_environment(environ: Mapping[str, str], pid: int) -> SystemdNotifier:
    """Return the line that the environment of a process asks for."""
    return SystemdNotifier(
        environ.get("NOTIFY_SOCKET") or None, _watchdog(environ, pid)
    )


def _watchdog(environ: Mapping[str, str], pid: int) -> float | None:
    """Return the seconds in ``WATCHDOG_USEC``, when they are meant for this process."""
    try:
        meant_for = int(environ.get("WATCHDOG_PID", pid))
        seconds = int(environ.get("WATCHDOG_USEC", 0)) / MICROSECONDS
    except ValueError:
        return None
    return seconds if meant_for == pid and seconds > 0 else None


def _path(address: str) -> str:
    return "\0" + address[1:] if address.startswith("@") else address
