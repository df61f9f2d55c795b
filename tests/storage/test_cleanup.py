"""Deleting old runs: one rule, and only shown runs are deleted."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from justpipe_actors.errors import CleanupRuleError
from justpipe_actors.outcomes import PipelineTerminalStatus
from justpipe_actors.records import OpenStatus
from justpipe_actors.storage import (
    AnnotatedRun,
    CleanupRule,
    PipelineRegistry,
    SQLiteBackend,
    delete_stored_runs,
    select_runs,
    select_stored_runs,
)
from justpipe_actors.testing.conformance.samples import (
    START_TIME,
    event_text,
    make_run,
    make_running_run,
)


FAILED = PipelineTerminalStatus.FAILED


def runs_of(pipeline: str, *run_ids: str, **changes: Any) -> list[AnnotatedRun]:
    """Return runs of a pipeline, a minute apart."""
    return [
        AnnotatedRun(
            make_run(name, minute=n, **changes), pipeline, f"hash of {pipeline}"
        )
        for n, name in enumerate(run_ids)
    ]


def chosen(runs: list[AnnotatedRun], **rule: Any) -> list[str]:
    """Return the runs that a rule selects, at a fixed time."""
    found = select_runs(runs, CleanupRule(**rule), START_TIME + timedelta(hours=1))
    return [one.run.run_id for one in found]


def test_each_pipeline_keeps_its_newest_runs() -> None:
    """Runs of a busy pipeline do not displace those of a quiet one."""
    runs = runs_of("busy", "b0", "b1", "b2", "b3") + runs_of("quiet", "q0")

    assert chosen(runs, keep=2) == ["b1", "b0"]
    assert chosen(runs, keep=0, pipeline_name="quiet") == ["q0"]
    assert chosen(runs) == []


def test_the_newest_runs_stay_whatever_their_status() -> None:
    """Status and age restrict the selection, and not which runs are the newest."""
    failed = runs_of("p", "f0", "f1", "f2", status=FAILED)
    fine = [
        AnnotatedRun(make_run(f"s{n}", minute=10 + n), "p", "hash of p")
        for n in range(2)
    ]

    assert chosen(failed + fine, keep=3, labels=("failed",)) == ["f1", "f0"]
    old = timedelta(minutes=59)
    assert chosen(failed + fine, keep=0, older_than=old) == ["f0"]


def test_a_suspended_run_is_not_deleted_by_default() -> None:
    """It is selected only by its status."""
    runs = runs_of("p", "paused", is_suspended=True)

    assert chosen(runs, keep=0) == []
    assert chosen(runs, keep=0, labels=("suspended",)) == ["paused"]


def test_a_running_run_is_never_deleted() -> None:
    """An abandoned one may be."""
    runs = [
        AnnotatedRun(make_running_run("live"), "p", "h"),
        AnnotatedRun(make_run("dead", status=OpenStatus.ABANDONED), "p", "h"),
    ]

    assert chosen(runs, keep=0) == ["dead"]
    assert chosen(runs, keep=0, labels=("abandoned",)) == ["dead"]


@pytest.mark.parametrize(
    "rule",
    [
        {"keep": -1},
        {"keep": True},
        {"keep": 1.5},
        {"older_than": timedelta(days=-1)},
        {"labels": ("running",)},
        {"labels": ("bogus",)},
    ],
    ids=str,
)
def test_an_invalid_rule_is_refused(rule: dict[str, Any]) -> None:
    """Negative counts and ages and unknown words are errors."""
    with pytest.raises(CleanupRuleError, match=next(iter(rule))):
        CleanupRule(**rule)


@given(
    st.lists(st.sampled_from(["p", "q", "r"]), max_size=30),
    st.integers(min_value=0, max_value=5),
)
def test_each_pipeline_keeps_exactly_the_newest(
    pipelines: list[str], keep: int
) -> None:
    """For any runs, exactly ``keep`` of them stay."""
    runs = [
        AnnotatedRun(make_run(str(n), minute=n), pipeline, pipeline)
        for n, pipeline in enumerate(pipelines)
    ]

    gone = {one.run.run_id for one in select_runs(runs, CleanupRule(keep=keep))}

    for pipeline in set(pipelines):
        run_ids = [one.run.run_id for one in runs if one.pipeline_hash == pipeline]
        left = [name for name in run_ids if name not in gone]
        assert left == (run_ids[-keep:] if keep else [])


def test_exactly_the_shown_runs_are_deleted(tmp_path: Path) -> None:
    """A broken store does not prevent deletions in others."""
    for pipeline in ("h1", "h2"):
        store = SQLiteBackend(tmp_path / pipeline / "runs.db")
        for n in range(3):
            store.save_run(make_run(f"{pipeline}-{n}", minute=n), [event_text(1)])
        store.close()
    registry = PipelineRegistry(tmp_path)
    shown = select_stored_runs(registry, CleanupRule(keep=1))
    assert len(shown) == 4

    # Meanwhile one more is stored, and the other store breaks.
    late = SQLiteBackend(tmp_path / "h1" / "runs.db")
    late.save_run(make_run("late", minute=-9))
    late.close()
    (tmp_path / "h2" / "runs.db").write_bytes(b"\xff" * 2000)

    report = delete_stored_runs(registry, shown)

    assert set(report.deleted) == {"h1-0", "h1-1"}
    assert set(report.failed) == {"h2-0", "h2-1"}
    left = registry.get_backend("h1").list_runs()
    assert [run.run_id for run in left] == ["h1-2", "late"]


def test_more_runs_than_a_query_lists_are_found(tmp_path: Path) -> None:
    """Cleanup reads every run, beyond any default limit."""
    store = SQLiteBackend(tmp_path / "h" / "runs.db")
    with store.transaction():
        for n in range(300):
            store.save_run(make_run(f"r{n}", minute=n))

    assert len(select_stored_runs(PipelineRegistry(tmp_path), CleanupRule())) == 290
