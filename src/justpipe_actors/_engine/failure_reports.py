"""Report a failure that no handler handled: in the run, in the log and as an event.

A worker's failure names its item, because a map of a thousand files says nothing with
``could not convert string to float``.  The item is a note of the exception, so that every
traceback shows it, and a figure of STEP_ERROR.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any

from .._publishing.invocation_ids import NO_IDS, meta_of
from .._util.text import (
    error_text,
    escape_controls,
    mask_secrets,
    safe_str,
    short_text,
)
from .._util.user_errors import drop_engine_frames
from .._util.user_objects import call_or
from ..errors import AskTimeout
from ..events import EventType, NodeKind
from .failure_hints import add_hints
from .invocation import Invocation
from .run_state import RunState


TRACEBACK_LIMIT = 4000
"""Characters of a traceback an event carries."""

STATE_LIMIT = 1000
"""Characters of the state the error log shows."""

NO_STEP = "system"
"""Stands for the step of a failure that no step of a child run had."""

_logger = logging.getLogger("justpipe_actors.steps")


def report_failure(invocation: Invocation, error: Exception, step: str) -> None:
    """Record a failure of a step, log it, and publish STEP_ERROR."""
    drop_engine_frames(error)
    add_hints(error, invocation.node.func, invocation.run_state)
    item = _item_text(invocation)
    if item is not None:
        call_or(None, _note_item, error, invocation.message.scope[-1], item)
    invocation.run_state.add_failure(error, step)
    _log_failure(invocation, error, step)
    _publish_step_error(invocation, error, item)


def _item_text(invocation: Invocation) -> str | None:
    """Return the item of a map worker; None of any other step, and if it is not shown."""
    message = invocation.message
    if message.map_id is None:
        return None
    if invocation.run_state.log_state is not True:  # the user hides or redacts the data
        return ""
    item = message.item
    text = repr(item) if isinstance(item, str) else short_text(item)
    return mask_secrets(text)


def _note_item(error: Exception, label: str, item: str) -> None:
    """Say in a note of the exception which item it is about.

    One exception object may be raised for many items; its note names the last of them.
    """
    start = f"In {label.rpartition('[')[0]}["
    others = [n for n in getattr(error, "__notes__", ()) if not n.startswith(start)]
    error.__notes__ = others
    error.add_note(f"In {label}" + (f", for the item {item}" if item else ""))


def _log_failure(invocation: Invocation, error: Exception, step: str) -> None:
    """Log a failure, with the state if it may be shown.

    The failure of a step in a sub-pipeline was logged there, with its traceback and its
    state, so each pipe around it only says where it was: ``(in sub:step)``.
    """
    run_state = invocation.run_state
    kind = type(error).__name__
    text = escape_controls(error_text(error))
    message = f"Step '{invocation.node.name}' failed with {kind}: {text}"
    is_in_child = step.partition(":")[2] not in ("", NO_STEP)
    # A question between two steps that was not answered is no failure of an invocation.
    is_logged = is_in_child and not isinstance(error, AskTimeout)
    extra = {
        "step_name": invocation.node.name,
        "error_type": kind,
        "state_type": type(run_state.state).__name__,
        "run_id": run_state.run_id,
        # Keys that every log record of the library has; those above are for
        # compatibility with the reference implementation.
        "run": run_state.run_id,
        "step": invocation.node.name,
        "actor": f"{run_state.plan.name}/{invocation.node.name}",
        "attempt": invocation.ids.attempt,
    }
    if is_logged:
        shown, details = None, f" (in {step}){call_or('', _notes_text, error)}"
    else:
        shown = error if call_or(None, traceback.format_exception, error) else None
        details = _state_text(run_state)
    # In the variables of the invocation, so that filters of the log find its run and step.
    invocation.variables.copy().run(
        _logger.error,
        "%s%s",
        message,
        details,
        extra=extra,
        exc_info=shown,
    )


def _notes_text(error: Exception) -> str:
    """Return the notes of an exception, such as the item of a map, as lines."""
    notes = getattr(error, "__notes__", ())
    return "".join(f"\n{escape_controls(safe_str(note))}" for note in notes)


def _state_text(run_state: RunState) -> str:
    if not run_state.log_state:
        return ""
    if run_state.log_state is True:
        text = mask_secrets(safe_str(run_state.state))[:STATE_LIMIT]
        return f"\nState: {escape_controls(text)}"
    try:
        return f"\nState: {run_state.log_state(run_state.state)[:STATE_LIMIT]}"
    except Exception as error:  # noqa: BLE001 - the user's redaction is not our run
        return f"\nState: <redaction raised {type(error).__name__}>"


def _publish_step_error(
    invocation: Invocation, error: Exception, item: str | None
) -> None:
    """Publish STEP_ERROR, with the traceback and a worker's item if it is an invocation's."""
    is_invocation = invocation.ids is not NO_IDS
    meta: dict[str, Any] | None = None
    if is_invocation:
        notes = invocation.notes
        noted = notes.snapshot() if notes.noted else None
        figures = (invocation.seconds, invocation.status, notes.tries, noted)
        meta = meta_of(figures, invocation.ids.attempt)
        trace = "".join(_format(error))[-TRACEBACK_LIMIT:]
        meta["framework"].update(error_type=type(error).__name__, traceback=trace)
        if item:
            meta["framework"]["item"] = item
    kind = invocation.node.kind if is_invocation else NodeKind.STEP
    invocation.run_state.publisher.publish(
        EventType.STEP_ERROR,
        invocation.node.name,
        safe_str(error),
        kind,
        invocation.ids,
        meta,
    )


def _format(error: Exception) -> list[str]:
    lines = call_or(None, traceback.format_exception, error)
    return lines or [safe_str(error, typed=True)]
