"""When each step of a run began and ended, and four ways to draw it."""

from __future__ import annotations

from .visualizer import Timeline, TimelineVisualizer


__all__ = ["Timeline", "TimelineVisualizer"]
