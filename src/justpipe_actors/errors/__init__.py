"""Every exception of the library, as one tree.

::

    Exception
    ├── DefinitionError                 the pipe is wired wrongly
    │   ├── DefinitionErrorGroup        several problems, reported together
    │   └── StateNotCopyable            a part of an isolated state has no copy
    ├── PipelineCancelled               a cancellation token was cancelled
    ├── RunError (RuntimeError)         something about one run
    │   ├── RunInterrupted              the run's owner went away before it finished
    │   │   └── RunReleased             a durable run goes on elsewhere, or later
    │   ├── DuplicateKey (ValueError)   a step used a key twice in one call
    │   ├── AskTimeout (TimeoutError)   a question was not answered in time
    │   ├── RunStuck                    a durable run waits for a person to look at it
    │   ├── MapSourceChanged            a map's source gave other items after a restart
    │   ├── RunTimeout (TimeoutError)   a run took longer than its timeout
    │   ├── OtherLoopError              a run was awaited in another event loop
    │   ├── AsyncWithNeeded (TypeError) ``with`` stands where ``async with`` belongs
    │   ├── RunAwaited (TypeError)      a run was awaited, instead of its end
    │   ├── RunningLoopError            ``run_sync`` in a running event loop
    │   ├── InvalidRunId                a client chose an id that no run can have
    │   ├── RunRejected                 the supervisor takes no more runs
    │   ├── ConsumerTooSlow             a run was told to fail behind a slow reader
    │   ├── ForeignCancellation         a step was cancelled from outside its run
    │   ├── DispatcherTaskKilled        a task of the engine was cancelled natively
    │   ├── StepAborted                 a step raised a BaseException
    │   ├── ChildRunFailed              a sub-pipeline failed without an exception
    │   ├── RetriesExhausted            ``Retry()`` was answered too often
    │   ├── PlacementLost               the worker that ran a step is gone
    │   ├── RemoteError                 a step elsewhere raised what cannot be pickled
    │   ├── NotPicklable (TypeError)    a value cannot go to a placement, or come back
    │   ├── RemoteUnavailable           a step elsewhere asked for what is only here
    │   ├── ResourceUnavailable         a resource could not be opened
    │   └── EmptyPipelineError          there is nothing to run
    ├── StoreError                      something about remembering runs
    │   ├── UnreadableDataError         stored data do not fit the type asked for
    │   ├── MalformedEventError (ValueError)  an event to be stored is no JSON object
    │   ├── AmbiguousRunError (ValueError)   a prefix that several runs share
    │   ├── CleanupRuleError (ValueError)  a rule for forgetting runs makes no sense
    │   ├── JournalUnusableError        a journal's file cannot be opened as one
    │   └── StoreVersionError           the store was written by a newer version
    ├── SupervisionError                something about a supervisor's children
    │   ├── ChildStartFailed            a child did not get ready
    │   ├── ChildEnded                  a child that should go on came to an end
    │   └── RestartIntensityExceeded    children ended too often to go on
    ├── StateConflict (RuntimeError)    two steps changed one part of an isolated state
    ├── UnknownStepError (ValueError)   a step named one that is not there
    ├── NestedTooDeeply (RecursionError)  a pipe contains itself, or nearly so
    ├── NoRouteError (ValueError)       a switch knows no way for this value
    ├── MapSourceError (ValueError)     a map cannot use what its function returned
    ├── ResultsRefused (TypeError)      a state cannot be given what a map collected
    ├── StepTimeoutError (TimeoutError)
    ├── HookTimeoutError (TimeoutError)
    ├── BarrierTimeoutError (TimeoutError)
    ├── NotStorable (TypeError)         a value of a durable run cannot be written down
    ├── RecordedError                   a failure from before a run was taken up again
    ├── UnknownAsk (LookupError)        no such question is open
    ├── AnswerRejected (ValueError)     an answer does not fit its question's form
    ├── UnknownRunError (LookupError)   no such run is at work, stored or remembered
    ├── LayoutTooLarge (ValueError)     a drawing has too many boxes and lines
    ├── MissingExtraError (ImportError)  a part needs a library that is not there
    └── TrialError                      something a test found out
        ├── CrashFailure                a run that died ended differently from one that did not
        ├── UnansweredAsk               a pipe asked what its test does not answer
        ├── Deadlock                    nothing can happen any more
        ├── ScheduleFailure             a check failed under one schedule
        └── CleanupFailure              a run stopped at one step left something behind

    UserWarning
    ├── PipelineValidationWarning       a definition that is legal but suspicious
    │   └── LostUpdateWarning           map workers can undo each other's changes
    ├── IgnoredValueWarning             a step returned a value that means nothing
    └── ChangedItemWarning              a map worker changed its item in vain

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
    AsyncWithNeeded,
    ChildRunFailed,
    ConsumerTooSlow,
    DispatcherTaskKilled,
    EmptyPipelineError,
    ForeignCancellation,
    InvalidRunId,
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
