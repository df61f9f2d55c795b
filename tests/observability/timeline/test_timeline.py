"""``TimelineVisualizer``: four drawings of one run."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import anyio
import pytest

from justpipe_actors import Event, EventType, Pipe
from justpipe_actors.observability import ObserverMeta, TimelineVisualizer


START, END = EventType.STEP_START, EventType.STEP_END
ERROR = EventType.STEP_ERROR


def replayed(*moments: tuple[EventType, str, float], **options: Any) -> Any:
    """Return a visualizer that got some events of one run."""
    visualizer = TimelineVisualizer(**options)
    visualizer.pipeline_name = "P"
    visualizer.pipeline_start = 100.0
    for kind, stage, at in moments:
        visualizer.process_event(kind, stage, 100 + at)
    return visualizer


THREE = (
    (START, "fetch", 0),
    (END, "fetch", 1),
    (START, "parse", 1),
    (ERROR, "parse", 3),
    (START, "load", 3),
    (END, "load", 4),
)


def test_ascii_has_a_row_per_span() -> None:
    """The text has name, bar and duration of each span, a title, an axis and the failures."""
    text = replayed(*THREE, (START, "wait", 3.5)).render_ascii()

    assert text.splitlines() == [
        "Timeline of P (4.0s)",
        "─" * 80,
        "fetch                       " + "█" * 9 + " " * 26 + "  1.0s",
        "parse                     ✗ "
        + " " * 8
        + "▓" * 18
        + " " * 9
        + "  2.0s Bottleneck",
        "load                        " + " " * 26 + "█" * 9 + "  1.0s",
        "wait                      … " + " " * 30 + "░" * 4 + "  500ms".rjust(7),
        " " * 28 + "0" + "4.0s".rjust(34),
        "✗ failed   … unfinished",
    ]


def test_ascii_fits_the_width() -> None:
    """No line is wider than 80 or 200 columns."""
    for width in (80, 200):
        text = replayed(*THREE, (START, "x" * 90, 3), (END, "x" * 90, 4), width=width)
        lines = text.render_ascii().splitlines()
        assert max(len(line) for line in lines) == width
        assert any(line.startswith("x" * 22 + "...") for line in lines)


@pytest.mark.parametrize("width", [-5, 0, 40, 45, 54, 10**9])
def test_widths_are_clamped(width: int) -> None:
    """Any width gives a timeline with an axis."""
    lines = replayed(*THREE, width=width).render_ascii().splitlines()

    assert 60 <= len(lines[1]) <= 500
    assert lines[-2].split() == ["0", "4.0s"]


def test_the_window_contains_all_spans() -> None:
    """An end of the pipeline that is too early does not squeeze the bars."""
    visualizer = replayed(*THREE)
    visualizer.pipeline_end = 100.5

    assert "(4.0s)" in visualizer.render_ascii()


def test_times_count_from_the_start_event() -> None:
    """A run begins earlier, and may wait for its startup hooks before."""
    later = [(kind, stage, at + 5) for kind, stage, at in THREE]

    text = replayed((EventType.START, "system", 5), *later).render_ascii()

    assert text.splitlines()[0] == "Timeline of P (4.0s)"


def test_ascii_counts_the_spans_it_leaves_out() -> None:
    """Beyond ``max_steps`` only the number of spans is shown."""
    text = replayed(*THREE).render_ascii(max_steps=1)

    assert "... 2 more steps" in text
    assert "load" not in text


def test_html_is_one_page_without_scripts() -> None:
    """The page has a bar per span in percent, and escapes every name."""
    page = replayed(*THREE, (START, "<b>&", 3), (END, "<b>&", 4)).render_html()

    assert "<title>P (4.0s)</title>" in page
    assert "left: 25.00%; width: 50.00%" in page
    assert '<li class="failed bottleneck">' in page
    assert "&lt;b&gt;&amp;" in page
    assert "<b>" not in page
    assert "<script" not in page
    assert re.findall(r"https?://", page) == []


def test_mermaid_counts_milliseconds() -> None:
    """The chart's times are milliseconds and are declared so."""
    chart = replayed(
        *THREE, (START, "a:b;c #1", 3), (START, "retry", 3.2), width=80
    ).render_mermaid()

    assert chart.splitlines() == [
        "gantt",
        "    title P",
        "    dateFormat x",
        "    axisFormat %Q ms",
        "    section Execution (system)",
        "    fetch: done, 0, 1000",
        "    parse: crit, 1000, 3000",
        "    load: done, 3000, 4000",
        "    a_b_c__1: active, 3000, 4000",
        "    retry: active, 3200, 4000",
    ]


async def test_mermaid_has_a_section_per_kind() -> None:
    """Steps and maps stand in sections of their own."""
    visualizer = TimelineVisualizer()
    pipe: Pipe[Any, Any] = Pipe(None)
    pipe.map("m", each="w")(lambda state: [1, 2])
    pipe.step("w")(lambda item: None)
    pipe.add_observer(visualizer)
    async with pipe.run({}) as run:
        await run.wait()
    chart = visualizer.render_mermaid()

    assert re.findall(r"section Execution \((\w+)\)", chart) == ["map", "step"]
    assert re.findall(r"(w\S+): done", chart) == ["w[0]", "w[1]"]


