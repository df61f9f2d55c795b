"""Without the extra nothing but the OpenTelemetry parts is missing."""

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


def test_the_shelf_needs_no_opentelemetry() -> None:
    """The observers can be imported without it; the OpenTelemetry ones say what to install."""
    done = subprocess.run(
        [sys.executable, "-c", HIDE], capture_output=True, text=True, check=True
    )

    assert "justpipe_actors[otel]" in done.stdout
