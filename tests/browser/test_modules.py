"""The JavaScript modules compute the same as the Python code."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from justpipe_actors.cli.formatting import format_duration
from justpipe_actors.dashboard.run_details import StoredRun, diff_of
from justpipe_actors.dashboard.spans import SPAN_COLUMNS
from justpipe_actors.storage import PipelineRegistry

from .pages import open_page
from .site import served
from .test_budgets import busy_seconds


SECONDS = [
    None,
    -1,
    0,
    0.0004,
    0.4,
    0.9994,
    0.9996,
    1,
    30.46,
    59.94,
    59.96,
    60,
    3599,
    7200,
]


def test_durations_are_written_as_on_the_command_line(
    page: Page, typical: tuple[Path, str]
) -> None:
    """They are rounded before the unit is chosen: milliseconds, seconds, minutes, hours."""
    with served(typical[0]) as site:
        open_page(page, f"{site.address}/pipelines")
        written = page.evaluate(
            "async (values) => { const m = await import(new URL('static/base/format.js', document.baseURI));"
            " return values.map(m.duration); }",
            SECONDS,
        )

    assert written == [format_duration(seconds) for seconds in SECONDS]


def test_spans_of_a_live_page_are_those_of_the_server(
    page: Page, failed: tuple[Path, str]
) -> None:
    """Pairs, labels, owners, statuses and numbers are the same."""
    root, run_id = failed
    found = PipelineRegistry(root).resolve_run(run_id)
    assert found is not None
    run = StoredRun(*found)
    data = run.spans()
    with served(root) as site:
        open_page(page, f"{site.address}/pipelines")
        spans = page.evaluate(
            """async ([rows, t0]) => {
              const m = await import(new URL("static/parts/model.js", document.baseURI));
              const model = new m.RunModel({ t0, next: 0, spans: [] });
              if (!model.hear(rows)) throw new Error("a gap");
              return model.spans.map((s) => Object.keys(m.ROW).map((key) => s[key]));
            }""",
            [run.rows_after(0, 10_000), data["t0"]],
        )

    times = (SPAN_COLUMNS.index("start"), SPAN_COLUMNS.index("end"))
    for span, row in zip(spans, data["spans"], strict=True):
        for place in times:
            assert span[place] == pytest.approx(row[place], abs=1e-4)
            span[place] = row[place] = None
        assert span == row


def test_missing_events_are_noticed(page: Page, failed: tuple[Path, str]) -> None:
    """The page requests them; an event that it already has is no gap."""
    root, run_id = failed
    found = PipelineRegistry(root).resolve_run(run_id)
    assert found is not None
    rows = StoredRun(*found).rows_after(0, 10_000)
    with served(root) as site:
        open_page(page, f"{site.address}/pipelines")
        heard = page.evaluate(
            """async (parts) => {
              const m = await import(new URL("static/parts/model.js", document.baseURI));
              const model = new m.RunModel({ t0: 0, next: 0, spans: [] });
              return parts.map((rows) => model.hear(rows));
            }""",
            [rows[:5], rows[2:8], rows[9:12]],
        )

    assert heard == [True, True, False]


def test_the_time_of_a_run_counts_from_its_start(
    page: Page, failed: tuple[Path, str]
) -> None:
    """A run that is not stored may have waited for its place before."""
    root, run_id = failed
    found = PipelineRegistry(root).resolve_run(run_id)
    assert found is not None
    run = StoredRun(*found)
    data = run.spans()
    with served(root) as site:
        open_page(page, f"{site.address}/pipelines")
        starts = page.evaluate(
            """async ([rows, submitted]) => {
              const m = await import(new URL("static/parts/model.js", document.baseURI));
              const model = new m.RunModel({ t0: submitted, next: 0, spans: [] });
              model.hear(rows.slice(0, 4));
              model.hear(rows.slice(4));
              return model.spans.map((span) => span.start);
            }""",
            [run.rows_after(0, 10_000), data["t0"] - 60],
        )

    place = SPAN_COLUMNS.index("start")
    assert starts == pytest.approx([row[place] for row in data["spans"]], abs=1e-4)


def test_a_late_reply_does_not_replace_newer_spans(page: Page, tmp_path: Path) -> None:
    """Two requests may be answered in the other order."""
    running = ["a", "plan", "step", 0, None, "running", 1, None, 2, None, "plan", None]
    done = ["a", "plan", "step", 0, 1, "done", 1, None, 2, 3, "plan", None]
    with served(tmp_path) as site:
        open_page(page, f"{site.address}/pipelines")
        status = page.evaluate(
            """async ([newer, older]) => {
              const m = await import(new URL("static/parts/model.js", document.baseURI));
              const model = new m.RunModel({ t0: 0, next: 0, spans: [] });
              model.merge({ spans: [newer], next: 3 });
              model.merge({ spans: [older], next: 2 });
              return model.spans.map((span) => span.status);
            }""",
            [done, running],
        )

    assert status == ["done"]


def test_a_step_that_could_have_begun_waits_for_what_ended_before(
    page: Page, tmp_path: Path
) -> None:
    """A worker does not wait for its map, which ends after it."""
    rows = [
        ["a", "plan", "step", 0, 1, "done", 1, None, 1, 2, "plan", None],
        ["b", "render", "map", 1.5, 4, "done", 1, None, 3, 6, "render", "a"],
        ["c", "scene[0]", "step", 2, 3, "done", 1, "b", 4, 5, "scene", "b"],
        ["d", "later", "step", 5, 6, "done", 1, None, 7, 8, "later", "gone"],
    ]
    with served(tmp_path) as site:
        open_page(page, f"{site.address}/pipelines")
        waits = page.evaluate(
            """async (spans) => {
              const m = await import(new URL("static/parts/model.js", document.baseURI));
              const model = new m.RunModel({ t0: 0, next: 8, spans });
              return model.spans.map((span) => model.waitOf(span));
            }""",
            rows,
        )

    assert waits == [None, {"after": "plan", "seconds": 0.5}, None, None]


def test_a_join_waits_from_its_first_to_its_last_parent(
    page: Page, tmp_path: Path
) -> None:
    """Those of its own round, in its own child pipe; another attempt waits for nothing."""
    rows = [
        ["a", "probe", "step", 0, 2, "done", 1, None, 1, 4, "probe", None],
        ["b", "script", "step", 0, 1, "done", 1, None, 2, 3, "script", None],
        ["x", "sub:probe", "step", 0, 1, "done", 1, "s", 2, 3, "sub:probe", None],
        ["y", "sub:script", "step", 0, 1.5, "done", 1, "s", 2, 3, "sub:script", None],
        ["c", "plan", "step", 2, 3, "failed", 1, None, 5, 6, "plan", "a"],
        ["d", "plan", "step", 3, 4, "done", 2, None, 6, 7, "plan", "c"],
        ["z", "sub:plan", "step", 3, 4, "done", 1, "s", 6, 7, "sub:plan", "y"],
        ["e", "probe", "step", 4, 5, "done", 1, None, 8, 9, "probe", "d"],
        ["f", "plan", "step", 5, 6, "done", 1, None, 10, 11, "plan", "e"],
        ["g", "probe", "step", 6, 7, "done", 1, None, 12, 14, "probe", "f"],
        ["h", "script", "step", 6, 7, "done", 1, None, 13, 15, "script", "f"],
        ["i", "plan", "step", 7, 8, "done", 1, None, 16, 17, "plan", "g"],
        ["j", "other", "step", 8, 9, "done", 1, None, 18, 19, "other", "i"],
    ]
    with served(tmp_path) as site:
        open_page(page, f"{site.address}/pipelines")
        found = page.evaluate(
            """async (spans) => {
              const m = await import(new URL("static/parts/model.js", document.baseURI));
              const model = new m.RunModel({ t0: 0, next: 8, spans: spans.slice(0, 5) });
              model.joins = { plan: ["probe", "script"], "sub:plan": ["sub:probe", "sub:script"] };
              model.merge({ spans: spans.slice(5), next: 19 });
              const joins = model.spans.map((span) => [span.id, model.joinOf(span)]);
              return joins.filter(([, join]) => join).map(([id, join]) => [id, join.arrived.map((one) => one.id), join.seconds]);
            }""",
            rows,
        )

    assert found == [
        ["c", ["b", "a"], 1],
        ["z", ["x", "y"], 0.5],
        ["i", ["h", "g"], 0],  # both ended at once: its cause was the last one
    ]


OBJECT_NAMES = ["constructor", "toString", "valueOf"]
"""Names of what every object of JavaScript has."""


@pytest.mark.parametrize("name", OBJECT_NAMES)
def test_a_step_may_have_the_name_of_a_property(
    page: Page, tmp_path: Path, name: str
) -> None:
    """It is no join, and it is added when a version has it first."""
    row = ["a", name, "step", 0, 1, "done", 1, None, 1, 2, name, None]
    with served(tmp_path) as site:
        open_page(page, f"{site.address}/pipelines")
        found = page.evaluate(
            """async ([name, row]) => {
              const m = await import(new URL("static/parts/model.js", document.baseURI));
              const v = await import(new URL("static/parts/versions.js", document.baseURI));
              const model = new m.RunModel({ t0: 0, next: 2, spans: [row] });
              const nodes = JSON.parse(`{"${name}": {}}`);
              return [model.joinOf(model.spans[0]), v.differencesOf({ nodes: {} }, { nodes })];
            }""",
            [name, row],
        )

    assert found == [None, {"added": [name], "removed": [], "changed": []}]


PAIRS: list[tuple[Any, Any]] = [
    ({"a": 1}, {"a": 1}),
    ({"a": 1}, {"a": 2, "b": [1]}),
    ({"a": [1, {"x": 1}]}, {"a": [1, {"x": 2}, 3]}),
    ({"a": []}, {"a": {}}),
    ([1, 2, 3], [1]),
    (None, {"a": None}),
    ("x", "x"),
]


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_states_are_compared_as_the_server_compares_them(
    page: Page, typical: tuple[Path, str], before: Any, after: Any
) -> None:
    """Added, removed and changed parts have the same paths."""
    with served(typical[0]) as site:
        open_page(page, f"{site.address}/pipelines")
        difference = page.evaluate(
            """async ([a, b]) => {
              const m = await import(new URL("static/parts/compare.js", document.baseURI));
              return m.diffOf(a, b);
            }""",
            [before, after],
        )

    assert json.dumps(difference, sort_keys=True) == json.dumps(
        diff_of(before, after), sort_keys=True
    )


@pytest.mark.parametrize("page_name", ["runs", "run"])
def test_a_huge_store_is_shown_in_time(
    page: Page, huge: tuple[Path, str], page_name: str
) -> None:
    """300 steps, 2,000 items and 10,000 runs: three seconds of the page and the server.

    Processor time is measured, for other programs of the machine make a page slower, too.
    The best of three tries counts; the one before them fills the caches.
    """
    root, run_id = huge
    address = "runs" if page_name == "runs" else f"runs/{run_id}"
    took = []
    with served(root) as site:
        open_page(page, f"{site.address}/{address}")
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        for _ in range(3):
            begin = time.process_time()  # what the page takes begins with the page
            open_page(page, f"{site.address}/{address}")
            took.append(busy_seconds(session) + time.process_time() - begin)

    assert 0 < min(took) < 3
