"""Runs as OpenTelemetry spans and metrics; needs the extra ``otel``.

This package uses only the OpenTelemetry API; the application chooses the SDK and the
exporters.  Spans never contain states, payloads or streamed items.
"""

from __future__ import annotations

from ...errors import MissingExtraError


try:
    from .metrics import SnapshotGauges
    from .tracing import TracingObserver
except ModuleNotFoundError as _error:
    if (_error.name or "").partition(".")[0] != "opentelemetry":
        raise
    raise MissingExtraError(extra="otel", library="opentelemetry-api") from _error


__all__ = ["SnapshotGauges", "TracingObserver"]
