"""How a typed answer is read."""

from __future__ import annotations

from typing import Any

import pytest


pytest.importorskip("click", reason="needs the extra [cli]")

from justpipe_actors.cli.answers import parse_answer


@pytest.mark.parametrize(
    ("text", "form", "value"),
    [
        ("yes", {"type": "boolean"}, True),
        ("N", {"type": "boolean"}, False),
        ("true", {"type": "boolean"}, True),
        ("maybe", {"type": "boolean"}, "maybe"),
        ("no", {"type": "string"}, "no"),
        ("42", {"type": "string"}, "42"),
        ('"42"', {"type": "string"}, "42"),
        ("null", {"enum": ["kind", "strict"]}, "null"),
        ("strict", {"enum": ["kind", "strict"]}, "strict"),
        ("42", {"type": "integer"}, 42),
        ('{"ok": true}', {"type": "object"}, {"ok": True}),
        ("yes", {}, "yes"),
        ("[" * 100_000, {}, "[" * 100_000),
    ],
)
def test_a_typed_answer_is_read_by_the_form_of_its_ask(
    text: str, form: dict[str, Any], value: object
) -> None:
    """Booleans accept yes and no, texts need no quotes, and everything else is JSON."""
    parsed = parse_answer(text, form)

    assert (parsed, type(parsed)) == (value, type(value))
