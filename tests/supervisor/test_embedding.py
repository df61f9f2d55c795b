"""The web application of the how-to page, called through ASGI on both event loops."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor


pytest.importorskip("starlette")

PAGE = "docs/how-to/serve-from-fastapi-or-starlette.md"


def page() -> dict[str, Any]:
    """Return the names that the code on the page defines."""
    text = (Path(__file__).parents[2] / PAGE).read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec("\n".join(code), names)
    return names


class Client:
    """Does what a server does for one connection."""

    def __init__(self, app: Any, state: dict[str, Any]) -> None:
        self._app, self._state = app, state
        self.body = ""
        self.status = 0
        self.heard = anyio.Event()
        self.gone = anyio.Event()

    async def get(self, path: str, query: str = "", **more: Any) -> Client:
        """Make a request and read the whole answer."""
        await self._app(
            self._scope("GET", path, query, more), self._receive, self._send
        )
        return self

    async def post(self, path: str, body: Any, **headers: str) -> Any:
        """Post JSON; return the JSON that is answered."""
        self._posted = json.dumps(body).encode()
        scope = self._scope("POST", path, "", headers)
        await self._app(scope, self._receive, self._send)
        return json.loads(self.body)

    def _scope(self, method: str, path: str, query: str, headers: Any) -> Any:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [
                (name.replace("_", "-").encode(), value.encode())
                for name, value in headers.items()
            ],
            "state": dict(self._state),
        }

    async def _receive(self) -> Any:
        if posted := self.__dict__.pop("_posted", None):
            return {"type": "http.request", "body": posted, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message.get("body"):
            self.body += message["body"].decode()
            self.heard.set()


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[Callable[[], Client]]:
    """Run the lifespan of an application, and return clients of it."""
    async with app.router.lifespan_context(app) as state:
        yield lambda: Client(app, state)


def endless(names: dict[str, Any]) -> list[str]:
    """Let the page's pipe stream for ever; return what becomes of its step."""
    fate: list[str] = []
    pipe = names["pipe"] = Pipe(dict, name="endless")

    @pipe.step
    async def talk(state: dict[str, Any]) -> Any:
        try:
            yield "first"
            await anyio.sleep_forever()
        finally:
            fate.append("ended")

    return fate


async def test_a_request_streams_its_run() -> None:
    """The tokens of the run are the body of the answer."""
    names = page()
    async with serving(names["app"]) as client:
        answer = await client().get("/chat", "question=to%20be%20or%20not")

    assert (answer.status, answer.body) == (200, "to\nbe\nor\nnot\n")


async def test_a_disconnect_cancels_the_run_of_the_request() -> None:
    """The run ends with its cleanup."""
    names = page()
    fate = endless(names)
    async with serving(names["app"]) as client, anyio.create_task_group() as tasks:
        one = client()
        tasks.start_soon(one.get, "/chat", "question=x")
        await one.heard.wait()
        one.gone.set()

    assert fate == ["ended"]


async def test_a_disconnect_leaves_a_submitted_run_alone() -> None:
    """A client may leave; a later request finds the run by its id."""
    names = page()
    fate = endless(names)
    async with serving(names["app"]) as client, anyio.create_task_group() as tasks:
        first = await client().post("/runs", {}, idempotency_key="k1")
        again = await client().post("/runs", {}, idempotency_key="k1")
        one = client()
        tasks.start_soon(one.get, f"/runs/{first['run_id']}")
        await one.heard.wait()
        one.gone.set()
        await anyio.wait_all_tasks_blocked()
        early = list(fate)
        other = client()
        tasks.start_soon(other.get, f"/runs/{first['run_id']}")
        await other.heard.wait()
        other.gone.set()
        nobody = await client().get("/runs/nobody")
        supervisor: Supervisor = other._state["supervisor"]
        await anyio.wait_all_tasks_blocked()
        await supervisor.drain(grace=0)

    assert first == again == {"run_id": "k1"}
    assert early == []
    assert "3 token" in other.body
    assert nobody.status == 404


async def test_readiness_is_the_supervisors_health() -> None:
    """A drained supervisor answers 503 with the reason, to probes and to clients."""
    async with serving(page()["app"]) as client:
        ready = await client().get("/ready")
        await ready._state["supervisor"].drain()
        draining = await client().get("/ready")
        refused = await client().post("/runs", {})

    assert (ready.status, draining.status) == (200, 503)
    assert json.loads(draining.body)["reasons"] == ["it is draining"]
    assert "draining" in refused["error"]
