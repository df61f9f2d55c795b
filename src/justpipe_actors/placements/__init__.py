"""Where synchronous step functions run; interchangeable parts."""

from __future__ import annotations

from .threads import ThreadPlacement


__all__ = ["ThreadPlacement"]
