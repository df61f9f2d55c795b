"""Check a built site: every link and anchor leads somewhere, and nothing is loaded from elsewhere.

The generator checks the links of the Markdown files.  This looks at what it made of
them, and so also at pictures, at the API reference, and at links written as HTML::

    python docs/_site/check.py FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


LOADED = {"stylesheet", "icon", "preload", "modulepreload", "preconnect", "manifest"}
"""Relations of ``<link>`` that a browser fetches by itself."""


class Page(HTMLParser):
    """The anchors and links of one page."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what one element names, links to and loads."""
        values = {name: value for name, value in attrs if value is not None}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if "href" in values and tag == "a":
            self.links.append(values["href"])
        if "src" in values:
            self.loaded.append(values["src"])
        if tag == "link" and LOADED & set(values.get("rel", "").split()):
            self.loaded.append(values["href"])


def problems_of(page: Page, pages: dict[Path, Page]) -> Iterator[str]:
    """Yield what is wrong with the links of a page."""
    for address in page.loaded:
        parts = urlsplit(address)
        if parts.scheme not in {"", "data"} or parts.netloc:
            yield f"loads {address}"
    for address in page.links + page.loaded:
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            continue
        path = unquote(parts.path)
        target = (page.file.parent / path).resolve() if path else page.file
        if not target.is_file():
            yield f"{address} leads to no file"
            continue
        known = pages[target].anchors if target in pages else {parts.fragment}
        if parts.fragment and unquote(parts.fragment) not in known:
            yield f"{address} leads to no anchor"


def main(folder: Path) -> int:
    """Print the problems of a site; return how many there are."""
    files = sorted(folder.resolve().rglob("*.html"))
    pages = {file: Page(file) for file in files if file.name != "404.html"}
    problems = [
        f"{file.relative_to(folder.resolve())}: {problem}"
        for file, page in pages.items()
        for problem in problems_of(page, pages)
    ]
    links = sum(len(page.links) for page in pages.values())
    print(*problems, f"{len(pages)} pages with {links} links", sep="\n")
    return len(problems)


if __name__ == "__main__":
    sys.exit(1 if main(Path(sys.argv[1])) else 0)
