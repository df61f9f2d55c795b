"""Requests of the pages that programs for justpipe do not know."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.dashboard import create_app
from justpipe_actors.dashboard.run_details import diff_of
from justpipe_actors.dashboard.runs import parse_query, tags_of
from justpipe_actors.dashboard.tracebacks import frames_of
from justpipe_actors.journals import MemoryJournal
from justpipe_actors.storage import RunQuery
from justpipe_actors.types import BarrierType

from .asgi import Client
from .store import Store


# -- pipelines


async def test_the_table_of_pipelines_has_their_last_runs(store: Store) -> None:
    """The oldest is first; there are statuses, durations and percentiles of successes."""
    good = store.pipe("good")
    first = await store.run(good)
    second = await store.run(store.pipe("good", is_failing=True))
    client = Client(create_app(store.registry))

    (one,) = (await client.get("/api/pipelines/table")).json()

    assert [(tick[0], tick[1]) for tick in one["strip"]] == [
        (first, "success"),
        (second, "failed"),
    ]
    assert one["counts"] == {"success": 1, "failed": 1}
    assert one["p50"] == one["p95"] == one["strip"][0][2]
    assert one["last_run_status"] == "failed"


async def test_the_figures_of_a_pipeline_show_its_failures(store: Store) -> None:
    """They are counted by step, error, day and version, with the duration of each run."""
    await store.run(store.pipe("good"))
    failed = await store.run(store.pipe("good", is_failing=True))
    client = Client(create_app(store.registry))
    (one,) = (await client.get("/api/pipelines")).json()

    figures = (await client.get(f"/api/pipelines/{one['hash']}/figures?days=7")).json()

    assert figures["failures_by_step"] == [["soundtrack:master", 1]]
    assert figures["failures_by_error"] == [["the mastering device is gone", 1]]
    assert list(figures["daily"].values()) == [{"failed": 1, "success": 1}]
    assert next(row[3] for row in figures["durations"]) == failed
    assert sum(version["runs"] for version in figures["versions"]) == 2
    assert (await client.get("/api/pipelines/none/figures")).status == 404
    assert (
        await client.get(f"/api/pipelines/{one['hash']}/figures?days=0")
    ).status == 422


async def test_an_older_version_is_drawn_as_it_was(store: Store) -> None:
    """The fingerprint of a run names it; an unknown version or direction is refused."""
    run_id = await store.run(store.pipe())
    client = Client(create_app(store.registry))
    run = (await client.get(f"/api/runs/{run_id}")).json()
    path = f"/api/pipelines/{run['pipeline_hash']}/graph.svg"

    drawing = await client.get(f"{path}?fingerprint={run['fingerprint']}&direction=LR")
    unknown = await client.get(f"{path}?fingerprint=of-another-store")
    odd = await client.get(f"{path}?direction=UP")

    assert 'data-step="soundtrack"' in drawing.text
    assert unknown.status == 404
    name = f"pipeline {run['pipeline_hash']!r}"
    assert unknown.json()["detail"] == (
        f"There is no drawing of version 'of-another-store' of {name}."
    )
    assert odd.status == 422


async def test_a_run_names_the_steps_that_its_joins_wait_for(store: Store) -> None:
    """Those of child pipes, too; a join of any parent waits for none."""
    child: Pipe[Any, Any] = Pipe(dict, name="child")
    child.step("begin", to=["one", "two"])(nothing)
    child.step("one", to="both")(nothing)
    child.step("two", to="both")(nothing)
    child.step("both")(nothing)
    pipe: Pipe[Any, Any] = Pipe(dict, name="outer", persist=True, storage=store.root)
    pipe.step("start", to=["left", "right"])(nothing)
    pipe.step("left", to=["inner", "first"])(nothing)
    pipe.step("right", to=["inner", "first"])(nothing)
    pipe.step("first", barrier_type=BarrierType.ANY)(nothing)

    @pipe.sub(pipeline=child)
    async def inner(state: Any) -> Any:
        return state

    run_id = await store.run(pipe, {})

    details = (
        await Client(create_app(store.registry)).get(f"/api/runs/{run_id}")
    ).json()

    assert details["joins"] == {
        "inner": ["left", "right"],
        "inner:both": ["inner:one", "inner:two"],
    }


async def nothing() -> None:
    """Do nothing."""


# -- runs


async def test_a_histogram_counts_runs_by_status_and_time(store: Store) -> None:
    """Every run is in one part of the window."""
    pipe = store.pipe()
    for _ in range(3):
        await store.run(pipe)
    client = Client(create_app(store.registry))
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat().replace("+", "%2B")

    whole = (await client.get("/api/runs/histogram?bins=10")).json()
    hour = (await client.get(f"/api/runs/histogram?bins=10&since={since}")).json()

    assert len(whole["bins"]) == len(hour["bins"]) == 10
    assert sum(part.get("success", 0) for part in whole["bins"]) == 3
    assert hour["bins"][-1] == {"success": 3}


@pytest.mark.parametrize(
    ("text", "plain", "terms"),
    [
        ("", "", []),
        ("connection reset", "connection reset", []),
        ("pipe:a -pipe:b", "", [("pipe", "a", False), ("pipe", "b", True)]),
        ('tag:"team a" x', "x", [("tag", "team a", False)]),
        ('"not closed', '"not closed', []),
        ("http://x pipe:", "http://x pipe:", []),
    ],
)
def test_a_query_consists_of_words_and_terms(
    text: str, plain: str, terms: list[tuple[str, str, bool]]
) -> None:
    """Quotation marks keep words together; an unknown key makes a word."""
    words, found = parse_query(text)

    assert words == plain
    assert [(term.key, term.value, term.is_excluded) for term in found] == terms


@pytest.mark.parametrize(
    ("meta", "tags"),
    [
        (None, []),
        ("no JSON", []),
        (
            '{"tags": ["a", 1], "data": {"k": "v", "n": 2, "deep": {}}}',
            ["a", "k=v", "n=2"],
        ),
    ],
)
def test_tags_are_plain_values_of_the_runs_notes(
    meta: str | None, tags: list[str]
) -> None:
    """Other notes are left out."""
    assert tags_of(meta) == tags


# -- one run


async def test_one_event_is_returned_whole(store: Store) -> None:
    """Its payload or its meta alone is returned as text."""
    run_id = await store.run(store.pipe())
    client = Client(create_app(store.registry))
    path = f"/api/runs/{run_id}/events"

    start = (await client.get(f"{path}/1")).json()
    payload = await client.get(f"{path}/1?part=payload")
    rest = await client.get(f"{path}/1?part=payload&offset=5")
    missing = await client.get(f"{path}/9999")

    assert start["event_type"] == "start"
    assert start["payload"] == json.loads(payload.text)
    assert payload.headers["content-type"].startswith("text/plain")
    assert rest.text == payload.text[5:]
    assert missing.status == 404


async def test_long_payloads_are_shortened_in_lists(store: Store) -> None:
    """Their size is given."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="long", persist=True, storage=store.root)
    pipe.step("nothing")(lambda: None)
    run_id = await store.run(pipe, {"text": "x" * 10_000})
    client = Client(create_app(store.registry))
    path = f"/api/runs/{run_id}/events?type=start&limit=1&payload="

    cut = (await client.get(f"{path}cut")).json()["events"][0]
    full = (await client.get(f"{path}full")).json()["events"][0]
    none = (await client.get(f"{path}none")).json()["events"][0]

    assert (cut["is_cut"], len(cut["payload"]), cut["size"]) == (True, 4096, 10_012)
    assert full["payload"] == {"text": "x" * 10_000}
    assert "payload" not in none
    assert (await client.get(f"{path}some")).status == 422


