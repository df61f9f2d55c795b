"""What an event shows, as it is at that moment.

A payload is mostly the live state: by the time a thread writes it down, later steps have
changed it.  So it is copied when the event is published, on the event loop, and turned
into JSON later, in the writer's thread.

The copy is made by ``marshal``: at C speed, of built-in types only, so that no code of
the user's runs, and as bytes, whose length says what they weigh and whose equality is
strict (``1``, ``1.0`` and ``True`` differ, as in JSON).  What ``marshal`` does not know,
such as a dataclass, is made plain by the codec first.  The bytes never leave the process.
``copy.deepcopy`` is ten times slower and runs the objects' code; JSON right away takes
five times as long, and cannot be told to stop before it is done.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable
from itertools import chain
from types import NoneType
from typing import Any

from ..codec import to_plain, to_text
from ..meta import StepStatus
from ..outcomes import PipelineEndData
from ..plain import LIMITS


ATOMS = frozenset({str, int, float, bool, NoneType, PipelineEndData})
"""Types whose values cannot change; neither can FINISH's payload, once it is said."""

_FORMAT = 2  # without references, so that equal values have equal bytes


def copied(value: Any) -> bytes:
    """Return bytes that stay as the value is now; no atom is ever bytes."""
    try:
        return marshal.dumps(value, _FORMAT)
    except ValueError:
        return marshal.dumps(to_plain(value), _FORMAT)


def value_of(copy: bytes) -> Any:
    """Return what was copied; it may still hold what JSON has no word for."""
    return marshal.loads(copy)


def has_text_keys(values: Iterable[Any]) -> bool:
    """Tell whether ``json`` would lose no key; other keys may become the same text.

    Level by level, so that C loops over all values of a level at once.
    """
    level = [value for value in values if type(value) in _HOLDERS]
    for _ in range(LIMITS.depth):
        if not level:
            return True
        tables = [one for one in level if type(one) is dict]
        try:
            "".join(chain.from_iterable(tables))
        except TypeError:
            return False
        inner = [one.values() if type(one) is dict else one for one in level]
        level = [one for one in chain.from_iterable(inner) if type(one) in _HOLDERS]
    return False


_HOLDERS = frozenset({dict, list, tuple})


def meta_text(meta: dict[str, Any] | str | None) -> str:
    """Return an event's meta as JSON text; the usual one without asking the codec."""
    if meta is None:
        return "null"
    if isinstance(meta, str):
        return meta
    figures = meta.get("framework")
    if len(meta) == 1 and type(figures) is dict and len(figures) == 3:
        seconds, attempt = figures.get("duration_s"), figures.get("attempt")
        status = _words.get(id(figures.get("status")))
        if type(seconds) is float and type(attempt) is int and status is not None:
            return (
                f'{{"framework":{{"duration_s":{seconds!r},'
                f'"attempt":{attempt},"status":{status}}}}}'
            )
    return to_text(meta)


# By identity: the hash of a member is computed in Python, each time.
_words = {id(status): f'"{status.value}"' for status in StepStatus}
