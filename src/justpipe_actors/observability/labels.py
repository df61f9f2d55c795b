"""What to call one invocation, when a step has many."""

from __future__ import annotations

from collections.abc import Sequence


def label_of(stage: str, scope: Sequence[str]) -> str:
    """Name an invocation: a map worker by its item, anything else by its step.

    >>> label_of("w", ("w[2]",)), label_of("leaf", ("inner[0]", "leaf[1]"))
    ('w[2]', 'inner[0]/leaf[1]')
    >>> label_of("child:w", ("child", "w[2]")), label_of("after", ("w[2]",))
    ('child:w[2]', 'after')
    """
    owner, colon, step = stage.rpartition(":")
    if not scope or scope[-1].rpartition("[")[0] != step:
        return stage
    items = [place for place in scope if place.endswith("]")]
    return owner + colon + "/".join(items)
