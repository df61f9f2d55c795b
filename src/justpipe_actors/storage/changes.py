"""What changed between two states, and a state back from its changes.  Pure.

``Pipe(persist_state="diff")`` stores a run's first state whole and then, at each step,
only what is different from the state stored last::

    {"$since": 12, "$changes": [[["user", "age"], 37], [["draft"]]]}

reads: since event 12 ``user.age`` became 37, and ``draft`` is gone.  Lists are compared
index by index; one that became shorter is written whole.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator
from typing import Any

from ..records import StoredEvent


Path = list[str | int]
Change = list[Any]
"""``[path, value]`` for a new value, ``[path]`` for one that is gone."""

CHANGES = "$changes"
"""The key that tells changes from a state."""

SINCE = "$since"
"""The event whose state is changed."""


def changes_between(before: Any, after: Any) -> list[Change]:
    """Return what makes one plain value the other, in the order to be applied."""
    return list(_changes(before, after, []))


def _changes(before: Any, after: Any, path: Path) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from ([[*path, key]] for key in before if key not in after)
        for key, value in after.items():
            if key in before:
                yield from _changes(before[key], value, [*path, key])
            else:
                yield [[*path, key], value]
    elif isinstance(before, list) and isinstance(after, list) and _grew(before, after):
        for n, value in enumerate(after):
            if n < len(before):
                yield from _changes(before[n], value, [*path, n])
            else:
                yield [[*path, n], value]
    elif type(before) is not type(after) or before != after:
        yield [path, after]


def _grew(before: list[Any], after: list[Any]) -> bool:
    return len(before) <= len(after)


def changed(before: Any, changes: Iterable[Change]) -> Any:
    """Return a value with changes applied; the value itself stays as it is."""
    root = [copy.deepcopy(before)]
    for path, *value in changes:
        way: Path = [0, *path]
        place: Any = root
        for key in way[:-1]:
            place = place[key]
        last = way[-1]
        if not value:
            del place[last]
        elif _is_end(place, last):
            place.append(value[0])
        else:
            place[last] = value[0]
    return root[0]


def _is_end(place: object, key: str | int) -> bool:
    return isinstance(place, list) and key == len(place)


def states_of(events: Iterable[StoredEvent]) -> Iterator[tuple[StoredEvent, Any]]:
    """Return each event that shows a state, START and STEP_END, with the whole state.

    Args:
        events: a run's events from the first on, in order.
    """
    states: dict[int, Any] = {}
    for event in events:
        if event.type_name in ("start", "step_end"):
            payload = json.loads(event.data).get("payload")
            if isinstance(payload, dict) and CHANGES in payload:
                payload = changed(states.get(payload.get(SINCE, 0)), payload[CHANGES])
            states[event.seq] = payload
            yield event, payload
