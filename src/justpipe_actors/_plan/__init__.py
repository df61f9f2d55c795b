"""What will happen, decided before anything does.  Pure."""

from __future__ import annotations
