"""What the API returns for stored runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from justpipe_actors import Pipe
from justpipe_actors.dashboard import DashboardAPI, create_app
from justpipe_actors.dashboard.run_details import StoredRun
from justpipe_actors.dashboard.server import create_app as old_create_app
from justpipe_actors.dashboard.spans import EVENT_COLUMNS, SPAN_COLUMNS
from justpipe_actors.events import EventType
from justpipe_actors.storage import SQLiteBackend

from .asgi import Client
from .store import Store


async def test_a_page_of_runs_has_the_newest_first_and_counts_by_status(
    store: Store,
) -> None:
    """All runs of the window are counted, whatever status is requested."""
    good, bad = store.pipe("good"), store.pipe("bad", is_failing=True)
    first = await store.run(good)
    second = await store.run(bad)
    client = Client(create_app(store.registry))

    everything = (await client.get("/api/runs")).json()
    failed = (await client.get("/api/runs?status=failed")).json()

    assert [run["run_id"] for run in everything["runs"]] == [second, first]
    assert [run["run_id"] for run in failed["runs"]] == [second]
    assert everything["counts"] == failed["counts"] == {"success": 1, "failed": 1}


async def test_pages_of_runs_follow_each_other_without_a_gap(store: Store) -> None:
    """The cursor of one page is the beginning of the next one."""
    pipe = store.pipe()
    ids = [await store.run(pipe) for _ in range(5)]
    client = Client(create_app(store.registry))

    page = (await client.get("/api/runs?limit=2")).json()
    seen = [run["run_id"] for run in page["runs"]]
    while page["next"] is not None:
        page = (await client.get(f"/api/runs?limit=2&before={page['next']}")).json()
        seen += [run["run_id"] for run in page["runs"]]

    assert seen == ids[::-1]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("pipe:good", ["good"]),
        ("-pipe:good", ["bad"]),
        ("step:master", ["bad"]),
        ("mastering", ["bad"]),
        ("nothing-like-it", []),
    ],
)
async def test_a_query_restricts_runs(
    store: Store, query: str, found: list[str]
) -> None:
    """Words are searched in errors; a key restricts, a minus excludes."""
    for name in ("good", "bad"):
        await store.run(store.pipe(name, is_failing=name == "bad"))
    client = Client(create_app(store.registry))

    page = (await client.get(f"/api/runs?q={query}")).json()

    assert [run["pipeline_name"] for run in page["runs"]] == found


async def test_a_failed_run_names_the_step_and_the_users_own_frames(
    store: Store,
) -> None:
    """A step that only passes on the failure of a child is not listed."""
    run_id = await store.run(store.pipe(is_failing=True))
    client = Client(create_app(store.registry))

    run = (await client.get(f"/api/runs/{run_id}")).json()

    (failure,) = run["failures"]
    assert failure["step"] == "soundtrack:master"
    assert failure["error_type"] == "OSError"
    assert failure["message"] == "the mastering device is gone"
    own = [frame for frame in failure["frames"] if frame.get("is_own")]
    assert [frame["name"] for frame in own] == ["master"]
    assert own[0]["source"] == "raise OSError(msg)"
    assert run["status"] == "failed"
    assert run["is_live"] is False


async def test_the_time_of_a_failure_counts_from_the_start_event(store: Store) -> None:
    """As the timeline does; a run may have waited for its startup hooks before."""
    run_id = await store.run(store.pipe(is_failing=True))
    found = store.registry.resolve_run(run_id)
    assert found is not None
    one, reader = found
    start = one.run.start_time - timedelta(hours=1)
    events = [event.data for event in reader.get_events(run_id)]
    backend = SQLiteBackend(store.root / one.pipeline_hash / "runs.db")
    backend.delete_run(run_id)
    backend.save_run(replace(one.run, start_time=start), events)
    backend.close()
    client = Client(create_app(store.registry))

    run = (await client.get(f"/api/runs/{run_id}")).json()
    spans = (await client.get(f"/api/runs/{run_id}/spans")).json()["spans"]

    (failure,) = run["failures"]
    place = SPAN_COLUMNS.index("end")
    ends = {row[0]: row[place] for row in spans}
    assert failure["at"] == pytest.approx(ends[failure["invocation_id"]], abs=1e-5)


async def test_spans_are_rows_and_can_be_requested_after_an_event(
    store: Store,
) -> None:
    """Only spans that changed after the event are sent again."""
    run_id = await store.run(store.pipe())
    client = Client(create_app(store.registry))

    data = (await client.get(f"/api/runs/{run_id}/spans")).json()
    later = (
        await client.get(f"/api/runs/{run_id}/spans?after={data['next'] - 2}")
    ).json()

    labels = [row[1] for row in data["spans"]]
    assert labels[0] == "ingest"
    assert {"scene[0]", "scene[1]", "scene[2]", "soundtrack:mix"} <= {*labels}
    scene = next(row for row in data["spans"] if row[1] == "scene[1]")
    owner = next(row for row in data["spans"] if row[1] == "scenes")
    assert scene[7] == owner[0]
    assert [row[1] for row in later["spans"]] == ["publish"]


async def test_spans_count_the_tries_of_retries(store: Store) -> None:
    """One span is one call with all its tries; rows of a stream count the same."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="again", persist=True, storage=store.root)
    calls: list[None] = []

    @pipe.step(to="once", retries=3, retry_wait_min=0, retry_wait_max=0)
    async def later() -> None:
        calls.append(None)
        if len(calls) < 3:
            raise OSError("not yet")

    @pipe.step
    async def once() -> None: ...

    run_id = await store.run(pipe, {})
    client = Client(create_app(store.registry))
    found = store.registry.resolve_run(run_id)
    assert found is not None

    data = (await client.get(f"/api/runs/{run_id}/spans")).json()
    streamed = StoredRun(*found).rows_after(0, 100)

    tries = SPAN_COLUMNS.index("tries")
    assert [(row[1], row[tries]) for row in data["spans"]] == [
        ("later", 3),
        ("once", 1),
    ]
    cell = EVENT_COLUMNS.index("tries")
    assert [row[cell] for row in streamed if row[1] == "step_end"] == [3, 1]


