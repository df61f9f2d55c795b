"""Runs as OpenTelemetry spans and metrics; needs the extra ``otel``.

Only the OpenTelemetry API is used: which SDK stands behind it, and where its data go, is
the application's affair.  Neither states nor payloads nor streamed items are ever put into spans.
"""

from __future__ import annotations

from ...errors import MissingExtraError


try:
    from .metrics import SnapshotGauges
    from .tracing import TracingObserver
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "opentelemetry":
        raise
    raise MissingExtraError(extra="otel", library="opentelemetry-api") from error


__all__ = ["SnapshotGauges", "TracingObserver"]
