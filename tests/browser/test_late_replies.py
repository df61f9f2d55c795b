"""What is shown belongs to the last request, whenever and however earlier ones end."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from .conftest import Watch
from .pages import FAKE_STREAMS, settled, wait_quiet
from .replies import Held, fail
from .site import served


@pytest.mark.usefixtures("forgiving")
def test_a_failed_filter_does_not_replace_the_runs_of_a_later_one(
    page: Page, typical: tuple[Path, str]
) -> None:
    """The reply to the first filter comes after that to the second."""
    page.add_init_script(FAKE_STREAMS)  # an update would draw the rows again
    with served(typical[0]) as site:
        settled(page, f"{site.address}/runs")
        held = Held(page, lambda url: "/api/runs?" in url and "mastering" in url)
        field = page.get_by_label("Filter", exact=True)

        late = held.wait(lambda: field.fill("mastering"))
        with page.expect_response(lambda reply: "q=connection" in reply.url):
            field.fill("connection")
        fail(late)
        wait_quiet(page)

        expect(page.get_by_role("alert")).to_have_count(0)
        expect(page.locator("tbody tr").first).to_contain_text("connection reset")


@pytest.mark.usefixtures("forgiving")
def test_a_failed_filter_says_why(page: Page, typical: tuple[Path, str]) -> None:
    """No rows of the filter before are left, and another filter works again."""
    with served(typical[0]) as site:
        settled(page, f"{site.address}/runs")
        held = Held(page, lambda url: "/api/runs?" in url and "mastering" in url)
        field = page.get_by_label("Filter", exact=True)

        fail(held.wait(lambda: field.fill("mastering")))
        wait_quiet(page)

        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.locator("tbody").get_by_role("alert")).to_have_text(
            "The store is busy."
        )
        expect(page.locator(".more")).to_be_empty()
        fail(held.wait(page.get_by_role("button", name="Try again").click))
        expect(page.locator("tbody").get_by_role("alert")).to_have_count(1)
        field.fill("connection")
        expect(page.locator("tbody tr").first).to_contain_text("connection reset")


@pytest.mark.usefixtures("forgiving")
def test_a_failed_search_of_events_says_why(
    page: Page, failed: tuple[Path, str]
) -> None:
    """Unless other events were requested since then."""
    with served(failed[0]) as site:
        settled(page, f"{site.address}/runs/{failed[1]}?tab=events")
        held = Held(page, lambda url: "/events?" in url and "mix" in url)
        field = page.get_by_label("Search all events")
        rows = page.locator("table.events tbody tr")

        late = held.wait(lambda: field.fill("mix"))
        with page.expect_response(lambda reply: "q=script" in reply.url):
            field.fill("script")
        fail(late)
        wait_quiet(page)
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(rows.first).to_contain_text("script")

        fail(held.wait(lambda: field.fill("mix")))
        expect(page.get_by_role("alert")).to_have_text("The store is busy.")


@pytest.mark.usefixtures("forgiving")
@pytest.mark.parametrize("is_failing", [True, False])
def test_the_figures_are_those_of_the_chosen_range(
    page: Page, typical: tuple[Path, str], is_failing: bool
) -> None:
    """The days of a range that was chosen before are not shown."""
    with served(typical[0]) as site:
        (pipeline, *_) = page.request.get(f"{site.address}/api/pipelines").json()
        settled(page, f"{site.address}/pipelines/{pipeline['hash']}?tab=stats")
        held = Held(page, lambda url: url.endswith("days=90"))
        ranges = page.get_by_label("Range")

        late = held.wait(lambda: ranges.select_option("90"))
        with page.expect_response(lambda reply: reply.url.endswith("days=7")):
            ranges.select_option("7")
        if is_failing:
            fail(late)
        else:
            late.continue_()
        wait_quiet(page)

        expect(page.get_by_role("alert")).to_have_count(0)
        expect(page.locator("svg.chart").first.locator("g")).to_have_count(7)


def test_the_names_of_runs_are_those_of_the_typed_text(
    page: Page, typical: tuple[Path, str]
) -> None:
    """A list that was requested for less text does not replace them."""
    root, run_id = typical
    with served(root) as site:
        settled(page, f"{site.address}/compare")
        held = Held(page, lambda url: url.endswith("q=video"))
        field = page.get_by_label("First run")

        late = held.wait(lambda: field.fill("video"))
        with page.expect_response(lambda reply: f"q={run_id}" in reply.url):
            field.fill(run_id)
        late.continue_()
        wait_quiet(page)

        options = page.locator("#runs-0 option")
        expect(options).to_have_count(1)
        expect(options).to_have_attribute("value", run_id)


EARLY_TOKENS = """
async () => {
  const { Tokens } = await import(new URL("static/parts/tokens.js", document.baseURI));
  const tokens = new Tokens({ run_id: "r" });
  const token = (seq, payload) => ({ seq, invocation_id: "a", step_name: "say", scope: [], payload });
  let answer;
  globalThis.fetch = () => new Promise((done) => { answer = done; });
  const loaded = tokens.load();
  tokens.hear([[2, "token", "say", 0, "a", 1, [], "b"], [3, "token", "say", 0, "a", 1, [], "c"]]);
  answer(new Response(JSON.stringify({ events: [token(1, "a"), token(2, "b")], next: null })));
  await loaded;
  tokens.hear([[4, "token", "say", 0, "a", 1, [], "d"]]);
  return tokens.node.querySelector("pre").textContent;
}
"""

EARLY_LOGS = """
async () => {
  const { Logs } = await import(new URL("static/parts/logs.js", document.baseURI));
  const logs = new Logs({ run_id: "r", is_live: false }, { t0: 0 });
  const record = (number, text) => ({ number, text, at: 0, level: "INFO", severity: 20, logger: "", step: "", traceback: "" });
  let answer;
  globalThis.fetch = () => new Promise((done) => { answer = done; });
  const loaded = logs.load();
  logs.hear([record(2, "b"), record(3, "c")]);
  answer(new Response(JSON.stringify({ logs: [record(1, "a"), record(2, "b")], next: null })));
  await loaded;
  logs.hear([record(4, "d")]);
  return [...logs.node.querySelectorAll("tbody pre")].map((one) => one.textContent).join("");
}
"""


@pytest.mark.parametrize("program", [EARLY_TOKENS, EARLY_LOGS])
def test_what_is_streamed_before_the_stored_part_is_there_comes_after_it(
    page: Page, typical: tuple[Path, str], program: str
) -> None:
    """Nothing is lost, and nothing is shown twice."""
    with served(typical[0]) as site:
        settled(page, f"{site.address}/pipelines")
        shown = page.evaluate(program)

    assert shown == "abcd"


def test_a_colour_chosen_before_the_runs_were_read_is_shown_then(
    page: Page, failed: tuple[Path, str], watch: Watch
) -> None:
    """The colours of a pipeline's graph come from spans, which take a while."""
    root, run_id = failed
    with served(root) as site:
        settled(page, f"{site.address}/runs/{run_id}")
        pipeline = page.get_by_role("main").locator("a[href*='pipelines/']").first
        address = pipeline.evaluate("link => link.href")
        held = Held(page, lambda url: f"{run_id}/spans?" in url)

        late = held.wait(lambda: page.goto(f"{address.split('?')[0]}?tab=graph"))
        page.get_by_label("Colours").select_option("calls")
        late.continue_()

        note = page.get_by_text("The darker a step, the larger its number")
        expect(note).to_be_visible()
    assert watch.complaints == []
