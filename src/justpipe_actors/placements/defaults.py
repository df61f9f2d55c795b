"""The placements that steps can name: those of their pipe, and those of every pipe.

All pipes share the latter, so that the pipes of one supervisor share one pool of
processes.  Each is made when a step first names it, because most programs place no step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache

from .. import placements
from ..abc import AnyPlacement


_DEFAULTS: Mapping[str, Callable[[], AnyPlacement]] = {
    "process": lambda: placements.ProcessPlacement(),
    "ray": lambda: placements.RayPlacement(),
    "thread": lambda: placements.ThreadPlacement(),
}


@cache
def _default_placement(name: str) -> AnyPlacement:
    return _DEFAULTS[name]()


class PlacementsByName(Mapping[str, AnyPlacement]):
    """The placements that the steps of one pipe can name."""

    __slots__ = ("_own",)

    def __init__(self, own: Mapping[str, AnyPlacement]) -> None:
        self._own = dict(own)

    def __getitem__(self, name: str) -> AnyPlacement:
        return self._own[name] if name in self._own else _default_placement(name)

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in _DEFAULTS

    def __iter__(self) -> Iterator[str]:
        return iter(self._own.keys() | _DEFAULTS.keys())

    def __len__(self) -> int:
        return len(self._own.keys() | _DEFAULTS.keys())
