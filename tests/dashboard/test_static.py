"""The files for browsers: packaged, small, and without inline code."""

from __future__ import annotations

import gzip
import re

import pytest

from justpipe_actors.dashboard import create_app
from justpipe_actors.dashboard.static_files import shrunk, static_files

from .asgi import Client
from .store import Store


TEXTS = {name: file.content.decode() for name, file in static_files().items()}
FORBIDDEN = {
    "innerHTML": "text enters as text",
    "insertAdjacentHTML": "text enters as text",
    "document.write": "text enters as text",
    "eval(": "the policy forbids it",
    "new Function": "the policy forbids it",
    " style=": "the policy forbids it",
    "@import": "one sheet is one request",
}


@pytest.mark.parametrize("name", TEXTS)
def test_files_obey_the_content_security_policy(name: str) -> None:
    """They have no address of another site except the name space of SVG."""
    text = TEXTS[name].replace("http://www.w3.org/2000/svg", "")

    assert re.findall(r"https?://[^\s`\"']+", text) == []
    assert [word for word in FORBIDDEN if word in text] == []


def test_the_files_are_small() -> None:
    """All of them are 192 kB at most, and 72 kB compressed."""
    files = static_files().values()

    assert sum(len(file.content) for file in files) < 192_000
    assert sum(len(file.compressed) for file in files) < 72_000


def test_comments_and_indentation_are_not_sent() -> None:
    """Lines keep their numbers, and code after a comment stays."""
    text = "// a\n/**\n * b\n */\nf(\n\t`http://x`, // c\n); /* d */\n/* e */\ng\n"

    assert shrunk(text) == "\n\n\n\nf(\n`http://x`, // c\n); /* d */\n\ng\n"


@pytest.mark.parametrize("name", [name for name in TEXTS if name.endswith(".js")])
def test_no_string_goes_over_the_end_of_a_line(name: str) -> None:
    """Otherwise leaving indentation out would change it."""
    lines = TEXTS[name].splitlines()

    assert [line for line in lines if line.count("`") % 2] == []


async def test_browsers_get_files_compressed(store: Store) -> None:
    """Other clients get them uncompressed; the header ``Vary`` tells proxies."""
    client = Client(create_app(store.registry))

    packed = await client.get("/static/app.js", **{"accept-encoding": "gzip"})
    plain = await client.get("/static/app.js")

    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "accept-encoding"


def test_modules_import_only_existing_files() -> None:
    """Otherwise a browser would show an empty page."""
    missing = []
    for name, text in TEXTS.items():
        folder = name.rpartition("/")[0]
        for target in re.findall(r'from "(\.[^"]+)"|import\("(\.[^"]+)"\)', text):
            path = next(part for part in target if part)
            parts = folder.split("/") if folder else []
            for part in path.split("/"):
                if part == "..":
                    parts.pop()
                elif part != ".":
                    parts.append(part)
            if "/".join(parts) not in TEXTS:
                missing.append((name, path))

    assert missing == []


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        r, g, b = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in parts
        )
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


COLOURS = {
    name: (light, dark)
    for name, light, dark in re.findall(
        r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", TEXTS["app.css"]
    )
}


@pytest.mark.parametrize("ground", ["bg", "card", "sunken", "picked"])
@pytest.mark.parametrize("ink", ["text", "dim", "run", "ok", "bad", "wait", "off"])
def test_text_has_enough_contrast_in_both_themes(ink: str, ground: str) -> None:
    """Every colour of text has a contrast of 4.5 to every background."""
    for theme in (0, 1):
        assert contrast(COLOURS[ink][theme], COLOURS[ground][theme]) >= 4.5


async def test_a_page_knows_its_mount_point(store: Store) -> None:
    """Addresses are relative to the base, so a prefix changes nothing else."""
    from starlette.applications import Starlette
    from starlette.routing import Mount

    outer = Starlette(routes=[Mount("/a/b", create_app(store.registry))])
    client = Client(outer, root="/a/b")

    page = await client.get("/runs")
    moved = await client.get("/run/abc?tab=events")
    unknown = await client.get("/nothing")

    assert '<base href="/a/b/">' in page.text
    assert moved.headers["location"] == "/a/b/runs/abc?tab=events"
    assert moved.status == 308
    assert unknown.status == 404
    assert (await client.get("/api/nothing")).json()["code"] == "not_found"


async def test_a_title_is_text(store: Store) -> None:
    """It is shown as it was given and is never markup."""
    app = create_app(store.registry, title="<script>alert(1)</script>")

    page = await Client(app).get("/runs")

    assert "<script>alert" not in page.text
