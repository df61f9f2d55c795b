"""The definition: steps, their signatures and names, resources, hooks.  Pure."""

from __future__ import annotations
