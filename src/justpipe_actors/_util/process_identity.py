"""The name of a process, from which other processes can tell whether it still runs.

The name is ``host/boot/pid/began``: two processes never share one, not even when the
host has given the same number to a later process.  Whether a process of this host runs is
looked up in ``/proc``; without ``/proc``, and for other hosts, it is unknown.
"""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from functools import lru_cache
from pathlib import Path


def this_process() -> str:
    """Name this process: ``host/boot/pid/began``."""
    return _name(os.getpid())


@lru_cache(maxsize=1)
def _name(pid: int) -> str:
    return "/".join((_host(), _boot(), str(pid), _began(pid) or ""))


def is_process_alive(name: str) -> bool | None:
    """Tell whether a process still runs; None when it cannot be seen from here."""
    parts = name.split("/")
    if len(parts) != 4 or parts[0] != _host() or not _boot():
        return None
    _, boot, pid, began = parts
    if boot != _boot():
        return False
    return pid.isdecimal() and _began(int(pid)) == began


def _host() -> str:
    return platform.node().replace("/", "_")


@lru_cache(maxsize=1)
def _boot() -> str:
    """Name the time since this host was started; empty where it has no name."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _began(pid: int) -> str | None:
    """Return when a process began, in ticks since the boot; None without it."""
    with suppress(OSError):
        # The name in brackets may contain spaces and brackets: count after it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    return None
