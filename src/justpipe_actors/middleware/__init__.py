"""What can be wrapped around a step's function; interchangeable parts.

tenacity is imported with the first step that asks for retries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..fronts import front_door


if TYPE_CHECKING:
    from ..abc import Middleware
    from . import retrying as retrying
    from .reading import reads
    from .retries import tenacity_retry_middleware
    from .timing import simple_logging_middleware


HAS_TENACITY = True
"""Whether retries can be had; read when a function is wrapped, so it can be patched."""

__all__ = [
    "HAS_TENACITY",
    "Middleware",
    "reads",
    "simple_logging_middleware",
    "tenacity_retry_middleware",
]

_WHERE = {
    "Middleware": "..abc",
    "reads": ".reading",
    "simple_logging_middleware": ".timing",
    "tenacity_retry_middleware": ".retries",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = front_door(__name__, _WHERE)