async def test_events_are_searched_with_their_payloads(store: Store) -> None:
    """They are restricted by step, by types, and by text."""
    run_id = await store.run(store.pipe())
    client = Client(create_app(store.registry))
    path = f"/api/runs/{run_id}/events?limit=100"

    by_text = (await client.get(f"{path}&q=UPON")).json()["events"]
    by_step = (await client.get(f"{path}&step=plan")).json()["events"]
    by_types = (await client.get(f"{path}&type=map_start,map_complete")).json()[
        "events"
    ]
    odd = await client.get(f"{path}&type=nonsense")

    assert [event["payload"] for event in by_text] == ["upon "]
    assert [event["event_type"] for event in by_step] == ["step_start", "step_end"]
    assert [event["event_type"] for event in by_types] == ["map_start", "map_complete"]
    assert odd.status == 422


async def test_a_trace_is_a_file_for_perfetto(store: Store) -> None:
    """It has one complete event for each span, in microseconds."""
    run_id = await store.run(store.pipe())
    client = Client(create_app(store.registry))

    answer = await client.get(f"/api/runs/{run_id}/trace")

    events = answer.json()["traceEvents"]
    assert answer.headers["content-disposition"].startswith("attachment")
    assert {"ingest", "scene[2]", "soundtrack:mix"} <= {one["name"] for one in events}
    assert all(one["ph"] == "X" and one["dur"] >= 0 for one in events)


