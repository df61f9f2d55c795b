"""Notifications of a daemon to systemd: one datagram per message, errors are logged.

The protocol is sd_notify(3).  Without ``NOTIFY_SOCKET`` no message is sent.  Errors of
the socket are logged at DEBUG and ignored, because the daemon can serve without its
service manager.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Mapping

from .._util.lazy_classes import frozen


_logger = logging.getLogger("justpipe_actors.daemon")

MICROSECONDS = 1_000_000


@frozen
class SystemdNotifier:
    """Sends notifications to the service manager."""

    address: str | None = None
    """Socket path, or abstract name after ``@``; None sends no notifications."""
    watchdog: float | None = None
    """Seconds without a message after which systemd assumes a hang; None if never."""

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
        """Report that start or reload is complete."""
        self.notify(READY=1, STATUS=status)

    def reloading(self) -> None:
        """Report that a reload begins; ``ready`` reports its end."""
        self.notify(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)

    def stopping(self, status: str, seconds: float) -> None:
        """Report that shutdown begins, and the seconds that it may take."""
        usec = int(seconds * MICROSECONDS)
        self.notify(STOPPING=1, STATUS=status, EXTEND_TIMEOUT_USEC=usec)

    def keep_alive(self, status: str) -> None:
        """Send the status and a watchdog heartbeat."""
        if self.watchdog is None:
            self.notify(STATUS=status)
        else:
            self.notify(WATCHDOG=1, STATUS=status)


def notifier_from_environment(environ: Mapping[str, str], pid: int) -> SystemdNotifier:
    """Return the notifier that a process's environment variables configure."""
    return SystemdNotifier(
        environ.get("NOTIFY_SOCKET") or None, _watchdog(environ, pid)
    )


def _watchdog(environ: Mapping[str, str], pid: int) -> float | None:
    """Return ``WATCHDOG_USEC`` in seconds; None if it is not for this process."""
    try:
        meant_for = int(environ.get("WATCHDOG_PID", pid))
        seconds = int(environ.get("WATCHDOG_USEC", 0)) / MICROSECONDS
    except ValueError:
        return None
    return seconds if meant_for == pid and seconds > 0 else None


def _path(address: str) -> str:
    return "\0" + address[1:] if address.startswith("@") else address
