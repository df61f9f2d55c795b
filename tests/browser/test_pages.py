"""Single pages: time ranges, columns, versions, durations, log records, incarnations."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import anyio
from playwright.sync_api import Page, expect

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.logs import LogCapture

from . import samples
from .conftest import PATIENCE
from .pages import open_page
from .site import served


def drag(page: Page, selector: str, start: float, end: float) -> None:
    """Drag over an element from one part of its width to another."""
    box = page.locator(selector).bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], y)
    page.mouse.up()


def test_dragging_over_the_histogram_selects_a_time(
    page: Page, typical: tuple[Path, str]
) -> None:
    """The address keeps it, and a chip removes it."""
    with served(typical[0]) as site:
        open_page(page, f"{site.address}/runs")
        page.wait_for_selector(".histogram svg")
        drag(page, ".histogram svg", 0.2, 0.4)
        page.wait_for_url("**/runs?since=**until=**")

        expect(page.locator(".more")).to_contain_text(
            re.compile(r"^\d\d? runs of \d\d")
        )
        page.reload()
        page.get_by_role("button", name=re.compile(" to .*×")).click()

        expect(page.locator(".more")).to_contain_text("of 164")


def test_columns_are_remembered(page: Page, typical: tuple[Path, str]) -> None:
    """The browser keeps the chosen columns of each table."""
    with served(typical[0]) as site:
        open_page(page, f"{site.address}/runs")
        heads = page.locator("thead")
        expect(heads).not_to_contain_text("Process")

        page.get_by_role("button", name="Columns").click()
        page.get_by_label("Process").check()
        page.get_by_label("Tags").uncheck()
        page.reload()

        expect(heads).to_contain_text("Process")
        expect(heads).not_to_contain_text("Tags")


def test_every_large_table_lets_its_columns_be_chosen(
    page: Page, typical: tuple[Path, str]
) -> None:
    """The list of them opens in view, and each table remembers its own."""
    root, run_id = typical
    with served(root) as site:
        hash_ = samples.render_pipe(root).pipeline_hash
        for address, column in [
            ("pipelines", "Hash"),
            (f"pipelines/{hash_}", "Started"),
            (f"runs/{run_id}", "Tries"),
            (f"compare?a={run_id}&b={run_id}", "What changed"),
        ]:
            open_page(page, f"{site.address}/{address}")
            page.get_by_role("button", name="Columns").click()
            box = page.get_by_label(column, exact=True)
            expect(box).to_be_in_viewport()
            box.uncheck()
            head = page.get_by_role("columnheader", name=column, exact=True)
            expect(head).to_have_count(0)

        open_page(page, f"{site.address}/pipelines")
        expect(page.get_by_role("columnheader", name="Pipeline")).to_be_visible()
        expect(page.get_by_role("columnheader", name="Hash")).to_have_count(0)


def test_a_graph_shows_where_the_time_goes(
    page: Page, typical: tuple[Path, str]
) -> None:
    """Each step has its share as a number, because not all readers see colours."""
    root, _ = typical
    with served(root) as site:
        hash_ = samples.render_pipe(root).pipeline_hash
        open_page(page, f"{site.address}/pipelines/{hash_}?tab=graph")
        step = page.locator(".graph [data-path=scene]")
        expect(step).to_have_attribute("data-status", "done")

        page.get_by_label("Colours").select_option("time")
        expect(step).to_have_attribute(
            "aria-label", re.compile(r"scene: share of the time \d+\.\d %")
        )
        page.get_by_label("Colours").select_option("calls")

        expect(step).to_have_attribute("aria-label", "scene: number of invocations 24")


def unreliable(root: Path) -> Pipe[Any, Any]:
    """Return a pipe with a step that fails twice and then succeeds."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="unreliable", storage=root, persist=True)
    calls: list[None] = []

    @pipe.step(to="send", retries=2, retry_wait_min=0, retry_wait_max=0)
    async def fetch() -> None:
        calls.append(None)
        if len(calls) < 3:
            msg = "the site is away"
            raise OSError(msg)

    pipe.step("send")(samples.takes(0))
    return pipe


