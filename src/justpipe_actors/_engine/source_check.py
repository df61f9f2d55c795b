"""Check that a lazy source of a map yields the same items after a restart.

A generator cannot be stored.  After a restart the function is called again, the items
that already had their workers are skipped, and a hash of their stored forms is compared
with the recorded hash.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import attrs

from .._util.lazy_classes import define
from ..errors import MapSourceChanged


if TYPE_CHECKING:
    from .entity_values import MapRecord
    from .run_journal import RunJournal


@define(eq=False, repr=False)
class SourceCheck:
    """Compares the items of a lazy source with those of before the restart."""

    step: str
    """Name of the map step."""
    journal: RunJournal
    record: MapRecord
    _digest: Any = attrs.field(
        factory=lambda: hashlib.blake2b(digest_size=8), init=False
    )
    left: int = attrs.field(init=False)
    """Number of items that are still to be skipped."""

    def __attrs_post_init__(self) -> None:
        self.left = self.record.mapping.item_count

    def skip(self, item: object) -> None:
        """Skip an item that already had its worker, and hash it."""
        codec, plan = self.journal.stream.codec, self.journal.run_state.plan
        value = codec.dump_item(plan, self.record.mapping.worker, item)
        self._digest.update(json.dumps(value, sort_keys=True).encode())
        self.left -= 1
        if not self.left:
            self.finish()

    def finish(self) -> None:
        """Compare the hashes, and continue with the current one.

        Raises:
            MapSourceChanged: the items differ, or there are fewer.
        """
        if self.left or self._digest.hexdigest() != self.record.digest.hexdigest():
            raise MapSourceChanged(self.step, self.record.mapping.item_count)
        self.record.digest = self._digest
