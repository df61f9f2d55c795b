"""The log records of a run: pages, filters, and a stream that is resumed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.dashboard import create_app
from justpipe_actors.observability import LogCapture

from .asgi import Client
from .store import Store


logger = logging.getLogger("app.dashboard")


@pytest.fixture(autouse=True)
def capture() -> Iterator[None]:
    """Capture what the steps log."""
    handler = LogCapture()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield
    logger.removeHandler(handler)


def logging_pipe(**options: Any) -> Pipe[Any, Any]:
    """Return a pipe with two steps that log."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="logging", **options)

    @pipe.step(to="second")
    async def first() -> None:
        for number in range(5):
            logger.info("number %d", number)

    @pipe.step
    async def second() -> None:
        try:
            raise OSError("the disk")
        except OSError:
            logger.exception("<b>it failed</b>")

    return pipe


async def stored(store: Store) -> tuple[str, Client]:
    """Store a run that logs; return its id and a client of its dashboard."""
    run_id = await store.run(logging_pipe(persist=True, storage=store.root), {})
    return run_id, Client(create_app(store.registry))


async def test_a_page_has_the_records_with_step_and_level(store: Store) -> None:
    """The form of a record is fixed, because pages and programs read it."""
    run_id, client = await stored(store)

    page = (await client.get(f"/api/runs/{run_id}/logs")).json()

    assert [row["text"] for row in page["logs"]] == [
        *(f"number {n}" for n in range(5)),
        "<b>it failed</b>",
    ]
    assert page["next"] is None
    row = page["logs"][-1]
    assert {**row, "at": 0, "traceback": ""} == {
        "number": 6,
        "at": 0,
        "level": "ERROR",
        "severity": 40,
        "logger": "app.dashboard",
        "text": "<b>it failed</b>",
        "step": "second",
        "invocation_id": f"{run_id}:2",
        "attempt": 1,
        "traceback": "",
    }
    assert "OSError: the disk" in row["traceback"]


@pytest.mark.parametrize(
    ("query", "numbers", "following"),
    [
        ("limit=2", [1, 2], 2),
        ("limit=2&after=4", [5, 6], None),
        ("level=warning", [6], None),
        ("step=first&q=NUMBER%203", [4], None),
        ("q=oserror", [6], None),
        ("step=third", [], None),
    ],
)
async def test_records_are_paged_and_filtered(
    store: Store, query: str, numbers: list[int], following: int | None
) -> None:
    """They are filtered by level, step and text, over all records of the run."""
    run_id, client = await stored(store)
    page = (await client.get(f"/api/runs/{run_id}/logs?{query}")).json()
    assert ([row["number"] for row in page["logs"]], page["next"]) == (
        numbers,
        following,
    )


async def test_wrong_requests_are_refused(store: Store) -> None:
    """Examples are an unknown level, an unknown run, and a dashboard without payloads."""
    run_id, client = await stored(store)
    silent = Client(create_app(store.registry, has_payloads=False))

    assert (await client.get(f"/api/runs/{run_id}/logs?level=loud")).status == 422
    assert (await client.get("/api/runs/none/logs")).status == 404
    assert (await silent.get(f"/api/runs/{run_id}/logs")).status == 422
    assert (await silent.get(f"/api/runs/{run_id}/logs/stream")).status == 422


async def test_a_stream_of_an_ended_run_can_be_resumed(store: Store) -> None:
    """The numbers of records are the ids of the stream's events."""
    run_id, client = await stored(store)

    answer = await client.get(f"/api/runs/{run_id}/logs/stream", last_event_id="4")

    (_, rows), (end, _) = answer.events()
    assert [row["number"] for row in rows] == [5, 6]
    assert end == "end"
    assert "id: 6" in answer.text


@pytest.mark.parametrize("is_stored", [True, False])
async def test_a_stream_of_a_running_run_has_new_records_at_once(
    store: Store, *, is_stored: bool
) -> None:
    """This holds for any number of readers, stored or not, and the stream ends with the run."""
    pipe: Pipe[Any, Any] = Pipe(
        dict, name="slow", persist=is_stored, storage=store.root
    )
    going = anyio.Event()

    @pipe.step
    async def step() -> None:
        logger.info("before")
        await going.wait()
        logger.info("after")

    async with Supervisor(pipe) as supervisor:
        app = create_app(store.registry, supervisor=supervisor)
        run = await supervisor.submit(pipe, {})
        answers: list[Any] = []
        heard: list[int] = []

        def hear(part: bytes) -> None:
            if b"before" in part:
                heard.append(1)
                if len(heard) == 2:
                    going.set()

        async def read() -> None:
            address = f"/api/runs/{run.run_id}/logs/stream"
            answer = await Client(app).request("GET", address, {}, on_part=hear)
            answers.append(answer)

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                tasks.start_soon(read)

    for answer in answers:
        rows = [row for name, rows in answer.events() if name == "logs" for row in rows]
        assert [row["text"] for row in rows] == ["before", "after"]
        assert answer.events()[-1][0] == "end"
    assert app.state.site.streams.statistics() == {"open": 0, "feeds": 0}