def test_tries_of_retries_are_counted(page: Page, tmp_path: Path) -> None:
    """They are in the table of a run's steps and in the graph of its pipeline."""
    pipe = unreliable(tmp_path)
    with served(tmp_path) as site:
        run_id = site.portal.call(samples.run, pipe, {})
        open_page(page, f"{site.address}/runs/{run_id}")
        row = page.get_by_role("row").filter(
            has=page.get_by_role("button", name="fetch")
        )
        expect(row.get_by_role("cell").nth(2)).to_have_text("3")

        open_page(page, f"{site.address}/pipelines/{pipe.pipeline_hash}?tab=graph")
        page.get_by_label("Colours").select_option("retries")

        step = page.locator(".graph [data-path=fetch]")
        expect(step).to_have_attribute(
            "aria-label", "fetch: number of further attempts 2"
        )


def test_steps_that_succeed_after_further_tries_are_listed(
    page: Page, tmp_path: Path
) -> None:
    """The figures of a pipeline count their runs and lead to the last one of each kind."""
    pipe = unreliable(tmp_path)
    with served(tmp_path) as site:
        ids = [site.portal.call(samples.run, pipe, {}) for _ in range(2)]
        open_page(page, f"{site.address}/pipelines/{pipe.pipeline_hash}?tab=stats")

        expect(
            page.get_by_role("heading", name="Flaky steps in the last 2 runs")
        ).to_be_visible()
        table = page.get_by_role("group", name="Flaky steps")
        rows = table.locator("tbody tr")
        expect(rows).to_have_count(1)
        expect(rows.get_by_role("cell")).to_have_text(
            ["fetch", "2", "0", "1", "2", ids[0][:8], ids[1][:8]]
        )
        rows.get_by_role("link").first.click()
        expect(page).to_have_url(f"{site.address}/runs/{ids[0]}")


