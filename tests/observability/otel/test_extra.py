"""Without its extra only the OpenTelemetry parts are missing."""

from __future__ import annotations

import subprocess
import sys


HIDE = """
import sys
sys.modules["opentelemetry"] = None
import justpipe_actors.observability
try:
    import justpipe_actors.observability.otel
except ImportError as error:
    print(error)
"""


def test_other_observers_need_no_opentelemetry() -> None:
    """They can be imported without it; those of OpenTelemetry name the extra to install."""
    done = subprocess.run(
        [sys.executable, "-c", HIDE], capture_output=True, text=True, check=True
    )

    assert "justpipe_actors[otel]" in done.stdout
