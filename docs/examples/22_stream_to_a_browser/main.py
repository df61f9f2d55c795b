"""A browser's connection drops in the middle of a run, and comes back without a hole.

The browser is a fake of twenty lines that does what EventSource does: it reads events,
remembers the number of the last one, and sends it back when it connects again.  The
application is a plain ASGI application; with Starlette or FastAPI an endpoint returns
``event_stream(...)`` in the same way.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import anyio

from justpipe_actors import EventType, Pipe, Supervisor
from justpipe_actors.web import event_stream


@dataclass
class Story:
    words: str


pipe = Pipe(Story, name="story")


@pipe.step
async def tell(story: Story) -> AsyncIterator[str]:
    for word in story.words.split():
        await anyio.sleep(0.02)
        yield word


def application(supervisor: Supervisor) -> Callable[..., Any]:
    """Return an application that sends the words of a run."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        events = supervisor.listen("story-1", after=headers.get("last-event-id"))
        tokens = {EventType.TOKEN}
        response = event_stream(events, on_disconnect="detach", types=tokens)
        await response(scope, receive, send)

    return app


class Browser:
    """What EventSource does, without a network."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self.app = app
        self.words: list[str] = []
        self.last_id = ""

    async def connect(self, *, drop_after: int | None = None) -> None:
        """Read to the end, or until the connection drops."""
        dropped = anyio.Event()
        count = 0

        async def receive() -> dict[str, Any]:
            await dropped.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            nonlocal count
            if not dropped.is_set() and b"data: " in message.get("body", b""):
                count += 1
                self.read(message["body"].decode())
                if count == drop_after:
                    dropped.set()

        scope = {"type": "http", "headers": {"last-event-id": self.last_id}.items()}
        await self.app(scope, receive, send)

    def read(self, text: str) -> None:
        """Take one event."""
        fields = dict(line.split(": ", 1) for line in text.strip().splitlines())
        self.last_id = fields["id"]
        self.words.append(json.loads(fields["data"])["payload"])


async def main() -> None:
    told = "a run goes on while its reader is away and nothing of it is lost"
    async with Supervisor(pipe) as supervisor:
        run = await supervisor.submit(pipe, Story(told), run_id="story-1")
        browser = Browser(application(supervisor))

        await browser.connect(drop_after=5)
        print(f"read {' '.join(browser.words)!r}")
        print(f"the connection dropped behind event {browser.last_id}")
        await anyio.sleep(0.1)
        print(f"the run goes on: {run.end is None}")

        await browser.connect()
        print(f"read {' '.join(browser.words)!r}")
        print(f"without a hole: {browser.words == told.split()}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    anyio.run(main, backend=options.parse_args().backend)
