"""What is said of an invocation at its end: its last event, its failure, a warning."""

from __future__ import annotations

import logging
import traceback
import warnings

from .._failure.texts import text_of
from .._plan.nodes import SwitchNode
from ..errors import IgnoredValueWarning
from ..events import EventType, NodeKind
from ..meta import StepStatus
from .activation import Activation
from .ledger import Ledger
from .voices import NO_LINEAGE


TRACEBACK_LIMIT = 4000
"""Characters of a traceback an event carries."""

STATE_LIMIT = 1000
"""Characters of the state the error log shows."""


def log_failure(act: Activation, error: Exception) -> None:
    """Log a failure nobody handled, with the state if it may be shown."""
    ledger = act.ledger
    kind = type(error).__name__
    message = f"Step '{act.node.name}' failed with {kind}: {text_of(error)}"
    extra = {
        "step_name": act.node.name,
        "error_type": kind,
        "state_type": type(ledger.state).__name__,
        "run_id": ledger.run_id,
        # The words every record of the library uses; those above are the reference's.
        "run": ledger.run_id,
        "step": act.node.name,
        "actor": f"{ledger.plan.name}/{act.node.name}",
        "attempt": act.lineage.attempt,
    }
    logging.getLogger().error("%s%s", message, _state_text(ledger), extra=extra)


def _state_text(ledger: Ledger) -> str:
    if not ledger.log_state:
        return ""
    if ledger.log_state is True:
        return f"\nState: {text_of(ledger.state, limit=STATE_LIMIT)}"
    try:
        return f"\nState: {ledger.log_state(ledger.state)[:STATE_LIMIT]}"
    except Exception as error:  # noqa: BLE001 - the user's redaction is not our run
        return f"\nState: <redaction raised {type(error).__name__}>"


def say_end(act: Activation) -> None:
    """Publish STEP_END."""
    ledger, name, said = act.ledger, act.actor.node.name, act.notes.said
    assert said is not None
    seconds = act.seconds
    if act.status is StepStatus.SUCCESS:
        ledger.tally.time(name, seconds)
    notes = act.snapshot(seconds)
    ledger.voice.say_on(said, EventType.STEP_END, name, ledger.state, notes)


def say_error(act: Activation, error: Exception) -> None:
    """Publish STEP_ERROR, with the traceback if it is an invocation's."""
    is_invocation = act.lineage is not NO_LINEAGE
    meta = act.snapshot(act.seconds) if is_invocation else None
    if meta is not None:
        trace = "".join(_format(error))[-TRACEBACK_LIMIT:]
        meta["framework"].update(  # type: ignore[attr-defined]
            error_type=type(error).__name__, traceback=trace
        )
    kind = act.node.kind if is_invocation else NodeKind.STEP
    act.ledger.voice.say(
        EventType.STEP_ERROR, act.node.name, text_of(error), kind, act.lineage, meta
    )


def _format(error: Exception) -> list[str]:
    try:
        return traceback.format_exception(error)
    except Exception:  # noqa: BLE001 - an exception may misbehave when formatted
        return [text_of(error, typed=True)]


def say_suspend(act: Activation, reason: object) -> None:
    """Publish SUSPEND."""
    act.ledger.voice.say(EventType.SUSPEND, act.node.name, reason, lineage=act.lineage)


def warn_ignored(act: Activation, value: object) -> None:
    """Warn of a result that means nothing; a switch's always means something."""
    if isinstance(act.node, SwitchNode):
        return
    text = (
        f"Step '{act.node.name}' returned {type(value).__name__}, which is ignored; "
        "mutate state, or yield to stream values."
    )
    try:
        warnings.warn(text, IgnoredValueWarning, stacklevel=2)
    except Exception:  # noqa: BLE001 - warnings turned into errors end no run
        logging.getLogger("justpipe_actors").warning("%s", text)
