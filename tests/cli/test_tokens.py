"""What a run streams, as text."""

from __future__ import annotations

import json

import pytest

from justpipe_actors import Event, EventType
from justpipe_actors.cli.views import TokenFormatter, event_json_line


@pytest.mark.parametrize(
    ("tokens", "written"),
    [
        (["a", "b\n", "c"], "ab\nc"),
        (["a", {"b": 1}, "c"], 'a\n{"b": 1}\nc'),
        ([1, 2], "1\n2\n"),
        (["a", "", 1], "a\n1\n"),
        ([b"x"], "\"b'x'\"\n"),
    ],
)
def test_text_runs_on_and_all_else_has_lines(
    tokens: list[object], written: str
) -> None:
    """Pieces of text run together; anything else begins and ends a line."""
    texts = TokenFormatter()

    assert "".join(map(texts.format, tokens)) == written


def test_an_event_is_one_line() -> None:
    """Whatever is in it, an event is one line of JSON."""
    event = Event(EventType.TOKEN, "a", payload="x\ny\u2028", scope=("m[0]",))

    line = event_json_line(event, has_state=False)

    assert line.endswith("}\n")
    assert len(line.splitlines()) == 1
    assert json.loads(line)["payload"] == "x\ny\u2028"
