"""What a recorder expects of the writer: the seam between the loop and the thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol


if TYPE_CHECKING:
    from .recorder import Recorder


class Scribe(Protocol):
    """Who writes what recorders hold."""

    def open(self, recorder: Recorder) -> None:
        """Write for one more run."""

    def stir(self) -> None:
        """Hear that something waits."""

    def hurry(self) -> None:
        """Hear that something should not wait any longer."""
