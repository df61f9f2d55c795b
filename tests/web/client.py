"""A client like a browser's EventSource, inside the test's own loop."""

from __future__ import annotations

import json
from typing import Any

import anyio
import attrs


@attrs.define
class Response:
    """The response to a request."""

    status: int = 0
    headers: dict[str, str] = attrs.field(factory=dict)
    body: bytes = b""
    ended: bool = False

    @property
    def events(self) -> list[tuple[str | None, str, str]]:
        """Number, type and data of each event."""
        found = []
        for block in self.body.decode().split("\n\n")[:-1]:
            lines = [line.partition(": ") for line in block.split("\n")]
            fields: dict[str, list[str]] = {}
            for name, _, value in lines:
                fields.setdefault(name, []).append(value)
            if "event" in fields:
                number = fields.get("id", [None])[0]
                data = "\n".join(fields["data"])
                found.append((number, fields["event"][0], data))
        return found

    @property
    def last_id(self) -> str | None:
        """The Last-Event-ID that a browser would send."""
        ids = [number for number, _, _ in self.events if number is not None]
        return ids[-1] if ids else None

    def data(self) -> list[Any]:
        """Return the data of all events as values."""
        return [json.loads(data) for _, _, data in self.events]


async def fetch(
    app: Any, path: str = "/", *, leave_after: int | None = None, **headers: str
) -> Response:
    """Request a stream, and leave after an event as a closed tab does."""
    response, leaving = Response(), anyio.Event()
    requests = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if requests:
            return requests.pop()
        await leaving.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        await anyio.lowlevel.checkpoint()
        if message["type"] == "http.response.start":
            response.status = message["status"]
            pairs = message["headers"]
            response.headers = {k.decode(): v.decode() for k, v in pairs}
            return
        response.body += message["body"]
        response.ended = not message.get("more_body", False)
        if leave_after is not None and len(response.events) >= leave_after:
            leaving.set()

    named = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": named,
        "server": ("127.0.0.1", 80),
        "scheme": "http",
    }
    await app(scope, receive, send)
    return response
