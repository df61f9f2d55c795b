"""The list of flaky steps of a pipeline."""

from __future__ import annotations

from typing import Any

from justpipe_actors import Pipe, Retry
from justpipe_actors.dashboard import create_app

from .asgi import Client
from .store import Store


def pipe_of(store: Store, failures: dict[str, list[int]]) -> Pipe[Any, Any]:
    """Return a pipe of two steps.

    Args:
        store: where its runs are stored.
        failures: by step, how many calls fail in each run, before one succeeds.
    """
    pipe: Pipe[Any, Any] = Pipe(dict, name="again", persist=True, storage=store.root)

    def call(step: str) -> None:
        if failures[step][0]:
            failures[step][0] -= 1
            raise OSError("not yet")
        del failures[step][0]

    @pipe.step(to="send", retries=2, retry_wait_min=0, retry_wait_max=0)
    async def fetch() -> None:
        call("fetch")

    @pipe.step
    async def send() -> None:
        call("send")

    return pipe


async def flaky(store: Store, query: str = "") -> Any:
    """Return the list of the only pipeline."""
    client = Client(create_app(store.registry))
    (one,) = (await client.get("/api/pipelines")).json()
    return (await client.get(f"/api/pipelines/{one['hash']}/flaky{query}")).json()


async def test_a_step_that_succeeds_after_further_tries_is_flaky(store: Store) -> None:
    """The last run with further tries and the last one without are named."""
    pipe = pipe_of(store, {"fetch": [0, 2, 1], "send": [0, 0, 0]})
    ids = [await store.run(pipe, {}) for _ in range(3)]

    assert await flaky(store) == {
        "runs": 3,
        "steps": [
            {
                "step": "fetch",
                "runs": 3,
                "failed": 0,
                "recovered": 2,
                "further_tries": 3,
                "last_troubled": ids[2],
                "last_clean": ids[0],
            }
        ],
    }


async def test_a_step_that_fails_in_some_runs_is_flaky(store: Store) -> None:
    """Only the newest runs count, as many as requested."""
    pipe = pipe_of(store, {"fetch": [0, 0, 0], "send": [1, 0]})
    ids = [await store.run(pipe, {}) for _ in range(2)]
    one_more = await store.run(pipe_of(store, {"fetch": [0], "send": [0]}), {})

    found = await flaky(store)

    (row,) = found["steps"]
    assert (row["step"], row["runs"], row["failed"]) == ("send", 3, 1)
    assert (row["last_troubled"], row["last_clean"]) == (ids[0], one_more)
    assert await flaky(store, "?runs=2") == {"runs": 2, "steps": []}


async def test_a_step_that_always_fails_is_not_flaky(store: Store) -> None:
    """It is broken, although it was tried again."""
    pipe = pipe_of(store, {"fetch": [6], "send": []})
    for _ in range(2):
        await store.run(pipe, {})

    assert await flaky(store) == {"runs": 2, "steps": []}


async def test_an_attempt_that_retry_asks_for_is_a_further_try(store: Store) -> None:
    """A step that returns ``Retry()`` and then succeeds has recovered."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="again", persist=True, storage=store.root)

    @pipe.step
    async def look(state: Any) -> Any:
        state["looks"] = state.get("looks", 0) + 1
        return Retry() if state["looks"] < 3 else None

    await store.run(pipe, {})

    (row,) = (await flaky(store))["steps"]
    assert (row["recovered"], row["further_tries"]) == (1, 2)


async def test_a_step_that_passes_a_failure_on_is_not_listed(store: Store) -> None:
    """The step of the sub-pipeline that failed is."""
    await store.run(store.pipe("film", is_failing=True))
    await store.run(store.pipe("film"))

    assert [row["step"] for row in (await flaky(store))["steps"]] == [
        "soundtrack:master"
    ]


async def test_an_unknown_pipeline_has_no_list(store: Store) -> None:
    """The answer is 404, and a number of runs that is too large 422."""
    await store.run(store.pipe())
    client = Client(create_app(store.registry))

    assert (await client.get("/api/pipelines/none/flaky")).status == 404
    assert (await client.get("/api/pipelines/none/flaky?runs=1000")).status == 422
