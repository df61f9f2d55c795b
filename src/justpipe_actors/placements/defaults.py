"""The placements that every pipe knows by name.

All pipes share them, so that the pipes of one supervisor share one pool of processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..abc import AnyPlacement
from .local import ThreadPlacement
from .process import ProcessPlacement
from .ray import RayPlacement


DEFAULT_PLACEMENTS: Mapping[str, AnyPlacement] = MappingProxyType(
    {
        "process": ProcessPlacement(),
        "ray": RayPlacement(),
        "thread": ThreadPlacement(),
    }
)
"""Placements by name."""
