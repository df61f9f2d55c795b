"""A live update of a page does not disturb what its user does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from justpipe_actors import Pipe, Supervisor

from . import samples
from .pages import FAKE_STREAMS, open_page, settled, wait_quiet
from .site import Served, served
from .test_stories import add_question, asking_journal


def press(page: Page, target: Locator) -> None:
    """Press the mouse on an element, and do not release it yet."""
    box = target.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()


def add_run(site: Served, root: Path, page: Page, count: int) -> None:
    """Store one more run, and wait until the page shows it."""
    site.portal.call(samples.run, samples.approval_pipe(root), {})
    expect(page.locator("tbody tr[data-key]")).to_have_count(count)


def test_the_first_run_replaces_the_advice(page: Page, tmp_path: Path) -> None:
    """The page of an empty store shows the run without a reload."""
    with served(tmp_path) as site:
        settled(page, f"{site.address}/runs")
        expect(page.get_by_role("main")).to_contain_text("No run is stored yet")

        add_run(site, tmp_path, page, 1)

        expect(page.get_by_role("main")).not_to_contain_text("No run is stored yet")


def test_a_click_counts_when_an_update_comes_before_the_release(
    page: Page, tmp_path: Path
) -> None:
    """An update changes the number of a chip, and the chip stays the same element."""
    with served(tmp_path) as site:
        site.portal.call(samples.run, samples.approval_pipe(tmp_path), {})
        settled(page, f"{site.address}/runs")
        chip = page.get_by_role("button", name="suspended")

        press(page, chip)
        add_run(site, tmp_path, page, 2)
        page.mouse.up()

        expect(chip).to_have_attribute("aria-pressed", "true")


def test_the_list_of_columns_stays_open_while_a_run_begins(
    page: Page, tmp_path: Path
) -> None:
    """The focus stays in it."""
    with served(tmp_path) as site:
        site.portal.call(samples.run, samples.approval_pipe(tmp_path), {})
        settled(page, f"{site.address}/runs")
        page.get_by_role("button", name="Columns").click()
        box = page.get_by_label("Process")
        box.focus()

        add_run(site, tmp_path, page, 2)

        expect(box).to_be_visible()
        expect(box).to_be_focused()


def test_a_selection_of_text_stays_while_a_run_begins(
    page: Page, tmp_path: Path
) -> None:
    """So a user can copy from a row of a live table."""
    with served(tmp_path) as site:
        run_id = site.portal.call(samples.run, samples.approval_pipe(tmp_path), {})
        settled(page, f"{site.address}/runs")
        page.locator("tbody time").select_text()
        text = page.locator("tbody time").inner_text()

        add_run(site, tmp_path, page, 2)

        assert page.evaluate("String(getSelection()).trim()") == text
        expect(page.locator(f"tr[data-key='{run_id}'] time")).to_have_text(text)


def test_typed_text_stays_while_other_runs_ask(page: Page, tmp_path: Path) -> None:
    """So does the position of the cursor."""
    journal = asking_journal()
    options: dict[str, Any] = {"read_only": False, "actions": {"answer"}, "token": "t"}
    with served(tmp_path, journal=journal, **options) as site:
        page.goto(f"{site.address}/login#t")
        page.wait_for_url("**/runs")
        settled(page, f"{site.address}/asks")
        card = page.get_by_role("region", name="Publish the report?")
        card.get_by_label("pages").focus()
        page.keyboard.type("4")

        site.portal.call(add_question, journal, "report-18", "Publish the book?")
        expect(page.get_by_role("region", name="Publish the book?")).to_be_visible()
        page.keyboard.type("2")

        expect(card.get_by_label("pages")).to_have_value("42")


def test_rows_of_the_supervision_tree_stay_while_others_come(
    page: Page, tmp_path: Path
) -> None:
    """A click counts although an update came before the release, and the focus stays."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="ingest")
    pipe.step("fetch")(samples.takes(0))
    supervisor = Supervisor(pipe)
    page.add_init_script(FAKE_STREAMS)
    with (
        served(tmp_path, supervisor=supervisor) as site,
        site.portal.wrap_async_context_manager(supervisor),
    ):
        data = page.request.get(f"{site.address}/api/live").json()
        fetch = {"pipe": "ingest", "step": "fetch", "depth": 0, "oldest": 0.0}
        fetch |= {"busy": 0, "slots": None, "holders": [], "queue": []}
        before = data | {"actors": [fetch]}
        others = [fetch | {"pipe": "archive"}, fetch | {"step": "embed"}]
        after = data | {"actors": [*others, fetch]}
        settled(page, f"{site.address}/live")
        page.evaluate("(data) => hear('live/stream', 'live', data)", before)
        wait_quiet(page)
        table = page.get_by_role("region", name="ingest")
        row = table.get_by_role("button", name="fetch")
        row.evaluate("(button) => { button.isOld = true; }")

        press(page, row)
        page.evaluate("(data) => hear('live/stream', 'live', data)", after)
        wait_quiet(page)

        expect(table.get_by_role("button")).to_have_text(["embed", "fetch"])
        expect(row).to_be_focused()
        assert row.evaluate("(button) => button.isOld")


