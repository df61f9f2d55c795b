"""Is whoever runs this run still there?

A run that is stored as running has an owner: the process that runs it, named by host,
boot, process id and the moment the process began.

- On the same host the process is looked up.  Another boot, no such process, or another
  process under the same id mean that it is gone, and this is known at once.
- From another host (a shared folder, another container), or where processes cannot be
  looked up, the heartbeat decides: the writer says every ``BEAT`` seconds that it is
  alive, and after ``SILENCE`` seconds without a word it counts as gone.

A heartbeat alone would call every run of a laptop that slept abandoned; a process id
alone would be wrong across containers and after a reboot.  Locks on files would decide
both, but not on network folders, and a reader would have to create files.
"""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path


BEAT = 30.0
"""Seconds between two signs of life."""

SILENCE = timedelta(seconds=300)
"""How long an owner that cannot be looked up may be silent."""


def this_owner() -> str:
    """Name this process: ``host/boot/pid/began``."""
    return _owner(os.getpid())


@lru_cache(maxsize=1)
def _owner(pid: int) -> str:
    return "/".join((_host(), _boot(), str(pid), _began(pid) or ""))


def is_gone(owner: str | None, last_seen: datetime | None, now: datetime) -> bool:
    """Tell whether the owner of a running run will never finish it."""
    known = _is_alive(owner) if owner else None
    if known is not None:
        return not known
    return last_seen is None or now - last_seen > SILENCE


def _is_alive(owner: str) -> bool | None:
    """Look an owner up; None when it cannot be seen from here."""
    parts = owner.split("/")
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
        # The name in brackets may hold anything, so count from behind it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    return None
