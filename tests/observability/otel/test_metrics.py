"""Figures of a supervisor as observable gauges, read from another thread."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.observability.otel import SnapshotGauges


class Metered:
    """A meter whose figures can be read."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.meter = provider.get_meter("test")

    def figures(self) -> dict[Any, float]:
        """Collect in another thread, as an exporter does; by name and step."""
        found: list[Any] = []
        thread = threading.Thread(
            target=lambda: found.append(self.reader.get_metrics_data())
        )
        thread.start()
        thread.join()
        return {
            (
                metric.name.removeprefix("justpipe_actors."),
                *(point.attributes or {}).values(),
            ): point.value
            for resource in (found[0].resource_metrics if found[0] else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }


@pytest.mark.virtual_time
async def test_gauges_show_the_last_snapshot() -> None:
    """Readers get the figures of the last snapshot, and none after the supervisor has closed."""
    metered = Metered()
    pipe: Pipe[Any, Any] = Pipe(None, allow_multi_root=True)
    pipe.step("slow", to="join")(lambda state: anyio.sleep(60))
    pipe.step("fast", to="join")(lambda state: None)
    pipe.step("join")(lambda state: None)
    async with Supervisor(pipe) as supervisor:
        gauges = SnapshotGauges(supervisor, metered.meter, every=5)
        assert metered.figures() == {}
        async with anyio.create_task_group() as tasks:
            await tasks.start(
                lambda *, task_status: gauges.serve(task_status=task_status)
            )
            assert metered.figures()["runs.active",] == 0
            run = await supervisor.submit(pipe, {})
            assert metered.figures()["runs.active",] == 0

            await anyio.sleep(7)
            figures = metered.figures()
            assert figures["runs.active",] == 1
            assert figures["runs.oldest",] == pytest.approx(5)
            assert figures["joins.waiting",] == 1
            assert figures["actor.busy", "slow"] == 1
            assert figures["actor.depth", "slow"] == 0
            assert figures["snapshot.age",] >= 0
            await run.wait()
            tasks.cancel_scope.cancel()
        assert metered.figures() == {}


@pytest.mark.virtual_time
async def test_a_supervisor_runs_its_gauges_as_a_service() -> None:
    """There are figures before the first run, and none after the supervisor has closed."""
    metered = Metered()
    pipe: Pipe[Any, Any] = Pipe(None)
    pipe.step("a")(lambda state: anyio.sleep(30))
    supervisor = Supervisor(pipe, max_runs=1)
    gauges = SnapshotGauges(supervisor, metered.meter, every=10)
    supervisor.add_service("gauges", gauges.serve)
    async with supervisor, anyio.create_task_group() as tasks:
        assert metered.figures()["runs.active",] == 0
        first = await supervisor.submit(pipe, {})
        tasks.start_soon(supervisor.submit, pipe, {})
        await anyio.sleep(15)
        assert metered.figures()["runs.active",] == 1
        assert metered.figures()["runs.waiting",] == 1
        await first.wait()

    assert metered.figures() == {}