def versioned(root: Path, *, retries: int, is_longer: bool = False) -> Pipe[Any, Any]:
    """Return one of the versions of a pipe."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="report", storage=root, persist=True)
    pipe.step("write", to="send", retries=retries)(samples.takes(0))
    pipe.step("send", to="archive" if is_longer else None)(samples.takes(0))
    if is_longer:
        pipe.step("archive")(samples.takes(0))
    return pipe


def test_versions_show_their_differences(page: Page, tmp_path: Path) -> None:
    """Different options and different steps are shown, also for compared runs."""
    first, second, third = (
        versioned(tmp_path, retries=1),
        versioned(tmp_path, retries=3),
        versioned(tmp_path, retries=3, is_longer=True),
    )
    with served(tmp_path) as site:
        ids = [site.portal.call(samples.run, one, {}) for one in (first, second, third)]
        open_page(page, f"{site.address}/pipelines/{third.pipeline_hash}?tab=versions")
        shown = page.get_by_role("tabpanel").locator("visible=true")
        shown.get_by_role("button", name="What changed").first.click()
        expect(shown).to_contain_text("+archive")
        expect(shown).to_contain_text("send leads to archive instead of nothing")

        open_page(page, f"{site.address}/compare?a={ids[0]}&b={ids[1]}")

        versions = page.get_by_role("region", name="Versions")
        expect(versions).to_contain_text("write retries 3 instead of 1")


def test_the_state_before_a_failure_is_shown_on_demand(
    page: Page, failed: tuple[Path, str]
) -> None:
    """It is in the card with the error."""
    root, run_id = failed
    with served(root) as site:
        open_page(page, f"{site.address}/runs/{run_id}")
        card = page.get_by_role("region", name="Why it failed")
        card.get_by_text("The state before it").click()

        expect(card).to_contain_text("Eine Strasse bei Nacht")


def test_a_wide_graph_is_drawn_in_rows(page: Page, huge: tuple[Path, str]) -> None:
    """A hundred parallel steps in one row would be twelve screens wide."""
    root, run_id = huge
    with served(root) as site:
        open_page(page, f"{site.address}/runs/{run_id}")
        page.wait_for_selector(".graph [data-path]")
        box = page.locator(".graph svg").bounding_box()
        assert box is not None

        assert box["width"] < 1_500
        assert box["height"] > box["width"]


RECOVERED = """
async ([address]) => {
  const { RunModel } = await import(new URL("static/parts/model.js", document.baseURI));
  const { Timeline } = await import(new URL("static/parts/timeline.js", document.baseURI));
  const row = (id, start, end, status) => [id, id, "step", start, end, status, 1, null, 1, 2, id];
  const model = new RunModel({ t0: 0, next: 4, spans: [row("fetch", 0, 2, "interrupted"), row("again", 4, 6, "done")] });
  model.recoveries = [4];
  const timeline = new Timeline(model, () => null);
  document.querySelector("main").replaceChildren(timeline.node);
  timeline.update();
  const canvas = timeline.canvas;
  const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const pixel = (t, y) => {
    const at = 4 * (Math.round(y * devicePixelRatio) * image.width + Math.round(timeline.x(t) * devicePixelRatio));
    return image.data.slice(at, at + 3).join();
  };
  const bar = Array.from({ length: 24 }, (_, n) => pixel(0.5 + n / 40, 32));
  return { before: pixel(1.3, 80), after: pixel(5.3, 80), ofBar: new Set(bar).size, note: timeline.note.textContent };
}
"""


def test_incarnations_are_bands_and_interrupted_bars_are_hatched(
    page: Page, typical: tuple[Path, str]
) -> None:
    """They show what each process did, and what its end interrupted."""
    with served(typical[0]) as site:
        open_page(page, f"{site.address}/pipelines")
        seen = page.evaluate(RECOVERED, [site.address])

    assert seen["before"] != seen["after"]
    assert seen["ofBar"] > 1
    assert seen["note"] == "Taken up again by another process after 4.0s."


def logging_pipe(root: Path, release: anyio.Event) -> Pipe[Any, Any]:
    """Return a pipe with steps that log; the second one waits."""
    log = logging.getLogger("shop")
    pipe: Pipe[Any, Any] = Pipe(
        dict, name="shop", storage=root, persist=True, flush_interval=1
    )

    @pipe.step(to="pay")
    async def order() -> None:
        log.info("order 17 taken")
        log.warning("<b>stock</b> is low")

    @pipe.step
    async def pay() -> None:
        await release.wait()
        log.error("the card was refused")

    return pipe


def test_log_records_appear_when_they_are_written(page: Page, tmp_path: Path) -> None:
    """They have level and step and can be filtered, without a reload of the page."""
    capture = LogCapture()
    log = logging.getLogger("shop")
    log.addHandler(capture)
    log.setLevel("INFO")
    try:
        with served(tmp_path) as site:
            release = site.portal.call(anyio.Event)
            pipe = logging_pipe(tmp_path, release)
            future = site.portal.start_task_soon(samples.run, pipe, {})
            open_page(page, f"{site.address}/runs")
            page.wait_for_selector("tbody [data-status=running]")
            page.locator("tbody a.mono").first.click()
            page.get_by_role("tab", name="Logs").click()
            records = page.get_by_role("region", name="Log records")
            expect(records).to_contain_text("order 17 taken")
            expect(records).to_contain_text("<b>stock</b> is low")

            site.portal.call(release.set)

            expect(records).to_contain_text("the card was refused")
            future.result(PATIENCE)
            page.get_by_label("Least level").select_option("ERROR")
            expect(records).not_to_contain_text("order 17 taken")
            expect(records.locator("tbody tr")).to_have_count(1)
            expect(records).to_contain_text("pay")
    finally:
        log.removeHandler(capture)


def test_the_state_follows_the_replay(page: Page, failed: tuple[Path, str]) -> None:
    """It begins with the given state and ends with the last one."""
    root, run_id = failed
    with served(root) as site:
        open_page(page, f"{site.address}/runs/{run_id}?tab=state")
        shown = page.locator(".view h3")
        expect(shown).to_contain_text("After captions")

        slider = page.get_by_role("slider", name="Moment of the run")
        slider.focus()
        page.keyboard.press("Home")
        expect(shown).to_contain_text("After start")
        page.keyboard.press("End")
        last = page.locator(".entry .name").last.text_content()
        expect(shown).to_contain_text(f"After {last}")


def test_a_waiting_run_can_be_cancelled_on_the_page(page: Page, tmp_path: Path) -> None:
    """This needs the action to be allowed; the list then has one run less."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="waiting")

    @pipe.step
    async def wait() -> None:
        await anyio.sleep_forever()

    supervisor = Supervisor(pipe, grace=0.1)
    options: dict[str, Any] = {"read_only": False, "actions": {"cancel"}, "token": "t"}
    with (
        served(tmp_path, supervisor=supervisor, **options) as site,
        site.portal.wrap_async_context_manager(supervisor),
    ):
        run = site.portal.call(supervisor.submit, pipe, {})
        page.goto(f"{site.address}/login#t")
        page.wait_for_url("**/runs")
        open_page(page, f"{site.address}/live")
        page.get_by_role("button", name=f"Cancel run {run.run_id[:8]}").click()

        expect(page.get_by_text("No run is at work.")).to_be_visible()
