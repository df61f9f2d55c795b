"""The value that a text at the terminal stands for, as an answer to a question."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


_TRUTH = {"y": True, "yes": True, "n": False, "no": False}


def parse_answer(text: str, form: Mapping[str, object]) -> Any:
    """Return the value of a text that was typed as an answer.

    Text is JSON, and what is no JSON stands for itself.  ``yes`` and ``no`` answer a
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
