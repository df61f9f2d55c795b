"""Takes pictures of the pages, from real runs, to be looked at: ``nox -s shots``.

24 of them: pages in light and dark, wide and narrow, of a store that is typical, empty
or huge, and of one with a failed run.  With a second path only the picture of the docs is
taken: ``python -m tests.browser.shots .nox/shots docs/dashboard.png``.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright
from tests.browser import samples
from tests.browser.chromium import launch
from tests.browser.site import served


SIZES = {"wide": (1440, 900), "narrow": (390, 844)}
THEMES = ("light", "dark")

STORES: dict[str, Callable[[Path], Coroutine[Any, Any, str]]] = {
    "typical": samples.typical,
    "failed": samples.failed,
    "huge": samples.huge,
}

PAGES = {
    "typical": ["runs", "pipelines", "runs/{run}?tab=events"],
    "failed": ["runs/{run}"],
    "huge": ["runs/{run}"],
    "empty": ["runs"],
}
"""The pages of each store, by address."""

NAMES = {
    "runs": "runs",
    "pipelines": "pipelines",
    "runs/{run}": "run",
    "runs/{run}?tab=events": "events",
}
"""What the pictures of a page are called."""


def take(browser: Browser, address: str, path: Path, theme: str, size: str) -> None:
    """Take one picture."""
    width, height = SIZES[size]
    page = browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme=theme,  # type: ignore[arg-type]
    )
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    page.wait_for_timeout(900)
    page.screenshot(path=path, full_page=True)
    page.close()


def picture_of_the_docs(browser: Browser, scratch: Path, path: Path) -> None:
    """Take the picture that the README and the docs show: a run that failed."""
    with served(scratch) as site:
        run_id = site.portal.call(samples.failed, scratch)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{site.address}/runs/{run_id}")
        page.wait_for_selector("html[data-ready]")
        page.wait_for_selector(".graph [data-status=failed]")
        page.wait_for_timeout(900)
        page.screenshot(path=path, full_page=True)
        page.close()


def pictures_of(browser: Browser, name: str, root: Path, folder: Path) -> None:
    """Take the pictures of one store."""
    with served(root) as site:
        make = STORES.get(name)
        run_id = "" if make is None else site.portal.call(make, root)
        for page, theme, size in itertools.product(PAGES[name], THEMES, SIZES):
            kind = NAMES[page]
            path = folder / f"{name}_{kind}_{size}_{theme}.png"
            address = f"{site.address}/{page.format(run=run_id)}"
            take(browser, address, path, theme, size)
            sys.stdout.write(f"{path}\n")


def main(folder: Path, docs: Path | None = None) -> None:
    """Take all pictures, or only that of the docs."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as scratch:
        browser = launch(playwright)
        for name in PAGES if docs is None else ():
            root = Path(scratch, name)
            root.mkdir()
            pictures_of(browser, name, root, folder)
        if docs is not None:
            picture_of_the_docs(browser, Path(scratch), docs)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
