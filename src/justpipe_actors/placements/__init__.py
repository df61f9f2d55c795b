"""Where synchronous step functions run; interchangeable parts."""

from __future__ import annotations

from .inline import HerePlacement
from .thread import ThreadPlacement


__all__ = ["HerePlacement", "ThreadPlacement"]
