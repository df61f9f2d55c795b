"""Every exception of the library, as one tree.

::

    Exception
    ├── DefinitionError                 the pipe is wired wrongly
    │   ├── DefinitionErrorGroup        several problems, reported together
    │   └── StateNotCopyable            a part of an isolated state has no copy
    ├── PipelineCancelled               a cancellation token was cancelled
    ├── RunError (RuntimeError)         the errors of one run
    │   ├── RunInterrupted              the run's owner ended before the run
    │   │   └── RunReleased             a durable run goes on later, or in another process
    │   ├── DuplicateKey (ValueError)   a step used a key twice in one call
    │   ├── AskTimeout (TimeoutError)   a question was not answered in time
    │   ├── RunStuck                    a durable run is not continued before ``redrive``
    │   ├── MapSourceChanged            a map's source gave other items after a restart
    │   ├── RunTimeout (TimeoutError)   a run took longer than its timeout
    │   ├── OtherLoopError              a run was awaited in another event loop
    │   ├── AsyncForNeeded (TypeError)  ``for`` stands where ``async for`` belongs
    │   ├── AsyncWithNeeded (TypeError) ``with`` stands where ``async with`` belongs
    │   ├── RunAwaited (TypeError)      a run was awaited, instead of its end
    │   ├── RunningLoopError            ``run_sync`` in a running event loop
    │   ├── InvalidRunId                a client chose an invalid id
    │   ├── RunRejected                 the supervisor takes no more runs
    │   ├── ConsumerTooSlow             with ``overflow="fail"``, the reader is too slow
    │   ├── ForeignCancellation         a step was cancelled from outside its run
    │   ├── DispatcherTaskKilled        a task of the engine was cancelled natively
    │   ├── StepAborted                 a step raised a BaseException
    │   ├── ChildRunFailed              a sub-pipeline failed without an exception
    │   ├── RetriesExhausted            a step returned ``Retry()`` too often
    │   ├── PlacementLost               the worker of a step has died
    │   ├── RemoteError                 a remote step raised an error that cannot be pickled
    │   ├── NotPicklable (TypeError)    a value of a remote step cannot be pickled
    │   ├── RemoteUnavailable           a remote step used a function of the run
    │   ├── ResourceUnavailable         a resource could not be opened
    │   └── EmptyPipelineError          the pipe has no steps
    ├── StoreError                      the errors of stored runs
    │   ├── UnreadableDataError         stored data do not fit the type asked for
    │   ├── MalformedEventError (ValueError)  an event to be stored is no JSON object
    │   ├── AmbiguousRunError (ValueError)   a prefix that several runs share
    │   ├── CleanupRuleError (ValueError)  a rule for deleting runs is invalid
    │   ├── JournalUnusableError        a journal's file cannot be opened as one
    │   └── StoreVersionError           the store was written by a newer version
    ├── SupervisionError                the errors of a supervisor's services
    │   ├── ChildStartFailed            a service did not become ready
    │   ├── ChildEnded                  a service ended
    │   └── RestartIntensityExceeded    services ended too often
    ├── StateConflict (RuntimeError)    two steps changed one part of an isolated state
    ├── UnknownStepError (ValueError)   a step named an unknown step
    ├── NestedTooDeeply (RecursionError)  too many nested runs
    ├── NoRouteError (ValueError)       a switch has no route for this value
    ├── NoContextManager (TypeError)    the function of a resource returned something else
    ├── MapSourceError (ValueError)     a map cannot iterate over what its function returned
    ├── ResultsRefused (TypeError)      a state cannot be given what a map collected
    ├── StepTimeoutError (TimeoutError)
    ├── HookTimeoutError (TimeoutError)
    ├── BarrierTimeoutError (TimeoutError)
    ├── NotStorable (TypeError)         a value of a durable run cannot be stored
    ├── RecordedError                   a failure from before a run was taken up again
    ├── UnknownAsk (LookupError)        no such question is open
    ├── AnswerRejected (ValueError)     an answer does not fit its question's form
    ├── UnknownRunError (LookupError)   no such run is running or stored
    ├── LayoutTooLarge (ValueError)     a drawing has too many boxes and lines
    ├── MissingExtraError (ImportError)  a library of an extra is not installed
    └── TrialError                      a test helper found a failure
        ├── CrashFailure                a run ended differently after a crash
        ├── UnansweredAsk               a pipe asked, and its test has no answer
        ├── Deadlock                    no task can go on
        ├── ScheduleFailure             a check failed under one schedule
        └── CleanupFailure              a stopped run left something behind

    UserWarning
    ├── PipelineValidationWarning       a definition that is legal but suspicious
    │   └── LostUpdateWarning           map workers can undo each other's changes
    ├── IgnoredValueWarning             a step returned a value that is ignored
    └── ChangedItemWarning              a map worker changed its item without effect

Errors take facts, keep them as attributes, word their own message and survive
pickling.  The exceptions are ``DefinitionError`` and ``PipelineCancelled``: the caller
words their message, since programs written for the reference construct them that way.

A module of this package has the errors of one phase; import them from the package.
"""

