"""Messages between actors, the tasks that process them, and their commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import install_lazy_exports


if TYPE_CHECKING or not install_lazy_exports(__name__):
    from .dead_letters import DeadLetter as DeadLetter
    from .remote_calls import place_remotely as place_remotely