async def test_a_state_is_that_after_an_event(store: Store) -> None:
    """Before the first event there is none."""
    run_id = await store.run(store.pipe())
    client = Client(create_app(store.registry))
    path = f"/api/runs/{run_id}/states"

    first = (await client.get(f"{path}?at=1")).json()["state"]
    last = (await client.get(f"{path}?at=99999")).json()["state"]

    assert first == {"title": "a film", "scenes": [], "captions": {}}
    assert last["captions"] == {"plan": "made", "mix": "done"}
    assert (await client.get(f"{path}?at=0")).status == 404


def test_differences_name_added_removed_and_changed_parts() -> None:
    """A list and an object are different, even when both are empty."""
    before = {"a": 1, "b": {"c": [1, 2]}, "d": []}
    after = {"b": {"c": [1, 3, 4]}, "d": {}, "e": None}

    assert diff_of(before, after) == {
        "added": [
            {"path": ["b", "c", 2], "after": 4},
            {"path": ["e"], "after": None},
        ],
        "removed": [{"path": ["a"], "before": 1}],
        "changed": [
            {"path": ["b", "c", 1], "before": 2, "after": 3},
            {"path": ["d"], "before": [], "after": {}},
        ],
    }


def test_a_chain_of_exceptions_keeps_its_connecting_sentences() -> None:
    """Frames of libraries are marked."""
    text = """Traceback (most recent call last):
  File "/home/me/steps.py", line 3, in load
    open(path)
    ~~~~^^^^^^
FileNotFoundError: x

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/usr/lib/python3.11/json/decoder.py", line 9, in decode
    raise
  File "/home/me/steps.py", line 5, in load
    raise ValueError("no") from error
ValueError: no
"""

    found = frames_of(text)

    assert [frame.get("is_own") for frame in found["frames"]] == [
        True,
        None,
        False,
        True,
    ]
    assert found["frames"][0]["source"] == "open(path)"
    assert "direct cause" in found["frames"][1]["note"]
    assert found["tail"] == "ValueError: no"


async def test_a_version_of_a_pipeline_is_described(store: Store) -> None:
    """It is the named version, or the latest one."""
    await store.run(store.pipe())
    (info,) = store.registry.list_pipelines()
    (run,) = store.registry.query_runs(RunQuery())
    client = Client(create_app(store.registry))
    path = f"/api/pipelines/{info.hash}/definition"

    latest = await client.get(path)
    named = await client.get(f"{path}?fingerprint={run.run.fingerprint}")
    odd = await client.get(f"{path}?fingerprint=none")
    unknown = await client.get("/api/pipelines/none/definition")

    assert latest.json()["nodes"] == named.json()["nodes"] != {}
    assert (odd.status, unknown.status) == (404, 404)
    assert "version 'none'" in odd.json()["detail"]


