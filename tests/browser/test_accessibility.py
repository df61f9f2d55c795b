"""Accessibility of the pages: screen readers, the keyboard, and contrast.

What a page is for readers of the screen is kept as text in ``tests/browser/aria``;
``UPDATE_ARIA=1`` writes these files anew.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from justpipe_actors import Pipe
from justpipe_actors.storage import PipelineRegistry

from ..programs import started
from . import samples
from .conftest import Watch
from .pages import READY, open_page, settled
from .site import served
from .test_stories import DAEMON, asking_journal


FOLDER = Path(__file__).parent / "aria"

VOLATILE = [
    (r"http://127\.0\.0\.1:\d+", ""),
    (r"\b[0-9a-f]{32}\b|\b[0-9a-f]{8}\b|\b[0-9a-f]{16}\b", "ID"),
    (r"\b\d{1,2} [A-Z][a-z]{2}, (?=\d\d:)", ""),
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"\d{4}-\d\d-\d\d", "DAY"),
    (r"\bnow\b|\b\d+ (s|min|h) ago", "AGO"),
    (r"\d+(\.\d+)?(ms|s|m)\b", "DURATION"),
    (r"(DURATION ){2,}", "DURATION "),
    (r"times in \w+", "times in ZONE"),
    (r"at most \d+ at once", "at most N at once"),
    (r"/\S+/empty", "STORE"),
]
"""What differs between two runs of the same program."""

PAGES = {
    "runs": "runs",
    "run": "runs/{run}",
    "run_tokens": "runs/{run}?tab=tokens",
    "run_logs": "runs/{run}?tab=logs",
    "pipelines": "pipelines",
    "pipeline": "pipelines/{hash}",
    "pipeline_stats": "pipelines/{hash}?tab=stats",
    "pipeline_graph": "pipelines/{hash}?tab=graph",
    "pipeline_versions": "pipelines/{hash}?tab=versions",
    "pipeline_definition": "pipelines/{hash}?tab=definition",
    "compare_choice": "compare",
    "unknown": "nothing",
}
"""The address of each page of a store with two runs."""


@contextmanager
def addresses(failed: tuple[Path, str]) -> Generator[dict[str, str]]:
    """Serve a store and return the addresses of all pages."""
    root, run_id = failed
    hash_ = PipelineRegistry(root).list_pipelines()[0].hash
    with served(root) as site:
        yield {
            name: f"{site.address}/{path.format(run=run_id, hash=hash_)}"
            for name, path in PAGES.items()
        }


def check(page: Page, name: str, part: str = "body") -> None:
    """Compare a page with its stored accessibility tree."""
    text = page.locator(part).aria_snapshot()
    for pattern, word in VOLATILE:
        text = re.sub(pattern, word, text)
    path = FOLDER / f"{name}.yml"
    if os.environ.get("UPDATE_ARIA"):
        path.write_text(f"{text}\n", "utf-8")
    assert f"{text}\n" == path.read_text("utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_screen_readers_get_the_structure_of_each_page(
    page: Page, watch: Watch, failed: tuple[Path, str], name: str
) -> None:
    """The tree has landmarks, headings, names of controls, states of tabs and rows of tables."""
    watch.allowed = ("404",)
    with addresses(failed) as pages:
        settled(page, pages[name])
        check(page, name)


def test_screen_readers_get_durable_runs(page: Page, tmp_path: Path) -> None:
    """The form of an ask has labels; workers and open runs are tables."""
    options: dict[str, Any] = {"read_only": False, "actions": {"answer"}, "token": "t"}
    (tmp_path / "empty").mkdir()
    with served(tmp_path / "empty", journal=asking_journal(), **options) as site:
        page.goto(f"{site.address}/login#t")
        page.wait_for_url("**/runs")
        settled(page, f"{site.address}/runs")
        check(page, "runs_empty")
        for name in ("asks", "workers"):
            open_page(page, f"{site.address}/{name}")
            page.wait_for_selector("#connection[data-state=live]")
            check(page, name)


def test_screen_readers_get_a_supervisor(page: Page, tmp_path: Path) -> None:
    """The reason why a run waits is text, and slots are numbers, not only dots."""
    program = Path(tmp_path, "daemon.py")
    program.write_text(DAEMON.replace("ROOT", repr(str(tmp_path / "store"))))
    with started([sys.executable, "-W", "ignore", str(program)]) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        open_page(page, f"{address}letters")
        page.wait_for_selector("#connection[data-state=live]")
        check(page, "letters")
        open_page(page, f"{address}live")
        row = page.locator("tr", has_text="its only slot is held by")
        expect(row).to_have_count(2)
        page.wait_for_selector("#connection[data-state=live]")
        # Runs of one age come in any order.
        check(page, "live", ".supervised")
        check(page, "live_row", f"tr[data-key='{row.first.get_attribute('data-key')}']")


# -- the keyboard


NAMELESS = """
() => [...document.querySelectorAll("button, a[href], input, select, textarea, summary, [tabindex='0']")]
  .filter((one) => one.checkVisibility() && one.tabIndex >= 0)
  .filter((one) => !(one.getAttribute("aria-label") || one.textContent.trim() || one.title || one.labels?.length))
  .map((one) => one.outerHTML.slice(0, 120))
