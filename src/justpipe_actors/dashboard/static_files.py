"""The files of the pages: read once, found by exact name, so no path reaches the disk.

There is no build step that minifies them.  They are served without comments and
indentation, and compressed: as 70 kB instead of 210 kB.  Lines keep their numbers.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import lru_cache
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable
from string import Template

import attrs
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response


KINDS = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".html": "text/html; charset=utf-8",
}
"""The types of the files there are."""

SHELL = "shell.html"
"""The page that all pages begin as."""

DETAILED = ("run", "pipeline", "compare")
"""The pages that have a second style sheet."""

DETAILS = '<link rel="stylesheet" href="static/details.css">'
"""The second style sheet."""


SHRUNK = (KINDS[".js"], KINDS[".css"])
"""The types of the files that have comments."""


@attrs.frozen
class StaticFile:
    """One file."""

    content: bytes
    compressed: bytes
    """The content as gzip."""
    kind: str
    """Media type, such as ``text/css``."""
    etag: str
    """HTTP entity tag: a hash of the content."""


@lru_cache(maxsize=1)
def static_files() -> dict[str, StaticFile]:
    """Return the packaged files by their name below ``static``."""
    return dict(_below(files("justpipe_actors.dashboard") / "static", ""))


def _below(folder: Traversable, prefix: str) -> list[tuple[str, StaticFile]]:
    found: list[tuple[str, StaticFile]] = []
    for item in folder.iterdir():
        name = f"{prefix}{item.name}"
        if item.is_dir():
            found += _below(item, f"{name}/")
            continue
        kind = KINDS.get(f".{name.rpartition('.')[2]}")
        if kind is not None:
            text = item.read_text("utf-8")
            content = (shrunk(text) if kind in SHRUNK else text).encode()
            digest = hashlib.sha256(content).hexdigest()[:16]
            compressed = gzip.compress(content, mtime=0)
            found.append((name, StaticFile(content, compressed, kind, f'"{digest}"')))
    return found


def shrunk(text: str) -> str:
    """Return a file without indentation and without comments that are lines of their own.

    Lines keep their numbers, which a browser's errors name.  No string of the files has
    a line break, so no string is changed.
    """
    lines: list[str] = []
    is_comment = False
    for line in text.split("\n"):
        bare = line.strip()
        is_comment = is_comment or bare.startswith("/*")
        lines.append("" if is_comment or bare.startswith("//") else bare)
        is_comment = is_comment and not bare.endswith("*/")
    return "\n".join(lines)


def file_response(request: Request, name: str) -> Response:
    """Return a file, or that the browser has it already; 404 for any other name."""
    file = static_files().get(name)
    if file is None or name == SHELL:
        return Response("There is no such file.", 404, media_type="text/plain")
    headers = {
        "etag": file.etag,
        "cache-control": "no-cache",
        "vary": "accept-encoding",
    }
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        return Response(file.compressed, media_type=file.kind, headers=headers)
    return Response(file.content, media_type=file.kind, headers=headers)


def shell_response(base: str, title: str, page: str, status: int = 200) -> HTMLResponse:
    """Return a page before its script has run.

    Args:
        base: where the application is mounted, ending in a slash.
        title: the name of the dashboard.
        page: the module that shows the page.
        status: 404 when there is no such page.
    """
    shell = Template(static_files()[SHELL].content.decode())
    text = shell.substitute(
        base=escape(base),
        title=escape(title),
        page=escape(page),
        details=DETAILS if page in DETAILED else "",
    )
    return HTMLResponse(text, status, headers={"cache-control": "no-cache"})
