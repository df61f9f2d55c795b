"""Façade: every public type under the reference's module name, re-exports only."""

from __future__ import annotations

from .cancellation import CancellationToken
from .errors import DefinitionError, PipelineCancelled, PipelineValidationWarning
from .events import Event, EventType, NodeKind
from .failures import (
    FailureClassificationConfig,
    FailureClassificationContext,
    FailureKind,
    FailureReason,
    FailureRecord,
    FailureSource,
    FailureSourceClassifier,
)
from .meta import Meta, PipelineMeta, ScopedMeta, StepStatus
from .options import StepOptions
from .outcomes import (
    BarrierMetrics,
    Diagnostic,
    MapMetrics,
    PipelineEndData,
    PipelineTerminalStatus,
    QueueMetrics,
    RuntimeMetrics,
    StepTiming,
    TaskMetrics,
)
from .signals import Raise, Retry, Skip, Stop, Suspend, _Map, _Next, _Run
from .specs import (
    BarrierType,
    HookSpec,
    InjectionMetadata,
    InjectionMetadataMap,
    InjectionSource,
    StepContext,
    StepInfo,
)


__all__ = [
    "BarrierMetrics",
    "BarrierType",
    "CancellationToken",
    "DefinitionError",
    "Diagnostic",
    "Event",
    "EventType",
    "FailureClassificationConfig",
    "FailureClassificationContext",
    "FailureKind",
    "FailureReason",
    "FailureRecord",
    "FailureSource",
    "FailureSourceClassifier",
    "HookSpec",
    "InjectionMetadata",
    "InjectionMetadataMap",
    "InjectionSource",
    "MapMetrics",
    "Meta",
    "NodeKind",
    "PipelineCancelled",
    "PipelineEndData",
    "PipelineMeta",
    "PipelineTerminalStatus",
    "PipelineValidationWarning",
    "QueueMetrics",
    "Raise",
    "Retry",
    "RuntimeMetrics",
    "ScopedMeta",
    "Skip",
    "StepContext",
    "StepInfo",
    "StepOptions",
    "StepStatus",
    "StepTiming",
    "Stop",
    "Suspend",
    "TaskMetrics",
    "_Map",
    "_Next",
    "_Run",
]
