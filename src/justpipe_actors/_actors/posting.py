"""Putting a message into its actor's inbox: from there on it holds a token of its run."""

from __future__ import annotations

from .. import seams
from ..seams import Seam
from .ledger import Ledger
from .messages import Expire, Start
from .wave import Wave


def send(ledger: Ledger, wave: Wave | None, message: Start | Expire) -> None:
    """Put a message into its actor's inbox; it holds a token from here on."""
    if seams.active is not None:
        seams.active.cross(Seam.PUT, ledger.run_id, message.step)
    ledger.tokens += 1
    if wave is not None:
        wave.live += 1
    step = message.step
    try:
        actor = ledger.cast.get(step) or ledger.host.actor(ledger.plan, step)
        actor.put(message)
    except Exception as error:
        ledger.crash(error)  # it may lie in an inbox that nobody serves
        raise
