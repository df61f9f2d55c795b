"""The three views of ``run``: what each one writes, and when."""

from __future__ import annotations

import json
import re
import sys
from io import StringIO

import pytest
from rich.console import Console

from justpipe_actors import Event, EventType
from justpipe_actors.cli.live_view import LiveView
from justpipe_actors.cli.outcome_text import Outcome
from justpipe_actors.cli.progress import Progress, outline
from justpipe_actors.cli.views import (
    PROGRESS_INTERVAL,
    JsonView,
    LinesView,
    StreamInfo,
    Style,
    TokenFormatter,
    event_json_line,
    style_for,
)
from justpipe_actors.failures import (
    FailureKind,
    FailureReason,
    FailureRecord,
    FailureSource,
)
from justpipe_actors.outcomes import Diagnostic, PipelineEndData, PipelineTerminalStatus


DESCRIBED = {
    "nodes": {
        "fan": {"kind": "map", "targets": ["work"]},
        "work": {"kind": "step", "targets": []},
    },
    "topology": {},
}

WATCHED, DUMB, PIPED = (
    StreamInfo(True, True),
    StreamInfo(True, False),
    StreamInfo(False, False),
)


def rows() -> Progress:
    """Return the rows of a map that has not begun."""
    return outline(DESCRIBED)


def token(payload: object) -> Event:
    """Publish a token."""
    return Event(EventType.TOKEN, "work", payload)


def begun_map(count: int | None) -> list[Event]:
    """Begin a map with one worker at work."""
    return [
        Event(EventType.STEP_START, "fan"),
        Event(EventType.MAP_START, "fan", {"target": "work", "item_count": count}),
        Event(EventType.STEP_START, "work", scope=("work[0]",)),
        Event(EventType.STEP_END, "work", scope=("work[0]",)),
        Event(EventType.STEP_START, "work", scope=("work[1]",)),
    ]


def ended(status: PipelineTerminalStatus, **facts: object) -> Outcome:
    """Return the end of a run."""
    signum = facts.pop("signum", None)
    end = PipelineEndData(status, 1.5, **facts)  # type: ignore[arg-type]
    return Outcome(end, signum)  # type: ignore[arg-type]


def terminal() -> tuple[Console, StringIO]:
    """Return a terminal of 40 columns and its output."""
    written = StringIO()
    return Console(file=written, force_terminal=True, width=40, height=20), written


def plain(text: str) -> str:
    """Remove the control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", text)


# -- which one


@pytest.mark.parametrize(
    ("asked", "out", "err", "style"),
    [
        (None, WATCHED, WATCHED, "live"),
        (None, WATCHED, PIPED, "live"),
        (None, DUMB, DUMB, "lines"),
        (None, PIPED, WATCHED, "json"),
        (None, PIPED, PIPED, "json"),
        ("json", WATCHED, WATCHED, "json"),
        ("lines", WATCHED, WATCHED, "live"),
        ("lines", PIPED, WATCHED, "live"),
        ("lines", PIPED, PIPED, "lines"),
        ("lines", DUMB, WATCHED, "lines"),
    ],
)
def test_the_view_fits_the_output(
    asked: Style | None, out: StreamInfo, err: StreamInfo, style: Style
) -> None:
    """A terminal gets rows, a pipe gets JSON, a dumb terminal gets lines."""
    assert style_for(asked, out, err) == style


# -- live


def test_a_line_is_printed_when_it_is_complete() -> None:
    """The beginning of a line is drawn with the rows, and printed once when its end comes."""
    screen, written = terminal()
    with LiveView("it", rows(), screen) as view:
        view.on_event(token("one "))
        view.tick()
        view.on_event(token("line\nand "))
        view.on_event(token("more"))

    view_options = plain(written.getvalue())
    assert view_options.count("one line\n") == 1
    assert view_options.rindex("and more\n") < view_options.rindex("○ fan")


def test_rows_stay_and_the_footer_is_removed() -> None:
    """During the run the title is below the rows; at the end only the rows are left."""
    screen, written = terminal()
    with LiveView("the title", rows(), screen) as view:
        for event in begun_map(4):
            view.on_event(event)
        view.notice("stopping")
        running = plain(written.getvalue())
        written.truncate(0)
    last = plain(written.getvalue())

    assert "1/4" in running
    assert "the title" in running
    assert "stopping" in running
    assert "● fan" in last
    assert "the title" not in last


def test_tokens_may_go_to_another_stream() -> None:
    """The terminal then shows rows only, and print() is not changed."""
    screen, written = terminal()
    out = StringIO()
    before = sys.stdout
    with LiveView("it", rows(), screen, out) as view:
        assert sys.stdout is before
        view.on_event(token("one "))
        view.on_event(token(2))

    assert out.getvalue() == "one \n2\n"
    assert "one" not in written.getvalue()


def test_the_end_is_shown_last() -> None:
    """The result of the run and further notes follow the rows."""
    screen, written = terminal()
    view = LiveView("it", rows(), screen)
    view.show_outcome(
        ended(
            PipelineTerminalStatus.SUCCESS,
            diagnostics=[Diagnostic("join", "pruned", ("a",), "join did not run")],
        )
    )

    assert plain(written.getvalue()).splitlines() == [
        "✓ success in 1.5s, 0 invocations",
        "  join did not run",
    ]


# -- lines


def test_a_map_over_nothing_has_no_items() -> None:
    """An empty source is shown as such, and not as "0 of 0 so far"."""
    out, err = StringIO(), StringIO()
    view = LinesView(rows(), out, err)
    mapping = {"target": "work", "item_count": None}
    for event in (
        Event(EventType.STEP_START, "fan"),
        Event(EventType.MAP_START, "fan", mapping),
        Event(EventType.MAP_COMPLETE, "fan", mapping | {"item_count": 0}),
        Event(EventType.STEP_END, "fan"),
    ):
        view.on_event(event)

    assert err.getvalue() == "  fan: done in 0ms, no items\n"


def test_the_progress_of_long_maps_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is at most one line every few seconds."""
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    out, err = StringIO(), StringIO()
    view = LinesView(rows(), out, err)
    for event in begun_map(4):
        view.on_event(event)
    view.tick()
    assert err.getvalue() == ""

    now = PROGRESS_INTERVAL
    view.tick()
    view.tick()
    assert err.getvalue() == "  fan: 1 of 4 items\n"


