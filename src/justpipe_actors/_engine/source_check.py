"""Whether a lazy source of a map gives after a restart what it gave before.

A generator cannot be stored.  After a restart the function is called again, the items
that have had their workers are taken and thrown away, and a hash of their stored forms
is compared with the one that was recorded.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import attrs

from ..errors import MapSourceChanged


if TYPE_CHECKING:
    from .entity_values import MapRecord
    from .run_journal import RunJournal


@attrs.define(eq=False, repr=False)
class SourceCheck:
    """Compares the items of a lazy source with those it gave before."""

    step: str
    """The map."""
    journal: RunJournal
    """Its run's journal."""
    record: MapRecord
    """What was recorded of it."""
    _digest: Any = attrs.field(
        factory=lambda: hashlib.blake2b(digest_size=8), init=False
    )
    left: int = attrs.field(init=False)
    """Items to be taken and thrown away."""

    def __attrs_post_init__(self) -> None:
        self.left = self.record.mapping.item_count

    def skip(self, item: object) -> None:
        """Take note of an item that has had its worker."""
        codec, plan = self.journal.stream.codec, self.journal.run_state.plan
        value = codec.dump_item(plan, self.record.mapping.worker, item)
        self._digest.update(json.dumps(value, sort_keys=True).encode())
        self.left -= 1
        if not self.left:
            self.finish()

    def finish(self) -> None:
        """Go on with what the hash is now.

        Raises:
            MapSourceChanged: the items were others, or fewer.
        """
        if self.left or self._digest.hexdigest() != self.record.digest.hexdigest():
            raise MapSourceChanged(self.step, self.record.mapping.item_count)
        self.record.digest = self._digest