async def test_events_without_paging_are_the_list_of_justpipe(
    store: Store,
) -> None:
    """With ``limit`` they are a page with shortened payloads."""
    run_id = await store.run(store.pipe())
    client = Client(create_app(store.registry))

    plain = (await client.get(f"/api/runs/{run_id}/events?type=token")).json()
    paged = (await client.get(f"/api/runs/{run_id}/events?type=token&limit=2")).json()

    assert [event["data"]["payload"] for event in plain] == ["once ", "upon ", "a time"]
    assert [event["payload"] for event in paged["events"]] == ["once ", "upon "]
    assert paged["next"] == paged["events"][-1]["seq"]


async def test_the_difference_of_two_states_is_recursive(store: Store) -> None:
    """Paths are arrays, so that keys may have any characters."""
    run_id = await store.run(store.pipe())
    client = Client(create_app(store.registry))

    states = (await client.get(f"/api/runs/{run_id}/states")).json()["states"]
    changed = [state for state in states if state["changes"]]
    before = states[states.index(changed[-1]) - 1]
    difference = (
        await client.get(
            f"/api/runs/{run_id}/states?from={before['seq']}&to={changed[-1]['seq']}"
        )
    ).json()

    assert difference["added"] == [{"path": ["captions", "mix"], "after": "done"}]
    assert difference["removed"] == difference["changed"] == []


async def test_payloads_can_be_withheld(store: Store) -> None:
    """Then no event, state or stream has one."""
    run_id = await store.run(store.pipe())
    client = Client(create_app(store.registry, has_payloads=False))

    events = (await client.get(f"/api/runs/{run_id}/events?limit=5000")).json()
    stream = await client.get(f"/api/runs/{run_id}/stream")
    state = await client.get(f"/api/runs/{run_id}/states?at=3")
    bare = await client.get(f"/api/runs/{run_id}/events")

    assert not any("payload" in event for event in events["events"])
    assert "once " not in stream.text
    assert "once " not in bare.text
    assert state.status == 422


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/runs/nothing", 404, "not_found"),
        ("/api/nothing", 404, "not_found"),
        ("/api/runs?status=odd", 422, "invalid"),
        ("/api/runs?limit=0", 422, "invalid"),
        ("/api/runs?limit=501", 422, "invalid"),
        ("/api/runs?before=odd", 422, "invalid"),
        ("/api/runs?since=yesterday", 422, "invalid"),
        ("/api/runs/search?q=ab", 422, "invalid"),
        ("/api/compare?run1=a", 422, "invalid"),
        ("/api/pipelines/nothing", 404, "not_found"),
        ("/api/pipelines/nothing/graph.svg", 404, "not_found"),
        ("/api/live", 404, "not_found"),
        (f"/api/pipelines/nothing/runs?offset={2**63}", 422, "invalid"),
        ("/api/runs?limit=%D9%A1", 422, "invalid"),
        ("/api/runs?limit=1_0", 422, "invalid"),
    ],
)
async def test_errors_have_a_sentence_and_a_code(
    store: Store, path: str, status: int, code: str
) -> None:
    """The code is for programs."""
    answer = await Client(create_app(store.registry)).get(path)

    assert (answer.status, answer.json()["code"]) == (status, code)
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"events/{2**63}", 404),
        (f"events/{'9' * 5_000}", 404),
        ("events/x", 404),
        ("events/1?part=state", 422),
        (f"events?after={2**63}", 422),
        (f"states?at={2**63}", 422),
        (f"spans?after={2**63 - 1}", 200),
        (f"stream?after={2**63 - 1}", 200),
    ],
)
async def test_impossible_event_numbers_are_refused(
    store: Store, path: str, status: int
) -> None:
    """A number that is too large is refused like any wrong one, not a failure of the server."""
    run_id = await store.run(store.pipe())
    client = Client(create_app(store.registry))

    assert (await client.get(f"/api/runs/{run_id}/{path}")).status == status