"""


@pytest.mark.parametrize("name", PAGES)
def test_every_control_has_a_name(
    page: Page, watch: Watch, failed: tuple[Path, str], name: str
) -> None:
    """No control has a tabindex above 0."""
    watch.allowed = ("404",)
    with addresses(failed) as pages:
        settled(page, pages[name])

        assert page.evaluate(NAMELESS) == []
        assert (
            page.locator("[tabindex]").evaluate_all(
                "(all) => all.filter((one) => one.tabIndex > 0).length"
            )
            == 0
        )


def test_two_runs_are_compared_with_the_keyboard_alone(
    page: Page, failed: tuple[Path, str]
) -> None:
    """j goes down, x selects, c compares."""
    with addresses(failed) as pages:
        open_page(page, pages["runs"])
        for key in ("j", "x", "j", "x", "c"):
            page.keyboard.press(key)
        page.wait_for_url("**/compare?**")

        expect(page.locator(".verdict")).to_contain_text("The first is success")


def test_the_timeline_and_the_graph_are_used_with_the_keyboard_alone(
    page: Page, failed: tuple[Path, str]
) -> None:
    """Arrows move between rows and steps, F fits the view, Escape shows everything."""
    with addresses(failed) as pages:
        settled(page, pages["run"])
        page.locator(".timeline").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        expect(page.locator("tr.selected")).to_contain_text("probe")
        page.keyboard.press("f")
        expect(page.get_by_role("button", name="Show all")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Show all")).to_be_hidden()

        page.locator(".graph [tabindex='0']").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        expect(page.locator(".graph .picked")).to_be_focused()


def test_the_skip_link_comes_first_and_dialogs_return_the_focus(
    page: Page, failed: tuple[Path, str]
) -> None:
    """Tab and Enter lead to the content; Escape returns to the element before."""
    with addresses(failed) as pages:
        open_page(page, pages["runs"])
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("main")).to_be_focused()

        page.keyboard.press("j")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("tbody a.mono").first).to_be_focused()


@pytest.mark.parametrize(
    ("keys", "dialog"), [("?", "Keyboard shortcuts"), ("Control+k", "Find a run")]
)
def test_the_focus_stays_at_a_run_while_others_begin(
    page: Page, tmp_path: Path, keys: str, dialog: str
) -> None:
    """Each run that begins draws the table anew, also behind an open dialog."""
    pipe = samples.approval_pipe(tmp_path)
    with served(tmp_path) as site:
        run_id = site.portal.call(samples.run, pipe, {})
        open_page(page, f"{site.address}/runs")
        rows = page.locator("tbody tr[data-key]")
        link = page.locator(f"tr[data-key='{run_id}'] a.mono")
        link.focus()

        site.portal.call(samples.run, pipe, {})
        expect(rows).to_have_count(2)
        expect(link).to_be_focused()

        page.keyboard.press(keys)
        expect(page.get_by_role("dialog", name=dialog)).to_be_visible()
        site.portal.call(samples.run, pipe, {})
        expect(rows).to_have_count(3)
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(link).to_be_focused()


# -- colours


LIGHT = """
  const numbers = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const parse = (text) => {
    const [r, g, b, a = 1] = numbers(text.replace("srgb", ""));
    return text.startsWith("color(") ? [r * 255, g * 255, b * 255, a] : [r, g, b, a];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const contrast = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
"""

PALE = """
() => {
  LIGHT
  const over = ([r, g, b, a], below) => [r, g, b].map((part, n) => part * a + below[n] * (1 - a)).concat(1);
  const ground = (node) => {
    const colour = parse(getComputedStyle(node).backgroundColor);
    return colour[3] === 1 || !node.parentElement ? colour : over(colour, ground(node.parentElement));
  };
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || node.closest("svg, script, noscript, :disabled, .hidden") || !node.checkVisibility()) continue;
    const ratio = contrast(parse(getComputedStyle(node).color), ground(node));
    if (ratio < 4.5) found.add(`${ratio.toFixed(2)} ${node.className || node.tagName}: ${walker.currentNode.data.slice(0, 40)}`);
  }
  return [...found];
}
""".replace("LIGHT", LIGHT)

PALE_STEPS = """
() => {
  LIGHT
  return [...document.querySelectorAll(".graph [data-step]")].flatMap((group) => {
    const [box, text] = [group.querySelector("rect"), group.querySelector("text")].map((one) => one && getComputedStyle(one));
    if (!box || !text) return [];
    const ratio = contrast(parse(text.fill), parse(box.fill));
    return ratio < 4.5 || getComputedStyle(group).opacity !== "1" ? [`${group.dataset.path} ${ratio.toFixed(2)}`] : [];
  });
}
""".replace("LIGHT", LIGHT)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_has_enough_contrast_in_both_themes(
    page: Page, watch: Watch, failed: tuple[Path, str], theme: Any
) -> None:
    """The contrast of each text to its background is at least 4.5."""
    watch.allowed = ("404",)
    page.emulate_media(color_scheme=theme)
    with addresses(failed) as pages:
        for name, address in pages.items():
            settled(page, address)
            assert page.evaluate(PALE) == [], name


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_labels_of_a_graph_have_enough_contrast_in_both_themes(
    page: Page, failed: tuple[Path, str], theme: Any
) -> None:
    """This holds for done, failed, skipped and slowest steps."""
    page.emulate_media(color_scheme=theme)
    with addresses(failed) as pages:
        settled(page, pages["run"])
        assert page.evaluate(PALE_STEPS) == []
        settled(page, pages["pipeline_graph"])
        page.get_by_label("Colours").select_option("time")
        page.wait_for_selector(".graph .heated")
        assert page.evaluate(PALE_STEPS) == []


def test_the_theme_is_remembered(page: Page, failed: tuple[Path, str]) -> None:
    """The browser keeps it, and the button names the current one."""
    with addresses(failed) as pages:
        open_page(page, pages["runs"])
        page.get_by_role("button", name="Theme: auto").click()
        page.get_by_role("button", name="Theme: light").click()
        open_page(page, pages["pipelines"])

        expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
        expect(page.locator("html")).to_have_css("color-scheme", "dark")


def test_nothing_moves_with_reduced_motion(
    page: Page, failed: tuple[Path, str]
) -> None:
    """There are neither animations nor transitions."""
    page.emulate_media(reduced_motion="reduce")
    with addresses(failed) as pages:
        settled(page, pages["run"])

        assert page.evaluate("document.getAnimations().length") == 0
        page.wait_for_selector(READY)


# -- what can be measured of how a page looks


CLIPPED = """
() => [...document.querySelectorAll("main *")]
  .filter((one) => one.checkVisibility() && !one.closest(".hidden, svg, input, select"))
  .filter((one) => getComputedStyle(one).textOverflow === "ellipsis" && one.scrollWidth > one.clientWidth + 1)
  .filter((one) => !one.closest("[title]") && !one.querySelector("[title]") && !one.closest(".preview, .event"))
  .map((one) => one.outerHTML.slice(0, 120))
