"""One run, first event to last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import install_lazy_exports


if TYPE_CHECKING or not install_lazy_exports(__name__):
    from .._publishing.event_buffer import Overflow as Overflow
    from . import (
        durable_run as durable_run,
        overridden_child as overridden_child,
    )
    from .run import (
        RunningInvocation as RunningInvocation,
        RunRequest as RunRequest,
        RunSnapshot as RunSnapshot,
    )
    from .run_stream import RunStream as RunStream
    from .setup import override_of as override_of
