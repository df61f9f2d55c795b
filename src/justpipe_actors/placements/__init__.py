"""Where synchronous step functions run; interchangeable parts."""

from __future__ import annotations

from .here import HerePlacement
from .threads import ThreadPlacement


__all__ = ["HerePlacement", "ThreadPlacement"]
