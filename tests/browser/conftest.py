"""Tests in a real browser; ``nox -s browser`` runs them.

They need playwright and Chromium.  Every page that a test opens is watched: a message of
the console, a request to elsewhere or a request that fails makes the test fail.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.from_thread
import pytest


if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

# Playwright's loop stays open for the whole session, which tests of other loops forbid.
IS_ASKED_FOR = bool(os.environ.get("BROWSER_TESTS"))

PATIENCE = 60
"""Seconds that a test waits for what a page shall show: a busy machine is slow."""

SECONDS = 300
"""Seconds that a test may take, with the samples that it is the first to ask for."""

collect_ignore_glob = [] if IS_ASKED_FOR else ["*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder a longer time limit."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def browser() -> Generator[Browser]:
    """Start Chromium once."""
    from playwright.sync_api import expect, sync_playwright

    from .chromium import launch, path_of_chromium

    if path_of_chromium() is None:
        pytest.skip("there is no Chromium; name one with $CHROMIUM")
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE * 1_000)
        browser = launch(playwright)
        yield browser
        browser.close()


class Watch:
    """Collects forbidden messages and requests of a page."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        self.allowed: tuple[str, ...] = ()
        context.on("console", lambda m: self._note(f"{m.type}: {m.text}", m.type))
        context.on("weberror", lambda error: self._note(str(error.error)))
        context.on("dialog", lambda dialog: self._note(f"dialog: {dialog.message}"))
        context.on("request", lambda request: self._check(request.url))

    def _note(self, text: str, kind: str = "error") -> None:
        if kind in ("error", "warning") and not any(a in text for a in self.allowed):
            self.complaints.append(text)

    def _check(self, url: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "data:", "blob:", "file:")):
            self.complaints.append(f"a request to {url}")


@pytest.fixture
def context(browser: Browser) -> Generator[BrowserContext]:
    """Open a new profile."""
    from .pages import COUNT_WORK

    with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
        context.set_default_timeout(PATIENCE * 1_000)
        context.add_init_script(COUNT_WORK)
        yield context


@pytest.fixture
def watch(context: BrowserContext) -> Generator[Watch]:
    """Watch all pages of the test."""
    watch = Watch(context)
    yield watch
    assert watch.complaints == []


@pytest.fixture
def forgiving(watch: Watch) -> Watch:
    """Let the browser complain about the requests that a test lets fail."""
    watch.allowed = ("Failed to load resource",)
    return watch


@pytest.fixture
def page(context: BrowserContext, watch: Watch) -> Page:
    """Open a page that is watched."""
    return slowed(context.new_page())


def slowed(page: Page) -> Page:
    """Make a page as many times slower as ``$BROWSER_SLOWDOWN`` says, to find races."""
    rate = os.environ.get("BROWSER_SLOWDOWN")
    if rate:
        session = page.context.new_cdp_session(page)
        session.send("Emulation.setCPUThrottlingRate", {"rate": float(rate)})
    return page


@pytest.fixture(scope="session")
def typical(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a storage root with a week of runs, and the newest run's id."""
    from . import samples

    root = tmp_path_factory.mktemp("typical")
    return root, stored(samples.typical, root)


@pytest.fixture(scope="session")
def failed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a storage root with a failed run, and its id."""
    from . import samples

    root = tmp_path_factory.mktemp("failed")
    return root, stored(samples.failed, root)


@pytest.fixture(scope="session")
def huge(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a storage root with a run of 300 steps, 2,000 items and 10,000 others."""
    from . import samples

    root = tmp_path_factory.mktemp("huge")
    return root, stored(samples.huge, root)


def stored(make: Callable[[Path], Coroutine[Any, Any, str]], root: Path) -> str:
    """Store the runs of a sample in a thread, because playwright uses this thread's loop."""
    with anyio.from_thread.start_blocking_portal("trio") as portal:
        run_id: str = portal.call(make, root)
        return run_id
