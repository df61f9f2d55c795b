"""Counts and durations for Prometheus, read with the parser of its own library."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from justpipe_actors import Pipe, Retry
from justpipe_actors.observability import MetricsObserver
from justpipe_actors.observability.metrics import observed_families
from justpipe_actors.observability.openmetrics import (
    MAX_SERIES,
    Family,
    exposition,
    merged,
)


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return what a scraper stores: values by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
    }


def value(text: str, name: str, **labels: str) -> float:
    """Return one sample."""
    key = (f"justpipe_actors_{name}", tuple(sorted(labels.items())))
    return samples(text)[key]


async def test_runs_and_steps_are_counted_with_their_durations() -> None:
    """They are counted by pipe, step and status; a retried attempt is no new invocation."""
    metrics = MetricsObserver()
    pipe: Pipe[Any, Any] = Pipe(dict, name="P")
    pipe.add_observer(metrics)

    @pipe.step(to="b")
    async def a(state: dict[str, Any]) -> Any:
        state["tries"] = state.get("tries", 0) + 1
        return Retry() if state["tries"] == 1 else None

    @pipe.step
    async def b(state: dict[str, Any]) -> None:
        if state.get("bad"):
            msg = "boom"
            raise ValueError(msg)

    for state in ({}, {"bad": True}):
        async with pipe.run(state) as run:
            await run.wait()

    text = metrics.text()
    assert value(text, "runs_total", pipe="P", status="success") == 1
    assert value(text, "runs_total", pipe="P", status="failed") == 1
    assert value(text, "run_seconds_count", pipe="P") == 2
    done = {"pipe": "P", "step": "a", "status": "done"}
    assert value(text, "step_seconds_count", **done) == 2
    assert value(text, "step_seconds_bucket", **done, le="+Inf") == 2
    failed = {"pipe": "P", "step": "b", "status": "failed"}
    assert value(text, "step_seconds_count", **failed) == 1
    assert value(text, "step_retries_total", pipe="P", step="a") == 2


def test_the_number_of_label_values_is_bounded() -> None:
    """Series beyond the limit are counted under ``other``."""
    family = Family("f", "counter", "text", ("name",))
    for number in range(MAX_SERIES + 5):
        family.add((str(number),))
    assert len(family.values) == MAX_SERIES + 1
    assert family.values["other",] == 5


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "é\ud800"])
def test_names_are_escaped(name: str) -> None:
    """A scraper reads back every name of a step unchanged."""
    family = Family("f", "gauge", 'with "quotes"\n', ("name",))
    family.add((name,), 2.5)
    (found,) = samples(exposition([family]))
    assert found[1] == (("name", name.encode(errors="backslashreplace").decode()),)


def test_several_observers_of_a_process_are_one_scrape() -> None:
    """Equal series are summed, because a metric may occur only once."""
    families = []
    for _ in range(2):
        family = Family("f", "histogram", "text", ("name",))
        family.observe(("a",), 0.01)
        family.observe(("a",), 7200)
        families.append(family)
    text = exposition(merged(families))
    assert samples(text)["f_count", (("name", "a"),)] == 4
    assert samples(text)["f_bucket", (("le", "0.02"), ("name", "a"))] == 2

    kept = [MetricsObserver(), MetricsObserver()]
    for one in kept:
        one.retries.add(("unheard-of", "a"))
    scrape = exposition(observed_families())
    assert value(scrape, "step_retries_total", pipe="unheard-of", step="a") == 2
