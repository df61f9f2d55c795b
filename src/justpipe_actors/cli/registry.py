"""The registry under the module name that it has in justpipe."""

from __future__ import annotations

from .._compat import AnnotatedRun, PipelineInfo, PipelineRegistry


__all__ = ["AnnotatedRun", "PipelineInfo", "PipelineRegistry"]
