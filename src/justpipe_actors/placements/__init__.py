"""Placements, which run the functions of steps; interchangeable parts.

A placement is imported when it is first used: most programs have no processes, and few
have a cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import install_lazy_exports


if TYPE_CHECKING or not install_lazy_exports(__name__):
    from .local import (
        HerePlacement as HerePlacement,
        ThreadPlacement as ThreadPlacement,
    )
    from .process import ProcessPlacement as ProcessPlacement
    from .ray import RayPlacement as RayPlacement
