"""Messages between actors, the tasks that process them, and their commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import install_lazy_exports


if TYPE_CHECKING or not install_lazy_exports(__name__):
    # What few runs need: durable runs, isolated ones, runs that ask or map.
    from . import (
        answering as answering,
        entity_values as entity_values,
        invocation_state as invocation_state,
        isolation as isolation,
        map_invocation as map_invocation,
        map_step as map_step,
        restore as restore,
        run_waits as run_waits,
        step_waits as step_waits,
        wait_records as wait_records,
    )
    from .dead_letters import DeadLetter as DeadLetter
    from .remote_calls import place_remotely as place_remotely
