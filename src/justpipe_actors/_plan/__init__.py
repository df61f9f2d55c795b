"""Validate a definition and compile it to a plan.  Pure: no I/O and no tasks."""

from __future__ import annotations
