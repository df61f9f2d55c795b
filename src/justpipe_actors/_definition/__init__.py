"""What the user wrote: steps, their signatures, their names.  Pure."""

from __future__ import annotations
