"""From the engine to whatever reads a run: publish, buffer, keep and observe its events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import install_lazy_exports


if TYPE_CHECKING or not install_lazy_exports(__name__):
    from . import replay_buffer as replay_buffer  # for submitted runs
