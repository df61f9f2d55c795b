"""The names that the package exports, and the modules that it does not import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from justpipe_actors import observability as observability


CONTRACT = {
    "BarrierDebugRecord",
    "BarrierDebugSink",
    "BarrierDebugger",
    "EventLogger",
    "LogRecord",
    "LogSink",
    "Observer",
    "ObserverMeta",
    "ObserverProtocol",
    "RunComparison",
    "StateDiffTracker",
    "StreamLogSink",
    "TimelineVisualizer",
    "compare_runs",
    "format_comparison",
    "validate_observer",
}


def test_every_exported_name_exists() -> None:
    """All names of the reference can be imported, and ``dir`` lists the names of ``__all__``."""
    assert set(vars(observability)["__all__"]) >= CONTRACT
    assert set(dir(observability)) >= set(vars(observability)["__all__"])
    for name in vars(observability)["__all__"]:
        assert getattr(observability, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Telescope'"):
        observability.Telescope  # type: ignore[attr-defined]  # noqa: B018


def test_a_pipe_imports_only_what_it_uses() -> None:
    """Making a pipe imports no observer, no store, no drawing and no OpenTelemetry."""
    code = "import sys; from justpipe_actors import Pipe; Pipe(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()

    packages = ("observability", "storage", "visualization")
    parts = tuple(f"justpipe_actors.{package}." for package in packages)
    assert "justpipe_actors.pipe" in loaded
    assert not [module for module in loaded if module.startswith(parts)]
    assert not {"opentelemetry", "cattrs", "tenacity"} & set(loaded)
