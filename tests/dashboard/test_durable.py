"""Questions, answers, workers and stuck runs, over a journal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from justpipe_actors.abc.journal_records import Batch, NewAsk, NewRun
from justpipe_actors.dashboard import create_app
from justpipe_actors.dashboard.forms import problem_of
from justpipe_actors.journals import MemoryJournal

from .asgi import Client
from .store import Store


FORM = {
    "type": "object",
    "properties": {
        "decision": {"enum": ["publish", "reject"]},
        "pages": {"type": "integer", "minimum": 1},
    },
    "required": ["decision"],
}

OPTIONS: dict[str, Any] = {
    "read_only": False,
    "actions": {"answer", "redrive", "cancel"},
    "token": "secret",
}
HEAD = {"authorization": "Bearer secret"}


@pytest.fixture
def journal() -> MemoryJournal:
    """Return a journal with a run that asks something."""
    journal = MemoryJournal()
    journal.open()
    new = NewRun(run_id="report-17", pipe="report", fingerprint="f", input="{}")
    claim = journal.submit(new, journal.add_worker("here/1")).claim
    assert claim is not None
    ask = NewAsk(
        id="report-17:review:publish#2",
        step="review",
        note="Publish?",
        form=json.dumps(FORM),
    )
    journal.append([Batch(run=claim.run.id, n=claim.n + 1, kind="commit", asks=(ask,))])
    return journal


async def test_open_questions_are_listed_with_their_forms(
    store: Store, journal: MemoryJournal
) -> None:
    """And counted for the navigation."""
    client = Client(create_app(store.registry, journal=journal))

    (ask,) = (await client.get("/api/asks")).json()["asks"]

    assert (ask["id"], ask["note"]) == ("report-17:review:publish#2", "Publish?")
    assert ask["form"] == FORM
    assert (await client.get("/api/meta")).json()["asks"] == 1


async def test_the_first_answer_is_taken_with_the_name_of_its_user(
    store: Store, journal: MemoryJournal
) -> None:
    """The second one is told that the question is not open."""
    app = create_app(
        store.registry, journal=journal, user=lambda request: "ada", **OPTIONS
    )
    client = Client(app)
    path = "/api/asks/report-17:review:publish#2/answer"

    first = await client.post(path, {"value": {"decision": "publish"}}, **HEAD)
    second = await client.post(path, {"value": {"decision": "reject"}}, **HEAD)

    assert (first.status, second.status) == (200, 409)
    assert "was answered" in second.json()["detail"]
    run = journal.find("report-17")
    assert run is not None
    (signal,) = journal.signals_of(run.id)
    assert (signal.body, signal.by) == ('{"decision": "publish"}', "ada")


async def test_an_answer_that_does_not_fit_leaves_the_question_open(
    store: Store, journal: MemoryJournal
) -> None:
    """It says what does not fit."""
    client = Client(create_app(store.registry, journal=journal, **OPTIONS))
    path = "/api/asks/report-17:review:publish#2/answer"

    answer = await client.post(path, {"value": {"decision": "maybe"}}, **HEAD)

    assert answer.status == 422
    assert "decision must be one of 'publish', 'reject'" in answer.json()["detail"]
    assert len(journal.asks()) == 1


async def test_workers_are_listed_with_the_runs_that_are_open(
    store: Store, journal: MemoryJournal
) -> None:
    """A run names its worker and what it waits for."""
    client = Client(create_app(store.registry, journal=journal))

    data = (await client.get("/api/workers")).json()

    assert [(one["name"], one["runs"]) for one in data["workers"]] == [("here/1", 1)]
    (run,) = data["runs"]
    assert (run["run_id"], run["status"]) == ("report-17", "running")
    assert run["asks"] == ["report-17:review:publish#2"]


async def test_a_stuck_run_is_driven_again_and_any_other_is_not(
    store: Store, journal: MemoryJournal
) -> None:
    """Only stuck ones can be."""
    client = Client(create_app(store.registry, journal=journal, **OPTIONS))

    refused = await client.post("/api/runs/report-17/redrive", {}, **HEAD)
    run = journal.find("report-17")
    assert run is not None
    stuck = Batch(
        run=run.id, n=3, kind="release", status="stuck", problem="it died three times"
    )
    journal.append([stuck])
    taken = await client.post("/api/runs/report-17/redrive", {}, **HEAD)

    assert (refused.status, taken.status) == (409, 202)
    after = journal.find("report-17")
    assert after is not None
    assert after.status == "ready"


async def test_a_durable_run_is_cancelled_wherever_it_is(
    store: Store, journal: MemoryJournal
) -> None:
    """The journal tells its worker."""
    client = Client(create_app(store.registry, journal=journal, **OPTIONS))

    answer = await client.post("/api/runs/report-17/cancel", {"reason": "no"}, **HEAD)

    run = journal.find("report-17")
    assert run is not None
    assert answer.status == 202
    assert [signal.kind for signal in journal.signals_of(run.id)] == ["cancel"]


FITS = [
    ("text", {"type": "string"}),
    (3, {"type": "integer", "minimum": 3, "maximum": 3}),
    (None, {"type": ["string", "null"]}),
    (["a"], {"type": "array", "items": {"type": "string"}, "minItems": 1}),
    (
        {"a": 1},
        {
            "$ref": "#/$defs/x",
            "$defs": {"x": {"properties": {"a": {"type": "integer"}}}},
        },
    ),
    (2, {"anyOf": [{"const": 1}, {"const": 2}]}),
    (True, {}),
]

DOES_NOT = [
    (3, {"type": "string"}, "of type string"),
    (True, {"type": "integer"}, "of type integer"),
    (2, {"type": "integer", "minimum": 3}, "at least 3"),
    (4, {"type": "integer", "maximum": 3}, "at most 3"),
    ("", {"type": "string", "minLength": 1}, "too short"),
    (["a", "b"], {"type": "array", "maxItems": 1}, "too long"),
    (["a", 1], {"type": "array", "items": {"type": "string"}}, "answer[1]"),
    ({}, {"type": "object", "required": ["a"]}, "a is missing"),
    (
        {"b": 1},
        {"type": "object", "properties": {}, "additionalProperties": False},
        "b is not asked for",
    ),
    (3, {"oneOf": [{"const": 1}, {"const": 2}]}, "none of its alternatives"),
    (3, {"const": 2}, "must be 2"),
]


@pytest.mark.parametrize(("value", "form"), FITS)
def test_values_that_fit_a_form_are_taken(value: Any, form: dict[str, Any]) -> None:
    """References into the form's own definitions are followed."""
    assert problem_of(value, form) is None


@pytest.mark.parametrize(("value", "form", "words"), DOES_NOT)
def test_values_that_do_not_fit_are_refused_by_name(
    value: Any, form: dict[str, Any], words: str
) -> None:
    """The sentence names the part."""
    assert words in (problem_of(value, form) or "")
