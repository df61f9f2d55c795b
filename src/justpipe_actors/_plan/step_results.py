"""The meaning of a step's return value.

A step controls the engine by its result: nothing, a step's name, or a signal.  This
module maps each result to an instruction and has no side effects; the actors carry
the instruction out.

Only *instances* of ``Retry``, ``Skip`` and ``Raise`` count; ``Stop`` counts as a class
too, because programs for justpipe return the class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _plan
from .._definition.names import resolve_name
from .._util.async_generators import GeneratorResult
from .._util.lazy_classes import frozen
from ..signals import Ask, Raise, Retry, Skip, Stop, Suspend, _Map, _Next, _Run


if TYPE_CHECKING:
    from datetime import timedelta

    from .._util.forms import Form


@frozen
class Proceed:
    """Go on to the static successors."""

    ignored: object = None
    """A returned value without a meaning; causes a warning unless it is None."""
    pruned: bool = False
    """True if a worker failed: the step is done, and its successors must not run."""


@frozen(eq=False)
class CollectValue:
    """Keep the result of a map's worker, and proceed."""

    value: object
    """Any value that is no signal."""
    stored: Any = None
    """The value as JSON, in a list; None in a run without a journal."""


@frozen
class StartNamedStep:
    """Start this step instead of the static successors."""

    target: str
    """Its name, known to the plan or not."""


@frozen
class StopRun:
    """End the run with status SUCCESS."""


@frozen
class SuspendRun:
    """End the run and publish why it is suspended."""

    reason: object
    """Payload of the SUSPEND event."""


@frozen
class SkipSuccessors:
    """Do not run the successors."""


@frozen
class RetryStep:
    """Make another attempt."""


@frozen(eq=False)
class FailStep:
    """Fail the step as if it had raised this exception."""

    error: Exception
    """The exception object itself."""
    step: str | None = None
    """Step that raised it, if it is not this one: ``"sub:inner"``."""


@frozen(eq=False)
class StartMap:
    """Run a map owned by this step."""

    items: object
    """Source of the items."""
    target: str
    """Name of the worker step."""


@frozen(eq=False)
class StartChildRun:
    """Run a child pipe owned by this step."""

    pipe: object
    """The child pipe."""
    state: object
    """The state of the child run."""


@frozen(eq=False)
class AskBetween:
    """Wait for an answer or a point in time, then start the next step with it."""

    form: Form | None
    """Form of the answer; None waits for the time alone."""
    note: str
    """Text shown with the question."""
    to: str | None
    """The next step; None means the static successors."""
    seconds: float | None
    """Seconds that the question stays open; None sets no limit."""
    on_timeout: str | None
    """The step to start when there is no answer in time."""
    key: str
    """Name of the question, unique within its step."""


StepResult = (
    Proceed
    | CollectValue
    | StartNamedStep
    | StopRun
    | SuspendRun
    | SkipSuccessors
    | RetryStep
    | FailStep
    | StartMap
    | StartChildRun
    | AskBetween
)

PROCEED = Proceed()

CONTROL_ITEMS = (Suspend, _Next, _Map, _Run, GeneratorResult)
"""Values that a streaming step may yield besides tokens; the last is its result."""


def interpret_collected(value: object, step: str) -> StepResult:
    """Return the meaning of the result of a worker that a map collects from.

    Signals keep their meaning; any other value is collected, also text and None.
    """
    if value is None or isinstance(value, str):
        return CollectValue(value)
    answer = interpret_result(value, step)
    return CollectValue(value) if isinstance(answer, Proceed) else answer


def interpret_result(value: object, step: str) -> StepResult:
    """Return the instruction for the engine that a step's result means.

    Raises:
        BaseException: the result is ``Raise()`` with one that is no ``Exception``.
    """
    match value:
        case None:
            return PROCEED
        case str():
            return StartNamedStep(value)
        case Stop():
            return StopRun()
        case Suspend():
            return SuspendRun(value.reason)
        case Skip():
            return SkipSuccessors()
        case Retry():
            return RetryStep()
        case Raise():
            return FailStep(_exception_of(value, step))
        case Ask():
            return _interpret_ask(value)
        case _Next() | _Map() | _Run():
            return _interpret_control_item(value)
        case _:
            return StopRun() if value is Stop else Proceed(ignored=value)


def _interpret_control_item(value: _Next | _Map | _Run) -> StepResult:
    match value:
        case _Next(target=None):
            return Proceed(ignored=value)
        case _Next():
            return _resolve_target(value.target, StartNamedStep)
        case _Map():
            return _resolve_target(
                value.target, lambda name: StartMap(value.items, name)
            )
        case _Run():
            return StartChildRun(value.pipe, value.state)


def _seconds(timeout: float | timedelta) -> float:
    from datetime import timedelta  # noqa: PLC0415 - few programs ask

    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout


def _interpret_ask(question: Ask) -> StepResult:
    timeout = question.timeout
    if question.form is None and timeout is None:
        msg = "Ask(None, ...) waits for a moment: give it timeout=."
        return FailStep(ValueError(msg))
    try:
        form = None if question.form is None else _plan.form_of(question.form)
        return AskBetween(
            form,
            question.note,
            None if question.to is None else resolve_name(question.to),
            None if timeout is None else _seconds(timeout),
            None if question.on_timeout is None else resolve_name(question.on_timeout),
            question.key,
        )
    except (TypeError, ValueError) as error:
        return FailStep(error)


def _resolve_target(target: object, build: object) -> StepResult:
    try:
        return build(resolve_name(target))  # type: ignore[operator,no-any-return]
    except ValueError as error:
        return FailStep(error)


def _exception_of(raised: Raise, step: str) -> Exception:
    """Return the exception to fail with; any argument of ``Raise(...)`` is accepted."""
    exception: object = raised.exception
    if exception is None:
        return RuntimeError(f"Step '{step}' returned Raise() without an exception.")
    if isinstance(exception, type) and issubclass(exception, BaseException):
        exception = exception()
    if isinstance(exception, Exception):
        return exception
    if isinstance(exception, BaseException):
        raise exception
    kind = type(exception).__name__
    return TypeError(f"Step '{step}' returned Raise() with {kind}, not an exception.")
