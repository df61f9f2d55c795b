"""Three tasks of a user who sees the dashboard for the first time, with the mouse alone.

Each begins at the address that the command prints, and takes four clicks at most.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from ..programs import started
from .conftest import PATIENCE, slowed
from .pages import READY
from .site import served
from .test_stories import DAEMON


COUNT = """
addEventListener("click", (event) => {
  if (!event.isTrusted) return;
  sessionStorage.clicks = Number(sessionStorage.clicks || 0) + 1;
}, true);
"""

MOST_CLICKS = 4
MOST_SECONDS = 30


@pytest.fixture
def page(context: BrowserContext, watch: object) -> Page:
    """Open a page that counts the clicks on all pages."""
    context.add_init_script(COUNT)
    return slowed(context.new_page())


@contextmanager
def task(page: Page, address: str, clicks: int) -> Generator[None]:
    """Do a task from the first page on.

    Args:
        page: where.
        address: what the command prints.
        clicks: how many the shortest way takes.
    """
    assert clicks <= MOST_CLICKS
    begin = time.monotonic()
    page.goto(address)
    page.wait_for_selector(READY)
    yield
    assert time.monotonic() - begin < MOST_SECONDS
    assert int(page.evaluate("sessionStorage.clicks")) == clicks


def test_find_why_a_run_failed(page: Page, failed: tuple[Path, str]) -> None:
    """The list shows the status, the run shows step, error, line, state and skipped steps."""
    root, _ = failed
    with served(root) as site, task(page, f"{site.address}/", clicks=3):
        page.get_by_role("button", name="failed").click()
        page.get_by_role("row", name="failed").get_by_role("link").first.click()

        card = page.get_by_role("region", name="Why it failed")
        expect(card).to_be_in_viewport()
        expect(card).to_contain_text("film_sound:master failed after")
        expect(card).to_contain_text("RuntimeError: mastering device lost: /dev/snd0")
        expect(card).to_contain_text("browser/samples.py:")
        expect(card).to_contain_text("raise RuntimeError(msg)")
        expect(card).to_contain_text("Did not run because of it: publish")
        card.get_by_text("The state before it").click()
        expect(card).to_contain_text("scene 7")


def test_find_why_a_run_hangs(page: Page, tmp_path: Path) -> None:
    """Live names the run that has the slot, and its page names the line of code."""
    program = Path(tmp_path, "daemon.py")
    program.write_text(DAEMON.replace("ROOT", repr(str(tmp_path / "store"))))
    with started([sys.executable, "-W", "ignore", str(program)]) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with task(page, address, clicks=2):
            page.get_by_role("link", name="Live").click()
            waiting = page.locator("tr", has_text="its only slot is held by").first
            expect(waiting).to_contain_text("in the inbox of embed")
            waiting.locator(".why a").click()

            card = page.get_by_role("region", name="What it waits for")
            expect(card).to_contain_text("embed")
            expect(card).to_contain_text("daemon.py:17 in embed")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_find_the_differences_of_two_runs(page: Page, failed: tuple[Path, str]) -> None:
    """Two boxes and a button lead to the verdict, the first difference and each step."""
    root, _ = failed
    with served(root) as site, task(page, f"{site.address}/", clicks=3):
        for box in page.get_by_role("checkbox").all()[:2]:
            box.click()
        page.get_by_role("button", name="Compare", exact=True).click()

        expect(page.locator(".verdict")).to_contain_text(
            "The first is success, the second failed."
        )
        expect(page.get_by_role("main")).to_contain_text(
            "film_sound:master went well in the first run, and failed in the second"
        )
        expect(page.get_by_role("row", name="encode")).to_contain_text("removed")


def test_find_the_differences_to_the_last_success(
    page: Page, failed: tuple[Path, str]
) -> None:
    """It is one click from a failed run; the older run is the first of the two."""
    root, run_id = failed
    with served(root) as site, task(page, f"{site.address}/runs/{run_id}", clicks=1):
        page.get_by_role("button", name="Compare with previous").click()

        expect(page.locator(".verdict")).to_contain_text(
            "The first is success, the second failed."
        )
