"""What a recorder expects of the writer: the seam between the loop and the thread."""

from __future__ import annotations

from typing import Protocol, TypeVar


R_contra = TypeVar("R_contra", contravariant=True)
"""Recorders, which know their scribe and not the other way round."""


class Scribe(Protocol[R_contra]):
    """Who writes what recorders hold."""

    def open(self, recorder: R_contra) -> None:
        """Write for one more run."""

    def stir(self) -> None:
        """Hear that something waits."""

    def hurry(self) -> None:
        """Hear that something should not wait any longer."""