REDRAWN = """
async ([before, after]) => {
  const { redraw } = await import(new URL("static/base/redraw.js", document.baseURI));
  const { button, el } = await import(new URL("static/base/dom.js", document.baseURI));
  const place = el("ul");
  const pressed = [];
  const keep = el("li", { class: "kept" }, "kept");
  const build = (rows, turn) => [
    rows.map(([key, text]) => el("li", { "data-key": key, title: text || null }, button(text, () => pressed.push(`${turn} ${key}`)))),
    keep,
  ];
  document.querySelector("main").replaceChildren(place);
  redraw(place, ...build(before, "first"));
  const old = new Map([...place.children].map((one) => [one.dataset.key, one]));
  redraw(place, ...build(after, "second"));
  for (const one of place.querySelectorAll("button")) one.click();
  return {
    rows: [...place.children].map((one) => [one.dataset.key || "", one.textContent, one.title]),
    stayed: [...place.children].filter((one) => old.get(one.dataset.key) === one).map((one) => one.dataset.key || "kept"),
    pressed,
  };
}
"""


@pytest.mark.parametrize(
    "after",
    [
        [["a", "1"], ["b", "2"]],
        [["n", "0"], ["a", "1"], ["b", "2"]],
        [["b", "2"]],
        [["b", "3"], ["a", "4"]],
        [["b", ""], ["n", "1"], ["a", "1"], ["m", "5"]],
        [],
    ],
)
def test_unchanged_rows_are_the_same_elements(
    page: Page, typical: tuple[Path, str], after: list[list[str]]
) -> None:
    """They get the texts and the listeners of the newer rows, in their order."""
    before = [["a", "1"], ["b", "2"]]
    with served(typical[0]) as site:
        open_page(page, f"{site.address}/pipelines")
        found: dict[str, Any] = page.evaluate(REDRAWN, [before, after])

    stay = [key for key, _ in after if key in ("a", "b")]
    assert found["rows"] == [
        *([key, text, text] for key, text in after),
        ["", "kept", ""],
    ]
    assert found["stayed"] == [*stay, "kept"]
    assert found["pressed"] == [f"second {key}" for key, _ in after]


WITHOUT_LISTENER = """
async () => {
  const { redraw } = await import(new URL("static/base/redraw.js", document.baseURI));
  const { button, el } = await import(new URL("static/base/dom.js", document.baseURI));
  const place = el("ul");
  const pressed = [];
  redraw(place, button("a", () => pressed.push("first")), el("li", { "data-key": "b" }, "b"));
  redraw(place, button("a", null), el("p", { "data-key": "b" }, "c"));
  place.querySelector("button").click();
  const tags = [...place.children].map((one) => one.localName);
  redraw(place, button("a", () => pressed.push("third")));
  place.querySelector("button").click();
  return { pressed, tags };
}
"""


def test_an_element_keeps_no_listener_that_the_newer_one_lacks(
    page: Page, typical: tuple[Path, str]
) -> None:
    """It would act for what was shown before."""
    with served(typical[0]) as site:
        open_page(page, f"{site.address}/pipelines")
        found: dict[str, Any] = page.evaluate(WITHOUT_LISTENER)

    assert found == {"pressed": ["third"], "tags": ["button", "p"]}
