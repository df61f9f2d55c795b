"""The shim that runs the search of the site where its pages are opened as files.

Browsers start no worker there; the shim's ``Worker`` has to behave as theirs does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest


if TYPE_CHECKING:
    from playwright.sync_api import Page

SHIM = Path(__file__).parents[2] / "docs" / "_site" / "iframe-worker.js"

WORKER = """
let last;
onmessage = ({data}) => {
  last?.words.push("late");        // what was sent before stays as it was
  data.words.push("seen");         // the sender does not see this
  last = {words: data.words};
  postMessage(last);
};
"""

ASK = """
() => new Promise(resolve => {
  const worker = new Worker("worker.js");
  const query = {words: ["a"]}, answers = [];
  worker.onmessage = ({data}) => {
    answers.push(data);
    if (answers.length === 1) worker.postMessage(query);
    else resolve([query, ...answers]);
  };
  worker.postMessage(query);
})
"""


@pytest.fixture
def file_page(page: Page, tmp_path: Path) -> Page:
    """Open a page from the disk."""
    (tmp_path / "page.html").write_text(
        f"<!doctype html><link rel=icon href='data:,'><script>{SHIM.read_text()}</script>"
    )
    (tmp_path / "worker.js").write_text(WORKER)
    page.goto((tmp_path / "page.html").as_uri())
    return page


def test_a_worker_gets_copies_and_sends_copies(file_page: Page) -> None:
    """The search changes its queries; the page would then send the changed ones."""
    query, first, second = file_page.evaluate(ASK)

    assert query == {"words": ["a"]}
    assert first == {"words": ["a", "seen"]}
    assert second == {"words": ["a", "seen"]}
