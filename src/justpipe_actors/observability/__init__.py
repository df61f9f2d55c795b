"""Those who listen to runs; interchangeable parts."""

from __future__ import annotations

from ..abc import Observer, ObserverMeta, ObserverProtocol, validate_observer


__all__ = ["Observer", "ObserverMeta", "ObserverProtocol", "validate_observer"]
