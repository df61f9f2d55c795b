"""Answers at the command line: how to answer a question, and what was typed as one."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import anyio

from ..errors import AnswerRejected, UnknownAsk
from ..events import Event
from .formatting import printable


if TYPE_CHECKING:
    from .._run import RunStream
    from .views import View


_TRUTH = {"y": True, "yes": True, "n": False, "no": False}


def parse_answer(text: str, form: Mapping[str, object]) -> Any:
    """Return the value of a text that was typed as an answer.

    The text is JSON, or else the answer itself.  ``yes`` and ``no`` answer a
    boolean question, and a question for text takes any text without quotes.

    Args:
        text: what was typed.
        form: JSON schema of the answer; empty when it is not known.
    """
    if form.get("type") == "boolean" and text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    is_text_wanted = form.get("type") == "string" or _is_choice_of_texts(form)
    return text if is_text_wanted and not isinstance(value, str) else value


def _is_choice_of_texts(form: Mapping[str, object]) -> bool:
    choices = form.get("enum")
    return (
        isinstance(choices, list)
        and bool(choices)
        and all(isinstance(choice, str) for choice in choices)
    )


def how_to_answer(ask_id: str, form: dict[str, Any]) -> str:
    """Word the command that answers a question."""
    return f"justpipe-actors answer {ask_id} '{example_of(form)}'"


def example_of(form: dict[str, Any]) -> str:
    """Return JSON that shows what fits a form."""
    if form.get("type") == "object":
        names = form.get("required") or list(form.get("properties", {}))
        inner = form.get("properties", {})
        shown = (f'"{name}": {example_of(inner.get(name, {}))}' for name in names)
        return "{" + ", ".join(shown) + "}"
    if form.get("enum"):
        first = form["enum"][0]
        return f'"{first}"' if isinstance(first, str) else str(first)
    samples = {"boolean": "true", "integer": "1", "number": "1.5", "array": "[]"}
    return samples.get(str(form.get("type")), '"..."')


async def ask_at_terminal(run: RunStream, event: Event, view: View) -> None:
    """Show the ask and how to answer it; at a terminal, read the answer."""
    ask, note, form = (event.payload[name] for name in ("ask", "note", "form"))
    if sys.stdin is None or not sys.stdin.isatty():
        view.notice(f"asks: {printable(note)} [{printable(ask)}]")
        view.notice(f"answer with: {how_to_answer(ask, form)}")
        return
    # Use a single notice: the live view shows only the last one.
    view.notice(f"{printable(note) or printable(ask)}  [as {example_of(form)}]")
    while True:
        line = await anyio.to_thread.run_sync(
            sys.stdin.readline, abandon_on_cancel=True
        )
        if not line:
            return
        try:
            await run.answer(ask, parse_answer(line.strip(), form))
        except AnswerRejected as error:
            view.notice(f"{error.problem}  [as {example_of(form)}]")
        except UnknownAsk:
            return
        else:
            return
