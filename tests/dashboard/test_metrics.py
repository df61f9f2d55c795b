"""``/metrics``, as a scraper reads it."""

from __future__ import annotations

from typing import Any

import anyio
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.dashboard import create_app

from .asgi import Client
from .store import Store


async def scrape(client: Client, **headers: str) -> dict[str, dict[Any, float]]:
    """Return the values of all metrics: by name, then by labels."""
    answer = await client.get("/metrics", **headers)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    return {
        family.name: {
            tuple(sample.labels.values()): sample.value for sample in family.samples
        }
        for family in text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call]
    }


async def test_stored_runs_are_counted_by_status(store: Store) -> None:
    """A dashboard without a supervisor has these metrics, too."""
    pipe = store.pipe()
    await store.run(pipe)
    found = await scrape(Client(create_app(store.registry)))
    assert found["justpipe_actors_stored_runs"] == {(pipe.name, "success"): 1}


async def test_a_supervisor_is_read_at_each_scrape(store: Store) -> None:
    """The metrics have running runs, inboxes, slots and services."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="busy")
    going = anyio.Event()

    @pipe.step(concurrency=1)
    async def work() -> None:
        await going.wait()

    async with Supervisor(pipe) as supervisor:
        client = Client(create_app(store.registry, supervisor=supervisor))
        await supervisor.submit(pipe, {})
        await supervisor.submit(pipe, {})
        with anyio.fail_after(30):
            while not any(one.depth for one in supervisor.snapshot().actors):
                await anyio.lowlevel.checkpoint()
        found = await scrape(client)
        going.set()

    assert found["justpipe_actors_runs_active"] == {("busy",): 2}
    assert found["justpipe_actors_actor_depth"] == {("busy", "work"): 1}
    assert found["justpipe_actors_actor_slots"] == {("busy", "work"): 1}
    assert found["justpipe_actors_dead_letters"] == {(): 0}


async def test_a_scraper_needs_the_token_if_there_is_one(store: Store) -> None:
    """It is sent as a bearer token."""
    client = Client(create_app(store.registry, token="secret"))
    assert (await client.get("/metrics")).status == 401
    assert await scrape(client, authorization="Bearer secret")