# -- actions and streams


async def test_a_run_is_begun_if_that_is_allowed(store: Store) -> None:
    """A pipe that the supervisor does not have is refused."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="report")
    states: list[Any] = []

    @pipe.step
    async def write(state: Any) -> None:
        states.append(state)

    supervisor = Supervisor(pipe)
    app = create_app(
        store.registry,
        supervisor=supervisor,
        read_only=False,
        actions={"start"},
        token="t",
    )
    client, head = Client(app), {"authorization": "Bearer t"}
    async with supervisor:
        begun = await client.post(
            "/api/pipelines/report/runs", {"state": {"n": 1}}, **head
        )
        odd = await client.post("/api/pipelines/none/runs", {"state": {}}, **head)
        await anyio.wait_all_tasks_blocked()

    assert (begun.status, odd.status) == (202, 409)
    assert states == [{"n": 1}]


@dataclass
class Order:
    """A state with types of its own."""

    item: str
    count: int = 1


async def test_a_run_is_begun_by_its_pipes_hash_with_a_state_of_its_type(
    store: Store,
) -> None:
    """JSON becomes the state's class, and wrong data are refused with their path."""
    pipe = Pipe(Order, name="order")
    orders: list[Order] = []
    pipe.step("place")(lambda state: orders.append(state))
    supervisor = Supervisor(pipe)
    app = create_app(
        store.registry,
        supervisor=supervisor,
        read_only=False,
        actions={"start"},
        token="t",
    )
    client, head = Client(app), {"authorization": "Bearer t"}
    address = f"/api/pipelines/{pipe.pipeline_hash}/runs"
    async with supervisor:
        begun = await client.post(address, {"state": {"item": "tea"}}, **head)
        odd = await client.post(address, {"state": {"item": 5}}, **head)
        await anyio.wait_all_tasks_blocked()

    assert (begun.status, odd.status) == (202, 422)
    assert "state.item" in odd.json()["detail"]
    assert orders == [Order("tea")]


@pytest.mark.parametrize("topic", ["asks", "workers", "live"])
async def test_other_pages_are_sent_when_they_change(store: Store, topic: str) -> None:
    """Each of them has an address of its own, too."""
    journal = MemoryJournal()
    supervisor = Supervisor(Pipe(dict, name="report"))
    options: dict[str, Any] = (
        {"supervisor": supervisor} if topic == "live" else {"journal": journal}
    )
    async with supervisor:
        client = Client(create_app(store.registry, **options))
        answer = await client.request("GET", f"/api/{topic}/stream", {}, leave_after=2)

    ((name, data),) = answer.events()
    assert name == topic
    assert isinstance(data, dict)


@pytest.mark.parametrize("body", [b"no JSON", b"[1]", b'{"run_ids": "all"}'])
async def test_an_invalid_body_is_refused(store: Store, body: bytes) -> None:
    """Nothing is done."""
    await store.run(store.pipe())
    app = create_app(store.registry, read_only=False, actions={"cleanup"}, token="t")
    client = Client(app)
    name = store.registry.list_pipelines()[0].hash
    headers = {
        "authorization": "Bearer t",
        "origin": "http://127.0.0.1:8741",
        "content_type": "application/json",
        "x_justpipe": "1",
    }

    path = f"/api/pipelines/{name}/cleanup"
    answer = await client.request("POST", path, headers, body)

    assert answer.status == 422
    assert len(store.registry.list_all_runs()) == 1


@pytest.mark.parametrize(
    "path",
    ["/api/streams", "/api/runs/x/stream?after=-1", "/api/runs/stream?status=odd"],
)
async def test_an_invalid_stream_is_refused_before_it_begins(
    store: Store, path: str
) -> None:
    """The response has a status, not an event."""
    assert (await Client(create_app(store.registry)).get(path)).status == 422
