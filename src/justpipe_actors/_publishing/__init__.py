"""From the engine to whatever reads a run: publish, buffer, keep and observe its events."""

from __future__ import annotations