def test_the_end_is_written_in_lines() -> None:
    """A failure has its step, its text line by line, and the other failures after it."""
    records = [
        FailureRecord(
            FailureKind.STEP,
            FailureSource.USER_CODE,
            FailureReason.STEP_ERROR,
            f"boom {number}\nindeed",
            "work",
        )
        for number in range(6)
    ]
    err = StringIO()
    LinesView(rows(), StringIO(), err).show_outcome(
        ended(
            PipelineTerminalStatus.FAILED,
            error="boom 0\nindeed",
            failed_step="work",
            errors=records,
        )
    )

    assert err.getvalue().splitlines() == [
        "failed after 1.5s in step work: boom 0",
        "  indeed",
        "  also in work: boom 1",
        "  also in work: boom 2",
        "  also in work: boom 3",
        "  and 2 more failures",
    ]


def test_interrupted_steps_are_named() -> None:
    """After a signal the end names the steps that were at work."""
    progress, err = rows(), StringIO()
    for event in begun_map(4):
        progress.on_event(event)
    stopped = ended(PipelineTerminalStatus.CANCELLED, error="interrupted", signum=2)

    LinesView(progress, StringIO(), err).show_outcome(stopped)

    assert stopped.status == 130
    assert err.getvalue().splitlines() == [
        "cancelled after 1.5s: interrupted",
        "  cut off: fan, work; nothing of the run is left behind",
    ]


# -- JSON


def test_printed_text_is_no_event() -> None:
    """Inside the view print() writes to standard error; outside it is unchanged."""
    out, err = StringIO(), StringIO()
    before = sys.stdout
    with JsonView(rows(), out, err, has_state=False) as view:
        print("from a step")
        view.on_event(token("x"))
        view.tick()
        view.notice("stopping")

    assert sys.stdout is before
    assert json.loads(out.getvalue())["payload"] == "x"
    assert err.getvalue() == "from a step\nstopping\n"


def test_a_success_is_not_reported_as_text() -> None:
    """A reader of events gets only failures as text."""
    err = StringIO()
    view = JsonView(rows(), StringIO(), err, has_state=False)

    view.show_outcome(ended(PipelineTerminalStatus.SUCCESS))
    assert err.getvalue() == ""

    view.show_outcome(ended(PipelineTerminalStatus.TIMEOUT))
    assert err.getvalue() == "timed out after 1.5s\n"


# -- tokens and events as text


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
def test_text_continues_and_other_values_are_lines(
    tokens: list[object], written: str
) -> None:
    """Pieces of text are joined; every other value begins and ends a line."""
    texts = TokenFormatter()

    assert "".join(map(texts.format, tokens)) == written


def test_an_event_is_one_line() -> None:
    """Every event is one line of JSON, whatever values it has."""
    event = Event(EventType.TOKEN, "a", payload="x\ny\u2028", scope=("m[0]",))

    line = event_json_line(event, has_state=False)

    assert line.endswith("}\n")
    assert len(line.splitlines()) == 1
    assert json.loads(line)["payload"] == "x\ny\u2028"