@pytest.mark.parametrize("last", [str(2**63), "9" * 5_000, "١", "later"])
async def test_a_stream_with_an_invalid_last_event_id_begins_at_its_start(
    store: Store, last: str
) -> None:
    """``Last-Event-ID`` comes from a client, which may send anything."""
    run_id = await store.run(store.pipe())
    client = Client(create_app(store.registry))

    answer = await client.get(f"/api/runs/{run_id}/stream", last_event_id=last)

    assert answer.status == 200
    assert answer.events()[-1][0] == "end"


async def test_pages_of_unknown_runs_have_the_status_404(store: Store) -> None:
    """A prefix of an id is enough; with a token the check of the token comes first."""
    run_id = await store.run(store.pipe())
    (pipeline,) = store.registry.list_pipelines()
    client = Client(create_app(store.registry))
    guarded = Client(create_app(store.registry, token="secret"))

    assert (await client.get(f"/runs/{run_id[:9]}")).status == 200
    assert (await client.get(f"/pipelines/{pipeline.hash}")).status == 200
    assert (await client.get("/runs/nothing")).status == 404
    assert (await client.get("/pipelines/nothing")).status == 404
    assert 'data-page="run"' in (await client.get("/runs/nothing")).text
    assert (await guarded.get("/runs/nothing")).status == 200


async def test_a_failure_of_the_server_has_the_usual_headers(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The response has no details of the failure and is not cached."""

    def fail(*_: object) -> None:
        raise RuntimeError("a secret of the server")

    registry = store.registry
    monkeypatch.setattr(registry, "list_pipelines", fail)
    app = create_app(registry)

    async def served(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(RuntimeError):  # it is raised after the answer, to be logged
            await app(scope, receive, send)

    answer = await Client(served).get("/api/health")

    assert (answer.status, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_an_ambiguous_prefix_names_the_candidates(store: Store) -> None:
    """The status is 409."""
    pipe = store.pipe()
    ids = [await store.run(pipe) for _ in range(30)]
    prefix = next(a[0] for a in ids if sum(b[0] == a[0] for b in ids) > 1)

    answer = await Client(create_app(store.registry)).get(f"/api/runs/{prefix}")

    assert answer.status == 409
    assert answer.json()["code"] == "ambiguous"
    assert all(one.startswith(prefix) for one in answer.json()["candidates"])


async def test_the_graph_has_an_etag(store: Store) -> None:
    """A browser that has the drawing does not load it again."""
    await store.run(store.pipe())
    client = Client(create_app(store.registry))
    (pipeline,) = (await client.get("/api/pipelines")).json()
    path = f"/api/pipelines/{pipeline['hash']}/graph.svg"

    drawing = await client.get(path)
    again = await client.get(path, if_none_match=drawing.headers["etag"])

    assert 'data-step="ingest"' in drawing.text
    assert again.status == 304


async def test_the_methods_of_justpipe_return_what_the_api_does(store: Store) -> None:
    """Both use the same functions."""
    run_id = await store.run(store.pipe(is_failing=True))
    api = DashboardAPI(store.registry)
    client = Client(create_app(store.registry))
    (pipeline,) = api.list_pipelines()
    name = pipeline["hash"]

    assert pipeline["success_rate"] == 0.0
    assert (
        api.get_run(run_id)
        == (await client.get(f"/api/pipelines/{name}/runs")).json()[0]
    )
    assert api.get_stats(name) == (await client.get(f"/api/stats/{name}")).json()
    assert (
        api.get_timeline(run_id)
        == (await client.get(f"/api/runs/{run_id}/timeline")).json()
    )
    assert (
        api.search_runs("render")
        == (await client.get("/api/runs/search?q=render")).json()
    )
    assert len(api.get_events(run_id, EventType.TOKEN) or ()) == 3
    assert api.get_pipeline("nothing") is None
    assert api.compare(run_id, "nothing") is None
    assert api.cleanup_runs(name, keep=0, dry_run=True) == {
        "count": 1,
        "runs": [api.get_run(run_id)],
    }


async def test_the_application_has_the_parameters_of_justpipes(
    store: Store,
) -> None:
    """A folder of static files is ignored with a warning."""
    with pytest.warns(UserWarning, match="static_dir is ignored"):
        app = old_create_app(store.registry, store.root)

    answer = await Client(app).get("/api/health")

    assert answer.json()["status"] == "ok"
