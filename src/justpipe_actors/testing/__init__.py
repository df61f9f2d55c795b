"""Everything for testing pipelines: mocks, virtual time, schedules, conformance.

Names are imported when they are first used, so that the pytest plugin in this folder
costs a session that does not use it nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from ..errors import Deadlock
    from ..seams import Seam
    from .clocks import BackendOptions, virtual_time
    from .harness import TestPipe
    from .result import TestResult
    from .watching import watched


__all__ = [
    "BackendOptions",
    "Deadlock",
    "Seam",
    "TestPipe",
    "TestResult",
    "virtual_time",
    "watched",
]

_WHERE = {
    "BackendOptions": ".clocks",
    "Deadlock": "..errors",
    "Seam": "..seams",
    "TestPipe": ".harness",
    "TestResult": ".result",
    "virtual_time": ".clocks",
    "watched": ".watching",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a name."""
        if name in _WHERE:
            return getattr(import_module(_WHERE[name], __name__), name)
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
