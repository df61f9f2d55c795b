"""Where the functions of steps may run; interchangeable parts.

A placement is imported when it is first used: most programs have no processes, and few
have a cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import lazy_exports


if TYPE_CHECKING:
    from .inline import HerePlacement
    from .process import ProcessPlacement
    from .ray import RayPlacement
    from .thread import ThreadPlacement


__all__ = ["HerePlacement", "ProcessPlacement", "RayPlacement", "ThreadPlacement"]

_MODULE_OF = {
    "HerePlacement": ".inline",
    "ProcessPlacement": ".process",
    "RayPlacement": ".ray",
    "ThreadPlacement": ".thread",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _MODULE_OF)