"""

OVERLAPPING = """
() => {
  const boxes = [...document.querySelectorAll(".graph svg text")].map((one) => [one.textContent, one.getBoundingClientRect()]);
  const found = [];
  boxes.forEach(([a, x], n) => boxes.slice(n + 1).forEach(([b, y]) => {
    if (x.left < y.right && y.left < x.right && x.top < y.bottom && y.top < x.bottom) found.push(`${a} and ${b}`);
  }));
  return found;
}
"""


@pytest.mark.parametrize("width", [390, 1440])
def test_cut_texts_can_be_read(
    page: Page, watch: Watch, failed: tuple[Path, str], width: int
) -> None:
    """The whole text is shown at the pointer, and labels of a graph do not overlap.

    And no page is wider than its window.
    """
    watch.allowed = ("404",)
    page.set_viewport_size({"width": width, "height": 800})
    with addresses(failed) as pages:
        for name, address in pages.items():
            settled(page, address)
            assert page.evaluate(CLIPPED) == [], name
            assert page.evaluate(OVERLAPPING) == [], name
            assert page.evaluate("document.body.scrollWidth - innerWidth") <= 0, name


def test_labels_of_a_large_graph_do_not_overlap(
    page: Page, huge: tuple[Path, str]
) -> None:
    """Each of 300 steps has a readable label."""
    root, run_id = huge
    with served(root) as site:
        settled(page, f"{site.address}/runs/{run_id}")
        sizes = page.locator(".graph svg text").evaluate_all(
            "(all) => all.map((one) => one.getBoundingClientRect().height)"
        )

        assert page.evaluate(OVERLAPPING) == []
        assert min(sizes) >= 11


OUTSIDE = """
() => [...document.querySelectorAll(".graph [data-step]")]
  .map((group) => [group.querySelector("rect"), group.querySelector("text")])
  .filter(([box, text]) => box && text && text.getBoundingClientRect().width > box.getBoundingClientRect().width - 6)
  .map(([, text]) => text.textContent)
