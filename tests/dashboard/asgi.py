"""Calls an ASGI application inside the test's own loop: no server, no client library."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import anyio
import attrs


@attrs.define
class Answer:
    """The response to a request."""

    status: int = 0
    headers: dict[str, str] = attrs.field(factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    def events(self) -> list[tuple[str, Any]]:
        """Return the events of a stream: name and data."""
        found = []
        for block in self.text.split("\n\n"):
            fields = dict(
                line.split(": ", 1) for line in block.split("\n") if ": " in line
            )
            if "event" in fields:
                found.append((fields["event"], json.loads(fields["data"])))
        return found


@attrs.define
class Client:
    """Sends requests to an application as a browser on this machine does."""

    app: Any
    root: str = ""
    port: int = 8741

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.request("GET", path, headers)

    async def post(self, path: str, body: Any, **headers: str) -> Answer:
        """Send JSON as a page of the dashboard does."""
        own = {
            "host": f"127.0.0.1:{self.port}",
            "origin": f"http://127.0.0.1:{self.port}",
            "content-type": "application/json",
            "x_justpipe": "1",
        }
        return await self.request(
            "POST", path, own | headers, json.dumps(body).encode()
        )

    async def request(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes = b"",
        *,
        leave_after: int | None = None,
        on_part: Callable[[bytes], None] = lambda part: None,
    ) -> Answer:
        """Send one request; the client may leave after some parts of the response."""
        answer = Answer()
        leaving = anyio.Event()
        parts = 0
        is_sent = False

        async def receive() -> dict[str, Any]:
            nonlocal is_sent
            if not is_sent:
                is_sent = True
                return {"type": "http.request", "body": body, "more_body": False}
            await leaving.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            nonlocal parts
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {
                    name.decode(): value.decode() for name, value in message["headers"]
                }
                return
            answer.body += message.get("body", b"")
            on_part(message.get("body", b""))
            parts += 1
            if leave_after is not None and parts >= leave_after:
                leaving.set()

        await self.app(self._scope(method, path, headers), receive, send)
        return answer

    def _scope(self, method: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
        parts = urlsplit(path, allow_fragments=False)  # a server has decoded the path
        given = {"host": f"127.0.0.1:{self.port}"} | headers
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": self.root + parts.path,
            "raw_path": (self.root + parts.path).encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": encoded(given.items()),
            "server": ("127.0.0.1", self.port),
            "client": ("127.0.0.1", 50000),
        }


def encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Return headers as an application gets them."""
    return [
        (name.replace("_", "-").encode(), value.encode())
        for name, value in headers
        if value
    ]
