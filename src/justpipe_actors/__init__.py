"""Your code is the graph, and every step is an actor.

Names are imported when they are first used: pytest imports this package in every
session on a machine that has it, for its plugin, and must not load the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._util.lazy_import import install_lazy_exports


if TYPE_CHECKING or not install_lazy_exports(__name__):
    from ._run import RunStream as RunStream
    from ._util.version import __version__ as __version__
    from .daemon import serve as serve
    from .errors import DefinitionError as DefinitionError
    from .events import (
        Event as Event,
        EventType as EventType,
    )
    from .merge import (
        Merge as Merge,
        Shared as Shared,
    )
    from .meta import Meta as Meta
    from .middleware import simple_logging_middleware as simple_logging_middleware
    from .pipe import Pipe as Pipe
    from .signals import (
        Ask as Ask,
        Raise as Raise,
        Retry as Retry,
        Skip as Skip,
        Stop as Stop,
        Suspend as Suspend,
    )
    from .supervisor import Supervisor as Supervisor
    from .testing.harness import TestPipe as TestPipe
    from .testing.result import TestResult as TestResult
    from .waiting import (
        ask as ask,
        idempotency_key as idempotency_key,
        once as once,
        sleep_until as sleep_until,
    )