"""


def wordy(root: Path) -> Pipe[Any, Any]:
    """Return a pipe with long names only."""
    pipe: Pipe[Any, Any] = Pipe(
        dict, samples.Studio, name="pipe " * 20, storage=root, persist=True
    )

    @pipe.step("collect_the_documents_of_all_customers_and_attachments", to="x" * 70)
    async def collect(context: Any) -> None:
        for number in range(30):
            context.meta.run.add_tag(f"tag-number-{number}")
        context.meta.run.set("customer", "x" * 200)

    @pipe.step("x" * 70)
    async def fail() -> None:
        raise ValueError("a_word_without_an_end" * 40)

    return pipe


@pytest.mark.parametrize("width", [360, 1440])
def test_long_names_do_not_widen_a_page(page: Page, tmp_path: Path, width: int) -> None:
    """They wrap or are cut; labels of a graph stay inside of their shapes."""
    page.set_viewport_size({"width": width, "height": 800})
    with served(tmp_path) as site:
        run_id = site.portal.call(samples.run, wordy(tmp_path), {}, samples.Studio())
        for path in (
            "runs",
            "pipelines",
            f"runs/{run_id}",
            f"runs/{run_id}?tab=events",
        ):
            settled(page, f"{site.address}/{path}")
            assert page.evaluate("document.body.scrollWidth - innerWidth") <= 0, path
            assert page.evaluate(OUTSIDE) == [], path
            assert page.evaluate(CLIPPED) == [], path