def test_a_trace_shows_overlapping_spans_apart() -> None:
    """They are in different threads of the trace; other spans share one."""
    visualizer = replayed(
        (START, "a", 0), (START, "b", 1), (END, "a", 2), (START, "c", 2), (END, "b", 3)
    )
    trace = json.loads(visualizer.render_chrome())["traceEvents"]
    spans = [one for one in trace if one["ph"] == "X"]

    assert [(s["name"], s["tid"], s["ts"], s["dur"]) for s in spans] == [
        ("a", 1, 0, 2_000_000),
        ("b", 2, 1_000_000, 2_000_000),
        ("c", 1, 2_000_000, 1_000_000),
    ]
    assert spans[2]["args"]["status"] == "unfinished"
    assert trace[0]["args"] == {"name": "P"}


def test_without_events_there_is_a_notice() -> None:
    """Every renderer says that there are no events, or returns nothing; none fails."""
    visualizer = TimelineVisualizer()

    assert visualizer.render_ascii() == "No events recorded."
    assert visualizer.render_html() == "<p>No events recorded.</p>"
    assert visualizer.render_mermaid() == "gantt\n    title Pipeline"
    assert len(json.loads(visualizer.render_chrome())["traceEvents"]) == 1


async def test_events_without_spans_are_drawn_too() -> None:
    """A run whose startup hook failed has a timeline without rows."""
    visualizer = TimelineVisualizer()
    meta = ObserverMeta("P", "r", 5.0)
    await visualizer.on_pipeline_start(None, None, meta)
    await visualizer.on_event(None, None, meta, Event(ERROR, "startup", timestamp=6.0))
    await visualizer.on_pipeline_error(None, None, meta, ValueError())

    assert visualizer.render_ascii().startswith("Timeline of P (1.0s)")
    assert "<h1>P" in visualizer.render_html()
    assert (visualizer.pipeline_start, visualizer.pipeline_end) == (5.0, 6.0)


async def test_concurrent_runs_have_separate_timelines() -> None:
    """Two runs at once do not mix or erase each other's timeline."""
    visualizer = TimelineVisualizer()
    pipe: Pipe[Any, Any] = Pipe(None)
    both = anyio.Event()
    present: list[str] = []

    async def meet(state: Any) -> None:
        present.append(state["name"])
        if len(present) == 2:
            both.set()
        await both.wait()

    pipe.step("meet", to="after")(meet)
    pipe.step("after")(lambda state: None)
    pipe.add_observer(visualizer)
    runs = [pipe.run({"name": name}) for name in "ab"]
    async with anyio.create_task_group() as tasks:
        for run in runs:
            tasks.start_soon(run.wait)

    for run in runs:
        timeline = visualizer.for_run(run.run_id)
        assert [span.stage for span in timeline.chart().spans] == ["meet", "after"]
        assert timeline.events[-1].event_type is EventType.FINISH
    latest = next(
        timeline
        for run in runs
        if (timeline := visualizer.for_run(run.run_id)).events == visualizer.events
    )
    assert visualizer.step_start_times == latest.step_start_times
    assert set(visualizer.step_end_times) == {"meet", "after"}
    assert visualizer.pipeline_name == "Pipe"


async def test_timelines_of_a_daemon_are_bounded() -> None:
    """Of a thousand runs the last few are kept, without their payloads."""
    visualizer = TimelineVisualizer(keep=3, max_spans=2)
    for number in range(1000):
        meta = ObserverMeta("P", str(number))
        await visualizer.on_pipeline_start(None, None, meta)
        for lap in range(5):
            for kind in (START, END):
                event = Event(kind, f"s{lap}", object(), invocation_id=f"r:{lap}")
                await visualizer.on_event(None, None, meta, event)
        await visualizer.on_pipeline_end(None, None, meta, 0.0)

    assert list(visualizer._runs) == ["997", "998", "999"]
    chart = visualizer.for_run("998").chart()
    assert [span.stage for span in chart.spans] == ["s3", "s4"]
    assert "3 earlier steps not kept" in visualizer.render_ascii()
    assert "3 earlier steps were not kept" in visualizer.render_html()


def test_wide_and_odd_names_keep_the_columns() -> None:
    """Wide characters and line ends in a name move no bar."""
    text = replayed(
        (START, "資料", 0), (END, "資料", 1), (START, "a\nb", 1)
    ).render_ascii()
    wide, odd = text.splitlines()[2:4]

    assert wide.index("█") == 28 - 2
    assert odd.startswith("a\\nb ")


def test_a_run_without_length_is_drawn() -> None:
    """Its spans fill the window."""
    visualizer = TimelineVisualizer()
    for kind in (START, END):
        visualizer.process_event(kind.value, "a", 5.0)

    assert "█" * 35 in visualizer.render_ascii()
    assert "left: 0.00%; width: 100.00%" in visualizer.render_html()


def test_html_names_attempts() -> None:
    """A second attempt says so beside its name."""
    visualizer = TimelineVisualizer()
    for number in (1, 2):
        event = Event(START, "a", timestamp=1.0, invocation_id=f"r:{number}")
        retried = replace(event, attempt=number, parent_invocation_id="r:1")
        visualizer._runs.latest().note(retried)

    assert "retried</small>" in visualizer.render_html()
    assert "attempt 2" in visualizer.render_html()
