"""``create_app`` under the name and with the parameters that justpipe has."""

from __future__ import annotations

import warnings
from pathlib import Path

from starlette.applications import Starlette

from ..storage.registry import PipelineRegistry
from . import app


def create_app(
    registry: PipelineRegistry, static_dir: str | Path | None = None
) -> Starlette:
    """Return the dashboard over a storage root; the pages are this package's own.

    Args:
        registry: finds the stored runs.
        static_dir: ignored with a warning.
    """
    if static_dir is not None:
        msg = "static_dir is ignored: the dashboard serves its own pages."
        warnings.warn(msg, stacklevel=2)
    return app.create_app(registry)
