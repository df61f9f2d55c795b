"""A small site on loopback that writes down which pages were asked for.

    python server.py LOG        # prints its address, and serves until it is ended

There are 30 pages; page n links to pages 2n, 2n + 1 and to its parent.  ``/private/`` is
closed to crawlers by ``robots.txt``.
"""

from __future__ import annotations

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


PAGES = 30
ROBOTS = "User-agent: *\nDisallow: /private/\n"


def page(number: int) -> str:
    """Return a page and its links."""
    near = (number // 2, 2 * number, 2 * number + 1)
    links = [f"/page/{other}" for other in near if 0 < other <= PAGES]
    links.append(f"/private/{number}")
    anchors = " ".join(f'<a href="{link}">{link}</a>' for link in links)
    return f"<title>Page {number}</title><p>{anchors}</p>"


class Handler(BaseHTTPRequestHandler):
    log = Path(sys.argv[1]) if len(sys.argv) > 1 else None

    def do_GET(self) -> None:
        if self.path == "/robots.txt":
            text = ROBOTS
        else:
            text = page(int(self.path.rpartition("/")[2]))
        self.write_down()
        time.sleep(0.02)  # noqa: TID251 - this is a thread of the server
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode())

    def write_down(self) -> None:
        if self.log is not None:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(f"{time.monotonic():.3f} {self.path}\n")

    def log_message(self, *_: object) -> None:
        """Print nothing."""


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()