from __future__ import annotations

from .base import did_you_mean
from .definition import (
    DefinitionError,
    DefinitionErrorGroup,
    LayoutTooLarge,
    LostUpdateWarning,
    MissingExtraError,
    PipelineValidationWarning,
)
from .durable import (
    AnswerRejected,
    AskTimeout,
    DuplicateKey,
    MapSourceChanged,
    NotStorable,
    RecordedError,
    RunReleased,
    RunStuck,
    RunTimeout,
    UnknownAsk,
)
from .placement import NotPicklable, PlacementLost, RemoteError, RemoteUnavailable
from .run import (
    AsyncForNeeded,
    AsyncWithNeeded,
    ChildRunFailed,
    ConsumerTooSlow,
    DispatcherTaskKilled,
    EmptyPipelineError,
    ForeignCancellation,
    InvalidRunId,
    NoContextManager,
    OtherLoopError,
    PipelineCancelled,
    ResourceUnavailable,
    RetriesExhausted,
    RunAwaited,
    RunError,
    RunInterrupted,
    RunningLoopError,
    RunRejected,
    StepAborted,
    UnknownRunError,
)
from .state import ChangedItemWarning, StateConflict, StateNotCopyable
from .step import (
    BarrierTimeoutError,
    HookTimeoutError,
    IgnoredValueWarning,
    MapSourceError,
    NestedTooDeeply,
    NoRouteError,
    ResultsRefused,
    StepTimeoutError,
    UnknownStepError,
)
from .store import (
    AmbiguousRunError,
    CleanupRuleError,
    JournalUnusableError,
    MalformedEventError,
    StoreError,
    StoreVersionError,
    UnreadableDataError,
)
from .supervision import (
    ChildEnded,
    ChildStartFailed,
    RestartIntensityExceeded,
    SupervisionError,
)
from .testing import (
    CleanupFailure,
    CrashFailure,
    Deadlock,
    ScheduleFailure,
    TrialError,
    UnansweredAsk,
)


ReceiverKilled = DispatcherTaskKilled
"""The old name of ``DispatcherTaskKilled``, for one release."""

__all__ = [
    "AmbiguousRunError",
    "AnswerRejected",
    "AskTimeout",
    "AsyncForNeeded",
    "AsyncWithNeeded",
    "BarrierTimeoutError",
    "ChangedItemWarning",
    "ChildEnded",
    "ChildRunFailed",
    "ChildStartFailed",
    "CleanupFailure",
    "CleanupRuleError",
    "ConsumerTooSlow",
    "CrashFailure",
    "Deadlock",
    "DefinitionError",
    "DefinitionErrorGroup",
    "DispatcherTaskKilled",
    "DuplicateKey",
    "EmptyPipelineError",
    "ForeignCancellation",
    "HookTimeoutError",
    "IgnoredValueWarning",
    "InvalidRunId",
    "JournalUnusableError",
    "LayoutTooLarge",
    "LostUpdateWarning",
    "MalformedEventError",
    "MapSourceChanged",
    "MapSourceError",
    "MissingExtraError",
    "NestedTooDeeply",
    "NoContextManager",
    "NoRouteError",
    "NotPicklable",
    "NotStorable",
    "OtherLoopError",
    "PipelineCancelled",
    "PipelineValidationWarning",
    "PlacementLost",
    "RecordedError",
    "RemoteError",
    "RemoteUnavailable",
    "ResourceUnavailable",
    "RestartIntensityExceeded",
    "ResultsRefused",
    "RetriesExhausted",
    "RunAwaited",
    "RunError",
    "RunInterrupted",
    "RunRejected",
    "RunReleased",
    "RunStuck",
    "RunTimeout",
    "RunningLoopError",
    "ScheduleFailure",
    "StateConflict",
    "StateNotCopyable",
    "StepAborted",
    "StepTimeoutError",
    "StoreError",
    "StoreVersionError",
    "SupervisionError",
    "TrialError",
    "UnansweredAsk",
    "UnknownAsk",
    "UnknownRunError",
    "UnknownStepError",
    "UnreadableDataError",
    "did_you_mean",
]
